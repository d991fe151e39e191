/**
 * The raw floor under `POST /sessions`: the statement that the product commits with, for the rows that the
 * product would write for the benchmark's request, into the product's tables and indexes, through bare `pg`.
 * A process of its own, as the server is one.
 *
 * Nothing of the statement is written down here. The product's own use case is run once for each agent with a
 * unit of work that keeps the decision, and the product's adapter turns it into statement and values; from call
 * to call only ids and times change. One session a statement: that the product writes several with one when several
 * are asked for at once is the product's.
 */
import { randomBytes } from 'node:crypto'
import pg from 'pg'
import { createAgentStore } from '../../../adapters/postgres/agents.ts'
import { createCursors } from '../../../adapters/postgres/cursor.ts'
import { insertion } from '../../../adapters/postgres/insert-sessions.ts'
import { createLeaseStore } from '../../../adapters/postgres/leases.ts'
import { openDatabase } from '../../../adapters/postgres/pool.ts'
import { createTemplateStore } from '../../../adapters/postgres/templates.ts'
import { createIds } from '../../../adapters/secrets/ids.ts'
import { E } from '../../../domain/fp.ts'
import type { Caller } from '../../../domain/identity/caller.ts'
import type { AgentId, OrgId, UserId } from '../../../domain/ids.ts'
import type { UnitOfWork } from '../../../domain/ports/unit-of-work.ts'
import { createSession } from '../../../src/usecases/create-session.ts'
import { benchTemplate, CREATE } from '../template.ts'

export type FloorStart = {
  readonly kind: 'start'
  readonly url: string
  readonly agents: number
  readonly clients: number
}
export type FloorRun = { readonly kind: 'run'; readonly seconds: number }
export type FloorAnswer = { readonly committed: number; readonly seconds: number }

type Statement = ReturnType<typeof insertion>

const DAY_MS = 86_400_000
const AMPLE = { maxSessions: 2_000_000_000, cpuMillis: 2_000_000_000, memoryMib: 2_000_000_000 }

const clock = { now: () => new Date() }
const ids = createIds()
/** Agents as they are after they have connected, and one statement for each. */
const prepare = async ({ url, agents }: FloorStart): Promise<readonly Statement[]> => {
  const database = openDatabase({ url, maxConnections: 1 })
  const cursors = createCursors(Buffer.alloc(32))
  const store = createAgentStore(database, cursors, clock, { heartbeatIntervalMs: DAY_MS })
  const leases = createLeaseStore(database)
  const templates = createTemplateStore(database, cursors, ids)
  const orgId = 'default' as OrgId
  await database.query({ text: `INSERT INTO orgs (id, name) VALUES ($1, $1)`, values: [orgId] })
  await templates.put(null, benchTemplate)
  const agent = {
    version: 'bench',
    region: null,
    labels: {},
    replicaId: ids.replica(),
    capacity: AMPLE,
    lastEpoch: null,
  }
  for (let number = 1; number <= agents; number += 1) {
    const agentId = `bench-${number}` as AgentId
    const tokenHash = randomBytes(32)
    await store.enrol({ id: agentId, orgId, platform: 'process', region: null, labels: {}, tokenHash })
    await leases.connect({ agentId, ...agent })
  }
  const statements: Statement[] = []
  const keep: UnitOfWork['commit'] = async (decision, more) => {
    statements.push(insertion([{ decision, ...more }], { commandTtlMs: DAY_MS, seal: () => Buffer.alloc(0) }))
    return E.right(undefined)
  }
  const caller: Caller = { orgId, userId: 'admin' as UserId, role: 'installation', keyId: ids.apiKey() }
  for (const candidate of await store.candidates(orgId)) {
    const created = await createSession({
      templates,
      agents: {
        recent: async () => [candidate],
        fresh: async () => [candidate],
        placed: () => {},
        begin: () => () => {},
        underWay: new Map(),
      },
      unitOfWork: { commit: keep },
      wake: { agents: () => {} },
      clock,
      ids,
      timeouts: { pendingMs: 600_000, startMs: 300_000, stopMs: 60_000 },
    })(caller, CREATE)()
    if (E.isLeft(created) || created.right.status !== 'scheduling')
      throw new Error(`the product would not have placed it: ${JSON.stringify(created)}`)
  }
  await database.close()
  return statements
}

const TIMES = ['created_at', 'waiting_since', 'status_deadline', 'expires_at'] as const

/** The values of another session of the same kind: ids of its own, and its times as late as they would be. */
const another = ([json, agentIds]: Statement['values'], preparedAt: number): Statement['values'] => {
  const [row] = JSON.parse(json)
  const later = Date.now() - preparedAt
  for (const time of TIMES) if (row[time] !== null) row[time] = new Date(Date.parse(row[time]) + later)
  return [JSON.stringify([{ ...row, id: ids.session(), command_id: ids.command() }]), agentIds]
}

let statements: readonly Statement[] = []
let preparedAt = 0
let clients: readonly pg.Client[] = []
let turn = 0

const start = async (how: FloorStart): Promise<void> => {
  statements = await prepare(how)
  preparedAt = Date.now()
  clients = await Promise.all(
    Array.from({ length: how.clients }, async () => {
      const client = new pg.Client({ connectionString: how.url })
      await client.connect()
      return client
    }),
  )
}

/** Agents take turns, as placement has them do. */
const commitOne = async (client: pg.Client): Promise<void> => {
  const { name, text, values } = statements[turn++ % statements.length] as Statement
  const { rows } = await client.query({ name, text, values: [...another(values, preparedAt)] })
  if (rows.length !== 1) throw new Error('the statement did not commit')
}

const run = async ({ seconds }: FloorRun): Promise<FloorAnswer> => {
  const began = performance.now()
  const endsAt = began + seconds * 1_000
  let committed = 0
  await Promise.all(
    clients.map(async (client) => {
      while (performance.now() < endsAt) {
        await commitOne(client)
        if (performance.now() < endsAt) committed += 1
      }
    }),
  )
  return { committed, seconds }
}

process.on('disconnect', () => process.exit(0))
process.on('message', (message: FloorStart | FloorRun) => {
  void (message.kind === 'start' ? start(message) : run(message)).then(
    (answer) => process.send?.(answer ?? { committed: 0, seconds: 0 }),
    (error: unknown) => {
      process.stderr.write(`${(error as Error).stack}\n`)
      process.exit(1)
    },
  )
})
