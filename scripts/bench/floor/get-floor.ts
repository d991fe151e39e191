/**
 * The floor under `GET /sessions/{id}`: the product's query and its representation behind Express, and nothing
 * else: no caller, no decoding, no scope, no ETag, none of the product's headers. A process of its own.
 */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import express from 'express'
import { createCursors } from '../../../adapters/postgres/cursor.ts'
import { openDatabase } from '../../../adapters/postgres/pool.ts'
import { createSessionQueries } from '../../../adapters/postgres/session-queries.ts'
import type { OrgId, SessionId } from '../../../domain/ids.ts'

const database = openDatabase({ url: process.env.DATABASE_URL ?? '' })
const queries = createSessionQueries(database, createCursors(Buffer.alloc(32)), { agentSilentAfterMs: 60_000 })
const orgId = 'default' as OrgId

const app = express()
app.disable('x-powered-by')
app.disable('etag')
app.get('/api/v1/sessions/:id', async (request, response) => {
  const [view] = await queries.get(orgId, [{ id: request.params.id as SessionId, ownerId: null }])
  const json = JSON.stringify(view)
  response.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(json) })
  response.end(json)
})

const server = createServer(app)
server.listen(0, '127.0.0.1', () => {
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  process.stdout.write(`${JSON.stringify({ msg: 'listening', url })}\n`)
})
process.on('SIGTERM', () => process.exit(0))
