/**
 * Who may do what: for each operation, on what is one's own, another user's of the org, and another org's, the status that each
 * role is answered with. The roles are in the order of `ROLES`. An operation without a row does not compile.
 */
import { roles } from '../../domain/identity/caller.ts'
import type { OperationId } from '../../src/api/routes.ts'

export const ROLES = roles

/** Five statuses, one a role: viewer, user, operator, admin, installation. */
export type Statuses = readonly [number, number, number, number, number]
const all = (status: number): Statuses => [status, status, status, status, status]

export type Whose = 'own' | 'others' | 'elsewhere'

/** What there has to be before it is asked; each time anew, as an operation may end it. */
export type Thing =
  | 'nothing'
  | 'session'
  | 'stopped session'
  | 'template'
  | 'agent'
  | 'command'
  | 'key'
  | 'org'
  | 'queue'
  | 'webhook'

export type Row = {
  readonly on: Thing
  readonly body?: object
  /** Left out: it is about nothing that is anybody's. */
  readonly statuses: { readonly own: Statuses; readonly others?: Statuses; readonly elsewhere?: Statuses }
}

const readSession: Row['statuses'] = { own: all(200), others: [200, 404, 200, 200, 200], elsewhere: all(404) }
const changeSession = (status: number): Row['statuses'] => ({
  own: [403, status, status, status, status],
  others: [403, 404, status, status, status],
  elsewhere: all(404),
})
/** Of the org, not of a user; a `user` sees none of them. */
const readAgent: Row['statuses'] = { own: [200, 403, 200, 200, 200], elsewhere: all(404) }
const changeAgent = (status: number): Row['statuses'] => ({
  own: [403, 403, status, status, status],
  elsewhere: all(404),
})
const operate = (status: number): Row['statuses'] => ({ own: [403, 403, status, status, status] })
const administer = (status: number): Row['statuses'] => ({
  own: [403, 403, 403, status, status],
  elsewhere: all(404),
})
/** Of an org: its operators', and the installation's, which sees all orgs. */
const operateOrg = (status: number): Row['statuses'] => ({
  own: [403, 403, status, status, status],
  elsewhere: [404, 404, 404, 404, status],
})
const install = (status: number): Row['statuses'] => ({ own: [403, 403, 403, 403, status] })

export type Matrix = { readonly [K in OperationId]: Row }

export const matrix: Matrix = {
  listSessions: { on: 'nothing', statuses: { own: all(200) } },
  createSession: { on: 'nothing', body: { template: 'hello-web' }, statuses: { own: [403, 201, 201, 201, 201] } },
  planSession: { on: 'nothing', body: { template: 'hello-web' }, statuses: { own: [403, 200, 200, 200, 200] } },
  // Whose each of them is, is answered for each (test/e2e/batch.test.ts).
  batchSessions: {
    on: 'nothing',
    body: { action: 'stop', filter: { q: 'none is called so' }, expectedCount: 0 },
    statuses: { own: [403, 200, 200, 200, 200] },
  },
  summarizeSessions: { on: 'nothing', statuses: { own: all(200) } },
  getSession: { on: 'session', statuses: readSession },
  changeSession: { on: 'session', body: { name: 'another' }, statuses: changeSession(200) },
  deleteSession: { on: 'session', statuses: changeSession(202) },
  startSession: { on: 'stopped session', statuses: changeSession(202) },
  stopSession: { on: 'session', statuses: changeSession(202) },
  hibernateSession: { on: 'session', statuses: changeSession(409) },
  wakeSession: { on: 'stopped session', statuses: changeSession(202) },
  restartSession: { on: 'session', statuses: changeSession(409) },
  touchSession: { on: 'session', statuses: changeSession(204) },
  listSessionEvents: { on: 'session', statuses: readSession },
  listSessionCommands: { on: 'session', statuses: readSession },

  watchSessions: { on: 'nothing', statuses: { own: all(200) } },

  listTemplates: { on: 'nothing', statuses: { own: all(200) } },
  putTemplate: {
    on: 'nothing',
    body: { name: 'made-here', displayName: 'Made here', spec: { process: { command: ['true'] } } },
    statuses: { own: [403, 403, 201, 200, 200] },
  },
  getTemplate: { on: 'template', statuses: { own: all(200), elsewhere: all(404) } },
  archiveTemplate: { on: 'template', statuses: { own: [403, 403, 204, 204, 204], elsewhere: all(404) } },
  listTemplateVersions: { on: 'template', statuses: { own: all(200), elsewhere: all(404) } },

  listAgents: { on: 'nothing', statuses: { own: [200, 403, 200, 200, 200] } },
  enrolAgent: { on: 'nothing', body: { id: '*', platform: 'process' }, statuses: operate(201) },
  getAgent: { on: 'agent', statuses: readAgent },
  removeAgent: { on: 'agent', statuses: changeAgent(204) },
  rotateAgentToken: { on: 'agent', statuses: changeAgent(200) },
  cordonAgent: { on: 'agent', statuses: changeAgent(200) },
  drainAgent: { on: 'agent', statuses: changeAgent(202) },
  getAgentDrain: { on: 'agent', statuses: readAgent },
  uncordonAgent: { on: 'agent', statuses: changeAgent(200) },
  listOrphans: { on: 'agent', statuses: changeAgent(200) },
  approveOrphans: { on: 'agent', statuses: changeAgent(202) },
  // There is no such orphan: nobody but an operator is told so.
  adoptOrphan: {
    on: 'agent',
    body: { orgId: '*', userId: 'somebody', template: 'hello-web' },
    statuses: changeAgent(404),
  },
  listAgentEvents: { on: 'agent', statuses: changeAgent(200) },
  getOrphanRemoval: { on: 'nothing', statuses: install(200) },
  haltOrphanRemoval: { on: 'nothing', statuses: install(200) },
  resumeOrphanRemoval: { on: 'nothing', statuses: install(200) },
  getOrgOrphanRemoval: { on: 'org', statuses: operateOrg(200) },
  haltOrgOrphanRemoval: { on: 'org', statuses: operateOrg(200) },
  resumeOrgOrphanRemoval: { on: 'org', statuses: operateOrg(200) },

  listCommands: { on: 'nothing', statuses: { own: [200, 403, 200, 200, 200] } },
  getCommand: {
    on: 'command',
    statuses: { own: [200, 403, 200, 200, 200], others: [200, 404, 200, 200, 200], elsewhere: all(404) },
  },
  redriveCommand: {
    on: 'command',
    statuses: { own: [403, 403, 409, 409, 409], others: [403, 404, 409, 409, 409], elsewhere: all(404) },
  },
  cancelCommand: {
    on: 'command',
    statuses: { own: [403, 403, 202, 202, 202], others: [403, 404, 202, 202, 202], elsewhere: all(404) },
  },

  listQueues: { on: 'nothing', statuses: install(200) },
  listJobs: { on: 'queue', statuses: install(200) },
  retryJob: { on: 'queue', statuses: install(404) },

  listOrgs: { on: 'nothing', statuses: install(200) },
  createOrg: { on: 'nothing', body: { id: '*' }, statuses: install(201) },
  // The installation sees all of them.
  getOrg: { on: 'org', statuses: { own: [403, 403, 403, 200, 200], elsewhere: [404, 404, 404, 404, 200] } },
  deleteOrg: { on: 'org', statuses: { own: [403, 403, 403, 403, 409], elsewhere: [403, 403, 403, 403, 204] } },
  getQuota: { on: 'org', statuses: { own: [403, 403, 403, 200, 200], elsewhere: [404, 404, 404, 404, 200] } },
  setQuota: {
    on: 'org',
    body: { maxSessions: 100_000 },
    statuses: { own: [403, 403, 403, 403, 200], elsewhere: [404, 404, 404, 404, 200] },
  },
  getUsage: { on: 'org', statuses: { own: [403, 403, 403, 200, 200], elsewhere: [404, 404, 404, 404, 200] } },

  listApiKeys: { on: 'nothing', statuses: { own: [403, 403, 403, 200, 200] } },
  createApiKey: { on: 'nothing', body: { role: 'viewer' }, statuses: { own: [403, 403, 403, 201, 201] } },
  getApiKey: { on: 'key', statuses: administer(200) },
  rotateApiKey: { on: 'key', statuses: administer(201) },
  revokeApiKey: { on: 'key', statuses: administer(204) },

  listWebhooks: { on: 'nothing', statuses: { own: [403, 403, 403, 200, 200] } },
  createWebhook: {
    on: 'nothing',
    body: { url: 'https://192.0.66.2/', events: ['restored'] },
    statuses: { own: [403, 403, 403, 201, 201] },
  },
  getWebhook: { on: 'webhook', statuses: administer(200) },
  changeWebhook: { on: 'webhook', body: { labels: { team: 'web' } }, statuses: administer(200) },
  deleteWebhook: { on: 'webhook', statuses: administer(204) },
  rotateWebhookSecret: { on: 'webhook', statuses: administer(200) },
  listWebhookDeliveries: { on: 'webhook', statuses: administer(200) },
  // There is no such delivery: nobody but an admin is told so.
  redriveWebhookDelivery: { on: 'webhook', statuses: administer(404) },

  listAudit: { on: 'nothing', statuses: { own: [403, 403, 403, 200, 200] } },
  exportAudit: { on: 'nothing', statuses: { own: [403, 403, 403, 200, 200] } },

  getHealth: { on: 'nothing', statuses: { own: all(200) } },
  getReadiness: { on: 'nothing', statuses: { own: all(200) } },
  getMetrics: { on: 'nothing', statuses: { own: all(200) } },
  getOpenApi: { on: 'nothing', statuses: { own: all(200) } },
}
