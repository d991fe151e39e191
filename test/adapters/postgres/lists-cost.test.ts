/** Lists beside that of sessions, each as an org asks for it, among many rows. */
import { expect } from 'chai'
import { becoming } from '../../../adapters/postgres/identity.ts'
import type { Query } from '../../../adapters/postgres/pool.ts'
import type { OrgId } from '../../../domain/ids.ts'
import type { PageRequest } from '../../../domain/ports/page.ts'
import type { CommandFilter } from '../../../domain/ports/sessions.ts'
import { explain } from '../../support/explain.ts'
import { manyCommands } from '../../support/many-rows.ts'
import { openStores, overheard, type Stores, storesOver } from '../../support/rows.ts'

const org = 'large' as OrgId
const scope = { orgId: org, ownerId: null }
const SESSION = '00000000-0000-0000-0000-0000000f4240'

describe('lists among 200,000 rows', function () {
  this.timeout(120_000)
  let stores: Stores

  before(async () => {
    stores = await openStores()
    await stores.ask(`INSERT INTO orgs (id, name) VALUES ('large', 'Large')`)
    const settled = { org_id: `'large'`, status: `CASE WHEN n % 20000 = 0 THEN 'dead' ELSE 'done' END` }
    for (let n = 0; n < 8; n += 1) await manyCommands(stores, 25_000, settled)
    await stores.ask(`UPDATE outbox SET session_id = '${SESSION}', generation = id WHERE id % 50000 = 0`)
    await stores.ask(`
      INSERT INTO agents (id, org_id, platform, token_hash)
      SELECT 'agent-' || n, CASE WHEN n % 100 = 0 THEN NULL WHEN n % 2 = 0 THEN 'large' ELSE 'acme' END, 'process', int4send(n::int)
        FROM generate_series(1, 50000) n`)
    await stores.ask(`
      INSERT INTO templates (id, org_id, name, version, platforms, document, content_hash)
      SELECT gen_random_uuid(), CASE WHEN n % 100 = 0 THEN NULL WHEN n % 2 = 0 THEN 'large' ELSE 'acme' END, 'template-' || n, 1, '{process}',
             jsonb_build_object('name', 'template-' || n, 'displayName', 'T', 'tags', '["x"]'::jsonb), ''
        FROM generate_series(1, 50000) n`)
    await stores.ask('ANALYZE')
  })
  after(() => stores.close())

  type Ask = (among: Stores, page: PageRequest) => Promise<{ readonly nextCursor: string | null } | null>
  const commands =
    (filter: CommandFilter): Ask =>
    ({ queries }, page) =>
      queries.commands(scope, filter, page)

  const lists: { readonly [list: string]: Ask } = {
    'the newest commands': commands({}),
    'commands that are dead, of which there are few': commands({ status: ['dead'] }),
    'commands of a status that none has': commands({ status: ['expired', 'cancelled'] }),
    'commands that are done': commands({ status: ['done'] }),
    'commands of an agent': commands({ agent: ['agent-7'] }),
    'commands of an agent that has none': commands({ agent: ['nobody'] }),
    'commands of a session': commands({ session: [SESSION] }),
    'agents, own and shared': ({ agents }, page) => agents.list(org, {}, page),
    // Of an org and of all: which of two of one name is shown is known when all are read. There are few where there are people.
    templates: ({ templates }, page) => templates.list(org, {}, page),
    'the versions of a template': ({ templates }, page) => templates.versions(org, 'template-2', page),
  }

  for (const [list, ask] of Object.entries(lists))
    it(`${list} are found by an index`, async () => {
      const nextCursor = (await ask(stores, { limit: 50, cursor: null }))?.nextCursor ?? null
      for (const cursor of nextCursor === null ? [null] : [null, nextCursor]) {
        const sent: Query[] = []
        const over = storesOver(overheard(stores.database, (asked) => sent.push(asked)))
        await ask(over as Stores, { limit: 50, cursor })
        const [statement] = sent
        if (statement === undefined) throw new Error('nothing was asked')
        const as = [becoming(org, 'connection') ?? '']
        const { scanned, buffers, text } = await explain(stores.url, statement.text, statement.values ?? [], as)
        const isWhole = scanned.some((table) => ['outbox', 'agents', 'templates'].includes(table))
        if (isWhole || buffers > (list === 'templates' ? 2_500 : 1_000)) expect.fail(`${buffers} buffers: ${text}`)
      }
    })

  it('agents of a status are found however far down they are, page by page', async () => {
    await stores.ask(`UPDATE agents SET cordoned = cordoned WHERE id = 'agent-1'`)
    await stores.ask(
      `INSERT INTO agent_leases (agent_id, epoch, replica_id) SELECT id, 1, gen_random_uuid() FROM agents
        WHERE org_id = 'large' AND id IN ('agent-2', 'agent-49998', 'agent-9998')`,
    )
    await stores.ask(
      `INSERT INTO agent_liveness (agent_id, last_heartbeat_at) SELECT agent_id, now() FROM agent_leases`,
    )
    const found: string[] = []
    let cursor: string | null = null
    do {
      const page: Awaited<ReturnType<typeof stores.agents.list>> = await stores.agents.list(
        org,
        { status: ['online'] },
        { limit: 2, cursor },
      )
      found.push(...page.items.map(({ id }) => id))
      cursor = page.nextCursor
    } while (cursor !== null)
    expect(found).to.deep.equal(['agent-2', 'agent-49998', 'agent-9998'])
  })
})
