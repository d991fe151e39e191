/**
 * How each operation is asked rightly: what has to be there first, and what is sent. An operation without an entry does not
 * compile, so that the fuzz run covers whatever is added.
 */
import type { OperationId } from '../../../src/api/routes.ts'

/** A request that is answered with 2xx. */
export type Right = {
  readonly params?: { readonly [name: string]: string }
  readonly query?: string
  readonly body?: unknown
}

/** What there is to ask about. Some of it is used up by what is asked. */
export type World = {
  /** Different each time. */
  readonly unique: () => string
  /** A session that is there; its state is whatever it is. */
  readonly session: () => Promise<string>
  readonly newSession: () => Promise<string>
  /** Each time another one. */
  readonly runningSession: () => Promise<string>
  readonly template: () => Promise<string>
  readonly newTemplate: () => Promise<string>
  /** Enrolled, and never connected. */
  readonly agent: () => Promise<string>
  readonly newAgent: () => Promise<string>
  readonly command: () => Promise<string>
  readonly pendingCommand: () => Promise<string>
  readonly expiredCommand: () => Promise<string>
  readonly failedJob: () => Promise<{ readonly queue: string; readonly id: string }>
  readonly orphan: () => Promise<{ readonly agentId: string; readonly sessionId: string }>
  /** Asked to be drained once. */
  readonly drainedAgent: () => Promise<string>
  readonly key: () => Promise<string>
  readonly newKey: () => Promise<string>
  readonly org: () => Promise<string>
  readonly newOrg: () => Promise<string>
  readonly webhook: () => Promise<string>
  readonly newWebhook: () => Promise<string>
  readonly deadDelivery: () => Promise<{ readonly id: string; readonly deliveryId: string }>
}

/** Nobody listens there, and hardly anything is sent. */
export const aWebhook = { url: 'http://127.0.0.1:9/', events: ['restored'], labels: { fuzz: 'never' } }

type Recipe = (world: World) => Right | Promise<Right>

const nothing: Recipe = () => ({})
const about =
  (thing: (world: World) => Promise<string>, name = 'id'): Recipe =>
  async (world) => ({ params: { [name]: await thing(world) } })

const session = about((world) => world.session())
const runningSession = about((world) => world.runningSession())
const newSession = about((world) => world.newSession())
const agent = about((world) => world.agent())

export const operations: { readonly [K in OperationId]: Recipe } = {
  listSessions: nothing,
  createSession: () => ({ body: { template: 'hello-web', labels: { fuzz: 'yes' }, name: 'fuzzed' } }),
  planSession: () => ({ body: { template: 'hello-web', name: 'planned' } }),
  batchSessions: async (world) => ({ body: { action: 'stop', ids: [await world.session()], expectedCount: 1 } }),
  summarizeSessions: nothing,
  getSession: session,
  changeSession: async (world) => ({
    ...(await session(world)),
    body: { name: `n-${world.unique()}`, labels: { a: 'b' } },
  }),
  deleteSession: newSession,
  startSession: newSession,
  stopSession: newSession,
  hibernateSession: runningSession,
  wakeSession: newSession,
  restartSession: runningSession,
  touchSession: session,
  listSessionEvents: session,
  listSessionCommands: session,
  watchSessions: nothing,

  listTemplates: nothing,
  putTemplate: (world) => ({
    body: { name: `t-${world.unique()}`, displayName: 'Fuzzed', spec: { process: { command: ['true'] } } },
  }),
  getTemplate: about((world) => world.template(), 'name'),
  archiveTemplate: about((world) => world.newTemplate(), 'name'),
  listTemplateVersions: about((world) => world.template(), 'name'),

  listAgents: nothing,
  enrolAgent: (world) => ({ body: { id: `a-${world.unique()}`, platform: 'process' } }),
  getAgent: agent,
  removeAgent: about((world) => world.newAgent()),
  rotateAgentToken: agent,
  cordonAgent: agent,
  uncordonAgent: agent,
  drainAgent: agent,
  getAgentDrain: about((world) => world.drainedAgent()),
  listOrphans: agent,
  approveOrphans: agent,
  adoptOrphan: async (world) => {
    const { agentId, sessionId } = await world.orphan()
    return { params: { id: agentId, sessionId }, body: { orgId: 'default', userId: 'ada', template: 'quiet-app' } }
  },
  listAgentEvents: agent,
  getOrphanRemoval: nothing,
  haltOrphanRemoval: nothing,
  resumeOrphanRemoval: nothing,
  getOrgOrphanRemoval: about((world) => world.org()),
  haltOrgOrphanRemoval: about((world) => world.org()),
  resumeOrgOrphanRemoval: about((world) => world.org()),

  listCommands: nothing,
  getCommand: about((world) => world.command()),
  redriveCommand: about((world) => world.expiredCommand()),
  cancelCommand: about((world) => world.pendingCommand()),

  listQueues: nothing,
  listJobs: () => ({ params: { queue: 'duty.sweep' } }),
  retryJob: async (world) => ({ params: await world.failedJob() }),

  listOrgs: nothing,
  createOrg: (world) => ({ body: { id: `o-${world.unique()}` } }),
  getOrg: about((world) => world.org()),
  deleteOrg: about((world) => world.newOrg()),

  getQuota: about((world) => world.org()),
  setQuota: async (world) => ({
    params: { id: await world.org() },
    body: { maxSessions: 7, perUser: { maxRunning: 3 } },
  }),
  getUsage: about((world) => world.org()),

  listApiKeys: nothing,
  createApiKey: () => ({ body: { role: 'viewer', name: 'fuzzed' } }),
  getApiKey: about((world) => world.key()),
  rotateApiKey: about((world) => world.newKey()),
  revokeApiKey: about((world) => world.newKey()),

  listAudit: nothing,
  exportAudit: nothing,

  listWebhooks: nothing,
  createWebhook: () => ({ body: aWebhook }),
  getWebhook: about((world) => world.webhook()),
  changeWebhook: async (world) => ({
    params: { id: await world.webhook() },
    body: { labels: { fuzz: world.unique() } },
  }),
  deleteWebhook: about((world) => world.newWebhook()),
  rotateWebhookSecret: about((world) => world.webhook()),
  listWebhookDeliveries: about((world) => world.webhook()),
  redriveWebhookDelivery: async (world) => ({ params: await world.deadDelivery() }),

  getMetrics: nothing,
  getHealth: nothing,
  getReadiness: nothing,
  getOpenApi: nothing,
}
