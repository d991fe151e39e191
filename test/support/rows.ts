/**
 * Rows for tests of the PostgreSQL adapter: every store over one fresh database, and the shortest way to
 * an agent that is connected and a session that is placed on it. What is written here goes through the
 * product's own stores.
 */
import { createAccessStore } from '../../adapters/postgres/access.ts'
import { createAdoptionStore } from '../../adapters/postgres/adoption.ts'
import { createAgentDrains } from '../../adapters/postgres/agent-drains.ts'
import { createAgentStore } from '../../adapters/postgres/agents.ts'
import { createApiKeyStore } from '../../adapters/postgres/api-keys.ts'
import { createAuditStore } from '../../adapters/postgres/audit.ts'
import { createCommandStore } from '../../adapters/postgres/commands.ts'
import { createCursors } from '../../adapters/postgres/cursor.ts'
import { createDutyStore } from '../../adapters/postgres/duties.ts'
import { createFeed } from '../../adapters/postgres/feed.ts'
import { createIdempotencyStore } from '../../adapters/postgres/idempotency.ts'
import { createInventoryReads } from '../../adapters/postgres/inventory-reads.ts'
import { createLeaseStore } from '../../adapters/postgres/leases.ts'
import { createOrgStore } from '../../adapters/postgres/orgs.ts'
import { createOrphanStore } from '../../adapters/postgres/orphans.ts'
import { createOutbox } from '../../adapters/postgres/outbox.ts'
import { type Database, openDatabase, type Query, type Row } from '../../adapters/postgres/pool.ts'
import { createQuotaStore } from '../../adapters/postgres/quotas.ts'
import { createReportStore } from '../../adapters/postgres/reports.ts'
import { createRetentionStore } from '../../adapters/postgres/retention.ts'
import { createSessionBatches } from '../../adapters/postgres/session-batches.ts'
import { createSessionQueries } from '../../adapters/postgres/session-queries.ts'
import { createSessionStore } from '../../adapters/postgres/session-store.ts'
import { createSessionWriter } from '../../adapters/postgres/session-writer.ts'
import { createTemplateStore } from '../../adapters/postgres/templates.ts'
import { createDeliveryStore } from '../../adapters/postgres/webhook-deliveries.ts'
import { createWebhookStore } from '../../adapters/postgres/webhooks.ts'
import { createIds } from '../../adapters/secrets/ids.ts'
import { createSealer, createTextSealer, WEBHOOK_SECRETS } from '../../adapters/secrets/sealer.ts'
import { E } from '../../domain/fp.ts'
import type { AgentId, CommandId, OrgId, ReplicaId, SessionId, UserId } from '../../domain/ids.ts'
import type { OwnedAgent, Peer } from '../../domain/ports/agents.ts'
import type { ReportWrite } from '../../domain/ports/reports.ts'
import type { SecretEnv } from '../../domain/ports/unit-of-work.ts'
import type { DeliveryJob } from '../../domain/ports/webhooks.ts'
import { create } from '../../domain/session/decide.ts'
import type { Intent, Slot } from '../../domain/session/decision.ts'
import { observe } from '../../domain/session/observe.ts'
import { type Decision, nothingObserved, type Session } from '../../domain/session/session.ts'
import type { ObservedStatus, StatusReason } from '../../domain/session/words.ts'
import { gatherInventories } from '../../src/delivery/gathered-inventories.ts'
import { createUnitOfWork } from '../../src/usecases/unit-of-work.ts'
import { type FreshDatabase, freshDatabase } from './postgres.ts'

export const ids = createIds()
export const ACME = 'acme' as OrgId
export const GLOBEX = 'globex' as OrgId
export const ANNA = 'anna' as UserId
export const BEN = 'ben' as UserId
export const timeouts = { pendingMs: 600_000, startMs: 300_000, stopMs: 60_000 }
export const TTL_MS = 900_000
export const WEBHOOKS_AN_ORG = 10
/** The replica that holds the agents of a test unless it says otherwise. */
export const replicaId = ids.replica()

export const agentNamed = (name: string): AgentId => name as AgentId
export const acme = { orgId: ACME, ownerId: null } as const
export const globex = { orgId: GLOBEX, ownerId: null } as const

export type Stores = Awaited<ReturnType<typeof openStores>>

/** The same, and each single statement is told of. */
export const overheard = (database: Database, told: (query: Query) => void): Database => {
  const telling = <Q extends Pick<Database, 'query'>>(queries: Q): Q => ({
    ...queries,
    query: (asked: Query) => {
      told(asked)
      return queries.query(asked)
    },
  })
  return { ...telling(database), of: (orgs) => telling(database.of(orgs)) }
}

/** All stores over `database`, which a test may have wrapped. `owner` looks past the locks between orgs. */
export const storesOver = (database: Database, owner: Database = database) => {
  const keyring = { current: 'a test has no secrets', previous: [] }
  const sealer = createSealer(keyring)
  const webhookSecrets = createTextSealer(keyring, WEBHOOK_SECRETS)
  /** What was to be carried by jobs. */
  const sent: DeliveryJob[] = []
  const jobs = { send: async (more: readonly DeliveryJob[]) => void sent.push(...more) }
  const cursors = createCursors(Buffer.alloc(32, 7))
  const clock = { now: () => new Date() }
  const outbox = createOutbox(database, { unseal: sealer.unseal, startTimeoutMs: timeouts.startMs })
  return {
    database,
    sealer,
    unitOfWork: createUnitOfWork(createSessionWriter(database, { commandTtlMs: TTL_MS, seal: sealer.seal })),
    reports: createReportStore(database, { commandTtlMs: TTL_MS }),
    inventories: gatherInventories(createInventoryReads(database)),
    leases: createLeaseStore(database),
    outbox,
    /** Of one lane alone. */
    due: async (peer: Peer, limit: number, inFlight: readonly number[], after = 0) =>
      (await outbox.due([{ peer, limit, after, inFlight }]))[0]?.commands ?? [],
    sessions: createSessionStore(database, { agentSilentAfterMs: 90_000 }),
    batches: createSessionBatches(database, { agentSilentAfterMs: 90_000 }),
    queries: createSessionQueries(database, cursors, { agentSilentAfterMs: 90_000 }),
    drains: createAgentDrains(database, cursors, { commandTtlMs: TTL_MS, seal: sealer.seal }),
    agents: createAgentStore(database, cursors, clock, { heartbeatIntervalMs: 15_000 }),
    duties: createDutyStore(database),
    retention: createRetentionStore(database),
    feed: createFeed(database),
    commands: createCommandStore(database, { commandTtlMs: TTL_MS }),
    orphans: createOrphanStore(database, cursors),
    adoption: createAdoptionStore(database, { commandTtlMs: TTL_MS, seal: sealer.seal }),
    templates: createTemplateStore(database, cursors, ids),
    quotas: createQuotaStore(database),
    access: createAccessStore(database),
    apiKeys: createApiKeyStore(database, cursors),
    orgs: createOrgStore(database, cursors),
    answers: createIdempotencyStore(database),
    webhooks: createWebhookStore(database, cursors, { seal: webhookSecrets.seal, jobs, perOrg: WEBHOOKS_AN_ORG }),
    deliveries: createDeliveryStore(database, { feed: createFeed(database), jobs, ids, unseal: webhookSecrets.unseal }),
    sent,
    audit: createAuditStore(database, cursors),
    ask: async (text: string, ...values: unknown[]): Promise<readonly Row[]> =>
      (await owner.query({ text, values })).rows,
  }
}

/** A fresh database with two orgs, and all stores over it. */
export const openStores = async (options: { readonly maxConnections?: number } = {}) => {
  const fresh: FreshDatabase = await freshDatabase()
  const database = openDatabase({ url: fresh.url, ...options })
  const owner = openDatabase({ url: fresh.url, as: 'login' })
  const stores = storesOver(database, owner)
  await stores.ask(`INSERT INTO orgs (id, name) VALUES ('acme', 'Acme'), ('globex', 'Globex')`)
  return {
    ...stores,
    url: fresh.url,
    close: async () => {
      await Promise.all([database.close(), owner.close()])
      await fresh.drop()
    },
  }
}

export const PLENTY = { maxSessions: 1_000, cpuMillis: 1_000_000, memoryMib: 1_000_000 }

type AgentBrief = {
  readonly id: string
  readonly orgId?: OrgId | null
  readonly capacity?: typeof PLENTY
  readonly platform?: string
}

export const ofAcme = (id: AgentId): OwnedAgent => ({ id, orgId: ACME })

/** Enrolled, never connected. */
export const enrolled = async (
  { agents }: Pick<Stores, 'agents'>,
  { id, orgId = ACME, platform = 'process' }: AgentBrief,
): Promise<AgentId> => {
  const tokenHash = Buffer.from(`token of ${id}`)
  const agentId = agentNamed(id)
  await agents.enrol({ id: agentId, orgId, platform, region: null, labels: {}, tokenHash })
  return agentId
}

/** The agent connects (again): the peer has the new epoch. */
export const connected = async (
  { leases }: Pick<Stores, 'leases'>,
  agentId: AgentId,
  options: { readonly capacity?: typeof PLENTY; readonly lastEpoch?: number; readonly replica?: ReplicaId } = {},
): Promise<Peer> => {
  const { capacity = PLENTY, lastEpoch = null, replica = replicaId } = options
  const answer = await leases.connect({
    agentId,
    replicaId: replica,
    version: '2.0.0',
    region: null,
    labels: {},
    capacity,
    lastEpoch,
  })
  if (E.isLeft(answer)) throw new Error(`agent ${agentId} is gone`)
  return { agentId, epoch: answer.right.epoch }
}

export const anAgent = async (stores: Pick<Stores, 'agents' | 'leases'>, brief: AgentBrief): Promise<Peer> =>
  connected(stores, await enrolled(stores, brief), brief.capacity === undefined ? {} : { capacity: brief.capacity })

export const anIntent = (overrides: Partial<Intent> = {}): Intent => ({
  actor: `user:${ANNA}`,
  at: new Date(),
  commandId: ids.command(),
  timeouts,
  ...overrides,
})

/** Asked for, and nothing decided yet. */
export const aDraft = (overrides: Partial<Session> = {}): Session => {
  const at = overrides.createdAt ?? new Date()
  return {
    id: ids.session(),
    orgId: ACME,
    userId: ANNA,
    name: 'a session',
    template: { id: ids.template(), name: 'hello-web', version: 1 },
    placement: { platforms: ['process'], platform: null, region: null, agentId: null },
    platform: null,
    region: null,
    agentId: null,
    reservedOn: null,
    desiredState: 'running',
    generation: 1,
    observedGeneration: 0,
    status: 'pending',
    statusReason: null,
    statusMessage: null,
    refusals: [],
    waitingSince: at,
    statusDeadline: null,
    incarnation: 0,
    labels: {},
    parameters: {},
    env: {},
    spec: {
      process: { command: ['node', 'server.js'] },
      resources: { cpuMillis: 500, memoryMib: 512 },
      env: {},
    } as unknown as Session['spec'],
    resources: { cpuMillis: 500, memoryMib: 512 },
    persistentHome: true,
    observed: nothingObserved,
    idleTimeoutSeconds: null,
    maxDurationSeconds: null,
    lastActivityAt: at,
    startedAt: null,
    createdAt: at,
    updatedAt: at,
    deletedAt: null,
    version: 1,
    revision: 1,
    ...overrides,
  }
}

export const on = (agentId: AgentId): Slot => ({ kind: 'placed', agentId, platform: 'process', region: null })
export const nowhere: Slot = { kind: 'waiting', reason: 'no_capacity', message: 'every agent is full' }

export const aCreation = (slot: Slot, overrides: Partial<Session> = {}, intent: Partial<Intent> = {}): Decision =>
  create(aDraft(overrides), slot, anIntent(intent))

/** Committed; a refusal fails the test. */
export const commit = async (
  { unitOfWork }: Pick<Stores, 'unitOfWork'>,
  decision: Decision,
  secrets?: SecretEnv,
): Promise<Session> => {
  const committed = await unitOfWork.commit(decision, { secrets })
  if (E.isLeft(committed)) throw new Error(`not committed: ${committed.left._tag}`)
  return decision.session
}

/** A session on an agent, its start command pending. */
export const aSessionOn = (
  stores: Pick<Stores, 'unitOfWork'>,
  agentId: AgentId,
  overrides: Partial<Session> = {},
): Promise<Session> => commit(stores, aCreation(on(agentId), overrides))

/** What a decider gave, where a refusal would be a mistake of the test. */
export const right = <A>(either: E.Either<unknown, A>): A => {
  if (E.isLeft(either)) throw new Error(`refused: ${JSON.stringify(either.left)}`)
  return either.right
}

/** What the agent's report makes of the session. */
export const reported = (
  session: Session,
  peer: Peer,
  status: ObservedStatus,
  reason: StatusReason | null = null,
): Decision => {
  const outcome = observe(
    session,
    { generation: session.generation, status, reason, message: null, observed: {} },
    { agentId: peer.agentId, at: new Date(), timeouts },
  )
  if (outcome.kind !== 'decided') throw new Error(outcome.kind)
  return outcome.decision
}

export const aWrite = (peer: Peer, decision: Decision, overrides: Partial<ReportWrite> = {}): ReportWrite => ({
  peer,
  sessionId: decision.session.id,
  decision,
  outcomes: [],
  doneUpTo: null,
  ...overrides,
})

export const theSession = async ({ sessions }: Pick<Stores, 'sessions'>, id: SessionId): Promise<Session> => {
  const [session] = await sessions.loadMany([id])
  if (session === undefined) throw new Error(`no session ${id}`)
  return session
}

/** The commands of a session, oldest first, as rows. */
export const commandsOf = ({ ask }: Pick<Stores, 'ask'>, id: SessionId): Promise<readonly Row[]> =>
  ask('SELECT * FROM outbox WHERE session_id = $1 ORDER BY id', id)

export const commandIdOf = async (stores: Pick<Stores, 'ask'>, id: SessionId): Promise<CommandId> =>
  (await commandsOf(stores, id)).at(-1)?.command_id

export const allocatedOn = async ({ ask }: Pick<Stores, 'ask'>, agentId: AgentId): Promise<readonly number[]> => {
  const [row] = await ask(
    `SELECT allocated_sessions, allocated_cpu_millis, allocated_memory_mib FROM agents WHERE id = $1`,
    agentId,
  )
  return [row.allocated_sessions, row.allocated_cpu_millis, row.allocated_memory_mib]
}

/** Invariant 5: what an agent has allocated is the sum over the sessions that hold capacity there. */
export const heldOn = async ({ ask }: Pick<Stores, 'ask'>, agentId: AgentId): Promise<readonly number[]> => {
  const [row] = await ask(
    `SELECT count(*) AS sessions, coalesce(sum(cpu_millis), 0)::bigint AS cpu, coalesce(sum(memory_mib), 0)::bigint AS memory
       FROM sessions WHERE reserved_on = $1`,
    agentId,
  )
  return [row.sessions, row.cpu, row.memory]
}
