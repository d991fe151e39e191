/**
 * Orgs are kept apart twice: each statement names the org that it is for, and PostgreSQL shows its connection that org's rows
 * alone. Here each of the two is taken away in turn, for everything that a store does for an org: the other one holds.
 */
import { readdir, readFile } from 'node:fs/promises'
import { expect } from 'chai'
import { type Database, openDatabase } from '../../../adapters/postgres/pool.ts'
import { E } from '../../../domain/fp.ts'
import type { CommandId, OrgId, WebhookDeliveryId } from '../../../domain/ids.ts'
import type { Peer } from '../../../domain/ports/agents.ts'
import type { ApiKeyView, NewApiKey } from '../../../domain/ports/api-keys.ts'
import type { KeptRequest } from '../../../domain/ports/idempotency.ts'
import type { CommandView } from '../../../domain/ports/sessions.ts'
import { noQuota } from '../../../domain/quota/quota.ts'
import { stop, update } from '../../../domain/session/decide.ts'
import type { Session } from '../../../domain/session/session.ts'
import type { Webhook } from '../../../domain/webhook/webhook.ts'
import { aDocument } from '../../support/a-template.ts'
import { anAuditEntry } from '../../support/an-audit-entry.ts'
import { everything, orphansOf, someOrphans } from '../../support/orphans.ts'
import {
  ACME,
  ANNA,
  aCreation,
  agentNamed,
  anAgent,
  anIntent,
  aSessionOn,
  commandIdOf,
  GLOBEX,
  ids,
  nowhere,
  openStores,
  right,
  type Stores,
  storesOver,
} from '../../support/rows.ts'

/** In everything of theirs that an answer might show. */
const MARK = 'not-for-acme'

const KEY_HASH = '01'.repeat(32)
const theirAnswer: KeptRequest = {
  orgId: GLOBEX,
  caller: 'key:theirs',
  keyHash: KEY_HASH,
  fingerprint: '02'.repeat(32),
  status: 201,
  location: MARK,
  body: MARK,
}

const aKey = (changes: Partial<NewApiKey>): NewApiKey => ({
  id: ids.apiKey(),
  orgId: GLOBEX,
  userId: ANNA,
  role: 'user',
  name: 'a key',
  prefix: 'ssk_aaaaaaaa',
  hash: Buffer.from(MARK),
  expiresAt: null,
  ...changes,
})

type Theirs = {
  readonly key: ApiKeyView
  readonly agent: Peer
  readonly session: Session
  readonly command: CommandView
  readonly orphan: ReturnType<typeof someOrphans>[number]
  readonly webhook: Webhook
  readonly delivery: WebhookDeliveryId
}
type Attempt = (stores: Stores, org: OrgId, theirs: Theirs) => Promise<unknown>
/** What it does it does for no org: its caller is the installation, or nobody. */
const system = 'system'

const scope = (orgId: OrgId) => ({ orgId, ownerId: null })
const owned = ({ agent }: Theirs, orgId: OrgId) => ({ id: agent.agentId, orgId })
const asOf = ({ session }: Theirs, orgId: OrgId): Session => ({ ...session, orgId })

/** Every function of every store that callers reach. */
const attempts: { readonly [store: string]: { readonly [name: string]: Attempt | typeof system } } = {
  agents: {
    get: ({ agents }, org, { agent }) => agents.get(org, agent.agentId),
    list: ({ agents }, org) => agents.list(org, {}, everything),
    candidates: ({ agents }, org) => agents.candidates(org),
    enrol: ({ agents }, orgId) =>
      agents.enrol({
        id: agentNamed(`another-of-${orgId}`),
        orgId,
        platform: 'process',
        region: null,
        labels: {},
        tokenHash: Buffer.from('another'),
      }),
    setTokenHash: ({ agents }, org, theirs) => agents.setTokenHash(owned(theirs, org), Buffer.from('ours')),
    setCordoned: ({ agents }, org, theirs) => agents.setCordoned(owned(theirs, org), true),
    removeEmpty: ({ agents }, org, theirs) => agents.removeEmpty(owned(theirs, org)),
    remove: ({ agents }, org, theirs) => agents.remove(owned(theirs, org)),
  },
  drains: {
    begin: ({ drains }, org, theirs) => drains.begin(owned(theirs, org), 'user:ours'),
    progress: async ({ drains }, org, { agent }) => {
      const { remaining, ...shown } = await drains.progress(org, agent.agentId, everything)
      return [remaining > 0 ? MARK : null, shown]
    },
    underWay: system,
    leaving: system,
    moves: system,
    leave: system,
    arrive: system,
    forget: system,
  },
  sessions: {
    load: ({ sessions }, org, { session }) => sessions.load(scope(org), session.id),
    loadMany: system,
    pending: system,
    overdue: system,
  },
  queries: {
    get: ({ queries }, org, { session }) => queries.get(org, [{ id: session.id, ownerId: null }]),
    list: ({ queries }, org) => queries.list(scope(org), {}, '-createdAt', everything),
    summary: async ({ queries }, org) => {
      const { total } = await queries.summary(scope(org), {})
      return total === 0 ? null : MARK
    },
    events: ({ queries }, org, { session }) => queries.events(scope(org), session.id, everything),
    commandsOf: ({ queries }, org, { session }) => queries.commandsOf(scope(org), session.id, everything),
    commands: ({ queries }, org) => queries.commands(scope(org), {}, everything),
    touch: ({ queries }, org, { session }) => queries.touch(scope(org), session.id, new Date()),
  },
  feed: {
    readOf: async ({ feed }, org, { session }) => {
      const { feed: name } = await feed.now()
      const page = await feed.readOf(org, { feed: name, xid: 0, id: 0 }, 1_000)
      return typeof page !== 'string' && page.events.some(({ sessionId }) => sessionId === session.id) ? MARK : null
    },
    now: system,
    read: system,
    delay: system,
    positionOf: system,
  },
  commands: {
    get: ({ commands }, org, { command }) => commands.get(scope(org), command.id as CommandId),
    change: async ({ commands }, org, theirs) => {
      const session = asOf(theirs, org)
      const decision = update(session, { name: 'ours' }, anIntent())
      const { command } = theirs
      // Sent again, it ends the move of its session.
      return [
        await commands.change({ command, becomes: 'pending', error: 'ours', decision }),
        await commands.change({ command, becomes: 'cancelled', error: 'ours', decision }),
      ]
    },
  },
  unitOfWork: {
    commit: async ({ unitOfWork }, org, theirs) => {
      const session = asOf(theirs, org)
      return [
        await unitOfWork.commit(right(stop(session, anIntent()))),
        await unitOfWork.commit(update(session, { labels: { ours: 'yes' } }, anIntent())),
      ]
    },
  },
  quotas: {
    get: async ({ quotas }, org) => ((await quotas.get(org)).quota.maxSessions === 7 ? MARK : null),
    set: system,
    usage: async ({ quotas }, org) => ((await quotas.usage(org, {})).sessions === 0 ? null : MARK),
  },
  batches: {
    change: async ({ batches }, org, { session }) => {
      const named = await batches.change(scope(org), { ids: [session.id] }, 10, (found) =>
        E.right({
          decisions: found.map((one) => right(stop(one.session, anIntent()))),
          result: found.map((one) => one.session.name),
          kept: undefined,
        }),
      )
      const found = await batches.change(scope(org), { filter: {} }, 10, (all) =>
        E.left(all.map((one) => one.session.name)),
      )
      return [named, found]
    },
  },
  orphans: {
    list: ({ orphans }, org, theirs) => orphans.list(owned(theirs, org), ['seen', 'approved'], everything),
    events: ({ orphans }, org, theirs) => orphans.events(owned(theirs, org), everything),
    approve: ({ orphans }, org, theirs) => orphans.approve(owned(theirs, org), null, 'user:ours'),
    removeApproved: ({ orphans }, org, theirs) => orphans.removeApproved(owned(theirs, org), [ids.command()]),
    record: system,
    remove: system,
    settle: system,
    removal: system,
    halt: system,
    resume: system,
    orgRemoval: async ({ orphans }, org) => ((await orphans.orgRemoval(org))?.halted ? MARK : null),
    haltOrg: async ({ orphans }, org) => (await orphans.haltOrg(org, 'user:ours'))?.revision,
    resumeOrg: async ({ orphans }, org) => (await orphans.resumeOrg(org, 'user:ours'))?.revision,
  },
  adoption: {
    adopt: ({ adoption }, org, theirs) =>
      adoption.adopt(
        owned(theirs, org),
        theirs.orphan.entry.sessionId,
        () => {
          throw new Error(MARK)
        },
        {},
        org,
      ),
  },
  apiKeys: {
    list: ({ apiKeys }, org) => apiKeys.list(org, everything),
    get: ({ apiKeys }, org, { key }) => apiKeys.get(org, key.id),
    add: async ({ apiKeys }, org) => (await apiKeys.add(aKey({ orgId: org, name: 'ours' }))).name,
    replace: ({ apiKeys }, org, { key }) => apiKeys.replace(org, key.id, aKey({ orgId: org, name: MARK }), 60),
    revoke: ({ apiKeys }, org, { key }) => apiKeys.revoke(org, key.id),
    used: system,
  },
  answers: {
    find: async ({ answers }, org) => {
      const found = await answers.find(org, 'key:theirs', KEY_HASH)
      return found === null ? null : found.location
    },
    keep: async ({ answers }, org) => {
      await answers.keep({ ...theirAnswer, orgId: org, keyHash: '03'.repeat(32), location: null })
    },
  },
  // Orgs are the installation's, and who somebody is is asked before it is known whose they are.
  orgs: { list: system, get: system, add: system, remove: system },
  access: {
    keysByPrefix: system,
    existingOrgs: system,
    orgExists: system,
    addKey: system,
    hasInstallationKey: system,
    revokeInstallationKeys: system,
  },
  webhooks: {
    list: ({ webhooks }, org) => webhooks.list(org, everything),
    get: ({ webhooks }, org, { webhook }) => webhooks.get(org, webhook.id),
    add: ({ webhooks }, orgId) =>
      webhooks.add({
        id: ids.webhook(),
        orgId,
        url: 'https://ours',
        events: ['*'],
        labels: {},
        secret: 'whsec_b3Vycw==',
      }),
    change: ({ webhooks }, org, { webhook }) => webhooks.change(org, webhook.id, 1, { url: 'https://ours' }),
    rotate: ({ webhooks }, org, { webhook }) => webhooks.rotate(org, webhook.id, 'whsec_b3Vycw==', 60),
    remove: ({ webhooks }, org, { webhook }) => webhooks.remove(org, webhook.id, 1),
    deliveries: ({ webhooks }, org, { webhook }) => webhooks.deliveries(org, webhook.id, ['dead'], everything),
    delivery: ({ webhooks }, org, { webhook, delivery }) => webhooks.delivery(org, webhook.id, delivery),
    redrive: ({ webhooks }, org, { webhook, delivery }) => webhooks.redrive(org, webhook.id, delivery),
  },
  deliveries: { readFeed: system, queue: system, webhooksOf: system, begin: system, end: system },
  audit: {
    list: ({ audit }, orgId) => audit.list({ orgId, nobodys: false }, {}, everything),
    all: async ({ audit }, orgId) => {
      const events = []
      for await (const some of audit.all({ orgId, nobodys: false }, {})) events.push(...some)
      return events
    },
    add: system,
  },
  templates: {
    find: ({ templates }, org) => templates.find(org, MARK, null),
    list: ({ templates }, org) => templates.list(org, {}, everything),
    versions: ({ templates }, org) => templates.versions(org, MARK, everything),
    put: async ({ templates }, org) => {
      const done = await templates.put(org, aDocument({ name: 'ours' }))
      return done?.template.version
    },
    newest: ({ templates }, org) => templates.newest(org, MARK),
    isArchived: async ({ templates }, org) => ((await templates.isArchived(org, 'archived')) ? MARK : null),
    archive: ({ templates }, org) => templates.archive(org, MARK),
  },
}

/** Whose functions are above, by themselves or within another. */
const TRIED = [
  'createAccessStore',
  'createAdoptionStore',
  'createAgentDrains',
  'createAgentStore',
  'createApiKeyStore',
  'createAuditStore',
  'createCommandStore',
  'createIdempotencyStore',
  'createOrgStore',
  'createOrphanHalts',
  'createOrphanQueries',
  'createOrphanRemoval',
  'createOrphanStore',
  'createQuotaStore',
  'createSessionBatches',
  'createSessionQueries',
  'createSessionStore',
  'createSessionWriter',
  'createTemplateStore',
  'createWebhookStore',
]
/** What agents report, duties, retention: whose it is follows from the rows. No caller reaches them. */
const FOR_NOBODY = [
  'createDatabaseClock',
  'createDutyStore',
  'createInventoryReads',
  'createLeaseStore',
  'createFeed',
  'createOutbox',
  'createReportStore',
  'createRetentionStore',
  'createDeliveryStore',
  'createSecretKeyStore',
]

const TABLES = [
  ['webhooks', 'org_id = $1'],
  ['webhook_deliveries', 'org_id = $1'],
  ['audit_events', 'org_id = $1'],
  ['agents', 'org_id = $1'],
  ['api_keys', 'org_id = $1'],
  ['idempotency_keys', 'org_id = $1'],
  ['orgs', 'id = $1'],
  ['agent_leases', 'agent_id IN (SELECT id FROM agents WHERE org_id = $1)'],
  ['agent_drains', 'agent_id IN (SELECT id FROM agents WHERE org_id = $1)'],
  ['agent_events', 'agent_id IN (SELECT id FROM agents WHERE org_id = $1)'],
  ['orphan_brakes', 'agent_id IN (SELECT id FROM agents WHERE org_id = $1)'],
  ['orphans', 'org_id = $1'],
  ['org_orphan_removal', 'org_id = $1'],
  ['outbox', 'org_id = $1'],
  ['quotas', 'org_id = $1'],
  ['quota_usage', 'org_id = $1'],
  ['session_events', 'org_id = $1'],
  ['session_labels', 'org_id = $1'],
  ['session_words', 'org_id = $1'],
  ['session_moves', 'org_id = $1'],
  ['sessions', 'org_id = $1'],
  ['templates', 'org_id = $1'],
] as const

/** A database in which `globex` has one of everything. */
const populated = async (): Promise<{ readonly stores: Stores; readonly theirs: Theirs }> => {
  const stores = await openStores()
  await stores.quotas.set(GLOBEX, { ...noQuota, maxSessions: 7 }, null)
  const agent = await anAgent(stores, { id: `agent-${MARK}`, orgId: GLOBEX })
  const session = await aSessionOn(stores, agent.agentId, { orgId: GLOBEX, name: MARK, labels: { mark: MARK } })
  const [orphan, approved] = someOrphans(2)
  if (orphan === undefined || approved === undefined) throw new Error('no orphans')
  await orphansOf(stores).record(agent, [orphan, approved], { sessions: 1 })
  await stores.orphans.approve({ id: agent.agentId, orgId: GLOBEX }, [approved.entry.sessionId], 'user:theirs')
  await stores.orphans.haltOrg(GLOBEX, MARK)
  await stores.ask(
    `INSERT INTO agent_events (agent_id, type, data, actor) VALUES ($1, 'orphans_seen', '{}', $2)`,
    agent.agentId,
    MARK,
  )
  await stores.audit.add([anAuditEntry({ orgId: GLOBEX, resourceId: MARK })])
  await stores.ask(
    `INSERT INTO session_moves (session_id, org_id, from_agent, generation) VALUES ($1, $2, $3, 1)`,
    session.id,
    GLOBEX,
    agent.agentId,
  )
  await stores.templates.put(GLOBEX, aDocument({ name: MARK }))
  await stores.templates.put(GLOBEX, aDocument({ name: 'archived' }))
  await stores.templates.archive(GLOBEX, 'archived')
  const key = await stores.apiKeys.add(aKey({ name: MARK }))
  await stores.answers.keep(theirAnswer)
  const webhook = right(
    await stores.webhooks.add({
      id: ids.webhook(),
      orgId: GLOBEX,
      url: `https://${MARK}`,
      events: ['*'],
      labels: {},
      secret: 'whsec_dGhlaXJz',
    }),
  )
  const delivery = ids.webhookDelivery()
  await stores.ask(
    `INSERT INTO webhook_deliveries (id, org_id, webhook_id, event_id, session_id, type, body, status, last_error)
     VALUES ($1, $2, $3, 1, $4, 'running', '{}', 'dead', $5)`,
    delivery,
    GLOBEX,
    webhook.id,
    session.id,
    MARK,
  )
  const commandId = await commandIdOf(stores, session.id)
  await stores.ask('UPDATE outbox SET last_error = $2 WHERE command_id = $1', commandId, MARK)
  const command = await stores.commands.get(scope(GLOBEX), commandId)
  if (command === null) throw new Error('no command')
  return { stores, theirs: { agent, session, orphan, command, key, webhook, delivery } }
}

const pictureOf = async ({ ask }: Stores): Promise<unknown> =>
  Object.fromEntries(
    await Promise.all(
      TABLES.map(async ([table, where]) => [
        table,
        await ask(`SELECT to_jsonb(t) AS row FROM ${table} t WHERE ${where} ORDER BY to_jsonb(t)::text`, GLOBEX),
      ]),
    ),
  )

describe('what is another org’s', () => {
  let stores: Stores
  let theirs: Theirs

  before(async () => {
    ;({ stores, theirs } = await populated())
  })
  after(() => stores.close())

  /** It says nothing, whether it answers or throws, and nothing of theirs is another. */
  const learnsNothing = async (attempt: Attempt, among: Stores, org: OrgId): Promise<void> => {
    const before = await pictureOf(stores)
    const answer = await attempt(among, org, theirs).catch((error: Error) => {
      expect((error as { code?: string }).code, error.stack).to.equal('42501')
      return null
    })
    expect(JSON.stringify(answer) ?? '').not.to.include(MARK)
    expect(Number(answer) > 0 && org === GLOBEX, String(answer)).to.equal(false)
    expect(await pictureOf(stores)).to.deep.equal(before)
  }

  /** Whatever org is asked for, the connection is set to ours; within a transaction too. */
  const onlyAcmes = (database: Database): Database => ({
    ...database,
    of: () => database.of(ACME),
    together: (work) => database.together((bound) => work(onlyAcmes(bound))),
  })

  const among = (database: Database): Stores => ({ ...stores, ...storesOver(database) }) as Stores

  for (const [store, functions] of Object.entries(attempts)) {
    it(`is tried with everything that ${store} can do`, () => {
      expect(Object.keys(stores[store as never] as object).toSorted()).to.deep.equal(Object.keys(functions).toSorted())
    })
    for (const [name, attempt] of Object.entries(functions)) {
      if (attempt === system) continue
      // Else nothing could be seen of what the locks do.
      it(`is what ${store}.${name} shows or changes for its own org`, async () => {
        const own = await populated()
        try {
          const before = JSON.stringify(await pictureOf(own.stores))
          const answer = await attempt(own.stores, GLOBEX, own.theirs).catch((error: Error) => {
            if (error.message !== MARK) throw error
            return MARK
          })
          const shows = answer === true || Number(answer) > 0 || (JSON.stringify(answer) ?? '').includes(MARK)
          expect(shows || JSON.stringify(await pictureOf(own.stores)) !== before, JSON.stringify(answer)).to.equal(true)
        } finally {
          await own.stores.close()
        }
      })
      it(`is hidden from ${store}.${name} where its statement names the wrong org`, async () => {
        // The first lock is gone: the statement asks for theirs. The connection is ours.
        await learnsNothing(attempt, among(onlyAcmes(stores.database)), GLOBEX)
      })
      it(`is hidden from ${store}.${name} where PostgreSQL shows everything`, async () => {
        // The second lock is gone: nobody's row level security. The statement asks for ours.
        const owner = openDatabase({ url: stores.url, as: 'login', maxConnections: 2 })
        try {
          await learnsNothing(attempt, among(owner), ACME)
        } finally {
          await owner.close()
        }
      })
    }
  }

  it('is tried with every store that there is', async () => {
    const folder = new URL('../../../adapters/postgres/', import.meta.url)
    const makers: string[] = []
    for (const file of await readdir(folder)) {
      const source = await readFile(new URL(file, folder), 'utf8')
      for (const [, name] of source.matchAll(
        /^export const (create\w+) = (?:async )?\(\s*database: (?:Database|Tenants)\b/gm,
      ))
        makers.push(name ?? '')
    }
    expect(makers.toSorted()).to.deep.equal([...TRIED, ...FOR_NOBODY].toSorted())
  })

  it('is not written for them by whoever writes for several', async () => {
    const creation = aCreation(nowhere, { orgId: GLOBEX })
    const before = await pictureOf(stores)
    const committed = await among({ ...stores.database, of: () => stores.database.of(ACME) })
      .unitOfWork.commit(creation)
      .catch((error: { code?: string }) => error.code)
    expect(committed).to.equal('42501')
    expect(await pictureOf(stores)).to.deep.equal(before)
  })

  it('is behind row level security in every table, or in none that an org can ask', async () => {
    const open = await stores.ask(`
      SELECT c.relname FROM pg_class c
       WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relrowsecurity ORDER BY 1`)
    expect(open.map(({ relname }) => relname)).to.deep.equal(['schema_version'])
  })

  it('is passed by by neither role, and neither owns anything', async () => {
    const roles = await stores.ask(`
      SELECT rolname, rolsuper, rolbypassrls, rolcanlogin,
             (SELECT count(*) FROM pg_class WHERE relowner = pg_roles.oid) AS owned
        FROM pg_roles WHERE rolname LIKE 'streamspace\\_%' ORDER BY 1`)
    const none = { rolsuper: false, rolbypassrls: false, rolcanlogin: false, owned: 0 }
    expect(roles).to.deep.equal([
      { rolname: 'streamspace_system', ...none },
      { rolname: 'streamspace_tenant', ...none },
    ])
  })

  it('moves on, whoever ends all the moves that there are for an org', async () => {
    const before = await pictureOf(stores)
    const ended = await stores.database.of(ACME).query({ text: 'DELETE FROM session_moves' })
    expect(ended.rowCount).to.equal(0)
    expect(await pictureOf(stores)).to.deep.equal(before)
    const own = await stores.database.of(GLOBEX).query({ text: 'DELETE FROM session_moves' })
    expect(own.rowCount).to.equal(1)
  })

  it('is nothing where no org was said', async () => {
    const { rows } = await stores.database.of([]).query({ text: 'SELECT count(*) AS n FROM sessions' })
    expect(rows).to.deep.equal([{ n: 0 }])
  })
})
