/** Every list of the API in every order that it has: pages of two are the list, and descending is ascending backwards. */
import { expect } from 'chai'
import pg from 'pg'
import { type OperationId, type Route, routes } from '../../src/api/routes.ts'
import type { Json } from './support/rest.ts'
import { scene } from './support/scene.ts'
import { enrol, migratedDatabase, type Server, server } from './support/streamspace.ts'

const operationIds = Object.keys(routes) as OperationId[]
const routeOf = (id: OperationId): Route => routes[id]
const lists = operationIds.filter((id) => 'cursor' in routeOf(id).query.parameters)
const sortsOf = (id: OperationId): readonly string[] => routeOf(id).query.parameters.sort?.schema.enum ?? []

const ROWS = 5

/** So that what the server does meanwhile is not in the way: its own jobs come and go. */
const also: { readonly [id: string]: string } = { listWebhookDeliveries: '&status=dead', listJobs: '&state=failed' }

/** Which one it is: what else is shown of it may change (when a key was used, how many jobs wait). */
const whichIs = (item: Json): string => `${item.id ?? item.session?.id ?? item.name} ${item.version ?? ''}`

/** By what an item of a list is placed where its name is not that of a field. */
const keyOf = (item: Json, by: string): string | number => {
  const key = by === 'id' && item.session !== undefined ? item.session.id : item[by]
  return by === 'name' && item.displayName === undefined ? key.toLowerCase() : key
}

describe('lists in order', function () {
  this.timeout(120_000)
  const here = scene('suite')
  let control: Server
  const params: Record<string, string> = {}

  before(async () => {
    const url = await migratedDatabase(here)
    control = await server(here, url)
    const made = async (path: string, body: object): Promise<Json> => {
      const { status, body: answer } = await control.rest.post(path, body)
      expect(status, JSON.stringify(answer)).to.be.within(200, 299)
      return answer
    }
    for (let n = 0; n < ROWS; n += 1) {
      await made('/orgs', { id: `org-${(n * 7) % 10}`, name: 'An org' })
      await enrol(control.rest, `edge-${(n * 7) % 10}`)
      await made('/templates', {
        name: `t-${(n * 7) % 10}`,
        displayName: 'One',
        spec: { process: { command: ['true'] } },
      })
      await made('/templates', { name: 'grown', displayName: `${n}`, spec: { process: { command: ['true'] } } })
      await made('/api-keys', { role: 'viewer' })
      await made('/webhooks', { url: 'https://hooks.example/', events: ['running'] })
      await made('/sessions', { template: 'hello-web', name: `s ${(n * 7) % 10}` })
    }
    const [session] = (await control.rest.get('/sessions?limit=1')).body.items
    const [webhook] = (await control.rest.get('/webhooks?limit=1')).body.items
    const [queue] = (await control.rest.get('/jobs?limit=1')).body.items
    const client = new pg.Client({ connectionString: url })
    await client.connect()
    try {
      const many = (statement: string, ...values: unknown[]) =>
        client.query(`${statement} FROM generate_series(1, ${ROWS}) n`, values)
      await many(
        `INSERT INTO outbox (command_id, org_id, agent_id, session_id, generation, type, payload, created_at)
         SELECT gen_random_uuid(), 'default', 'edge-0', $1, n, 'start_session', '{}', now()`,
        session.id,
      )
      await many(
        `INSERT INTO session_events (org_id, session_id, type, generation, data, actor, at)
         SELECT 'default', $1, 'start_requested', n, '{}', 'user:admin', now()`,
        session.id,
      )
      await many(`INSERT INTO agent_events (agent_id, type, data, actor) SELECT 'edge-0', 'orphan_seen', '{}', 'agent'`)
      await many(
        `INSERT INTO orphans (agent_id, org_id, session_id, generation, status, reason)
         SELECT 'edge-0', 'default', gen_random_uuid(), 1, 'running', 'unknown'`,
      )
      await many(
        `INSERT INTO webhook_deliveries (id, org_id, webhook_id, event_id, session_id, type, body, status, attempts, created_at)
         SELECT gen_random_uuid(), 'default', $1, n, $2, 'running', '{}', 'dead', 1, now()`,
        webhook.id,
        session.id,
      )
      await many(
        `INSERT INTO pgboss.job (name, state, created_on) SELECT $1, 'failed', now() + n * interval '1 second'`,
        queue.name,
      )
      await client.query(`UPDATE sessions SET agent_id = 'edge-0'`)
    } finally {
      await client.end()
    }
    const idOf: { readonly [tag: string]: string } = { Sessions: session.id, Agents: 'edge-0', Webhooks: webhook.id }
    for (const id of lists) params[id] = idOf[routeOf(id).tag] ?? ''
    Object.assign(params, { listTemplateVersions: 'grown', listJobs: queue.name })
  })

  const pathOf = (id: OperationId): string => routeOf(id).path.replace(/\{\w+\}/, params[id] ?? '')

  const readAll = async (id: OperationId, sort: string, limit: number): Promise<readonly Json[]> => {
    const items: Json[] = []
    let cursor: string | null = null
    do {
      const more: string = cursor === null ? '' : `&cursor=${encodeURIComponent(cursor)}`
      const { status, body } = await control.rest.get(
        `${pathOf(id)}?sort=${sort}&limit=${limit}${also[id] ?? ''}${more}`,
      )
      expect(status, JSON.stringify(body)).to.equal(200)
      items.push(...body.items)
      cursor = body.nextCursor
    } while (cursor !== null)
    return items
  }

  it('every list has orders', () => {
    expect(lists).to.have.lengthOf.above(15)
    for (const id of lists) expect(sortsOf(id), id).to.have.lengthOf.above(1)
  })

  // Of no audit entries while it reads them: reading is not recorded.
  for (const id of lists)
    it(id, async () => {
      for (const sort of sortsOf(id).filter((one) => !one.startsWith('-'))) {
        const read = async (by: string, limit: number) => (await readAll(id, by, limit)).map(whichIs)
        const up = await readAll(id, sort, 500)
        expect(up, sort).to.have.lengthOf.at.least(ROWS)
        const keys = up.map((item) => keyOf(item, sort))
        expect(keys, sort).to.deep.equal(keys.toSorted((a, b) => (a < b ? -1 : a > b ? 1 : 0)))
        expect(await read(sort, 2), `${sort}, page by page`).to.deep.equal(up.map(whichIs))
        const down = up.map(whichIs).reverse()
        expect(await read(`-${sort}`, 500), `-${sort}`).to.deep.equal(down)
        expect(await read(`-${sort}`, 2), `-${sort}, page by page`).to.deep.equal(down)
      }
    })

  it('a cursor of one order is none of another', async () => {
    for (const id of lists) {
      const [first, second] = sortsOf(id)
      const { body } = await control.rest.get(`${pathOf(id)}?sort=${first}&limit=1${also[id] ?? ''}`)
      const { status } = await control.rest.get(
        `${pathOf(id)}?sort=${second}&limit=1${also[id] ?? ''}&cursor=${encodeURIComponent(body.nextCursor)}`,
      )
      expect(status, id).to.equal(400)
    }
  })
})
