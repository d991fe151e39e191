/** An application in memory: just enough to see what HTTP makes of its answers. */

import type { Agent } from '../../../domain/agent/agent.ts'
import type { AgentEvent, InstallationOrphanRemoval, Orphan } from '../../../domain/agent/orphan.ts'
import { type ApplicationError, notFound } from '../../../domain/errors.ts'
import { E, TE } from '../../../domain/fp.ts'
import type { Caller } from '../../../domain/identity/caller.ts'
import type {
  AgentId,
  ApiKeyId,
  OrgId,
  SessionId,
  TemplateId,
  UserId,
  WebhookDeliveryId,
  WebhookId,
} from '../../../domain/ids.ts'
import type { Plan } from '../../../domain/placement/plan.ts'
import type { ApiKeyView } from '../../../domain/ports/api-keys.ts'
import type { AuditEvent } from '../../../domain/ports/audit.ts'
import type { JobView, QueueView } from '../../../domain/ports/jobs.ts'
import type { Org } from '../../../domain/ports/orgs.ts'
import type { CommandView, SessionEventView } from '../../../domain/ports/sessions.ts'
import { nothing } from '../../../domain/quota/amounts.ts'
import { noQuota } from '../../../domain/quota/quota.ts'
import type { SessionView } from '../../../domain/session/session-view.ts'
import { sessionStatuses } from '../../../domain/session/words.ts'
import type { Template } from '../../../domain/template/template.ts'
import type { Webhook, WebhookDelivery } from '../../../domain/webhook/webhook.ts'
import type { Application, DrainView } from '../../../src/usecases/application.ts'
import { writtenPage } from '../../support/written-page.ts'

export const KEY = 'ssk_0123456789abcdefghijABCDEFGHIJ01'
export const SESSION_ID = '01890a5d-ac96-774b-bcce-b302099a8057'
export const NO_SUCH_ID = '01890a5d-ac96-774b-bcce-b30209900000'

export const aCaller: Caller = {
  orgId: 'default' as OrgId,
  userId: 'ada' as UserId,
  role: 'installation',
  keyId: null,
}

export const aSessionView = (changes: Partial<SessionView> = {}): SessionView => ({
  id: SESSION_ID,
  name: 'Ada’s browser',
  orgId: 'default',
  userId: 'ada',
  template: { name: 'hello-web', version: 1 },
  platform: 'process',
  region: null,
  labels: { team: 'web' },
  parameters: { title: 'Home', password: null },
  env: { LANG: 'C.UTF-8' },
  persistentHome: true,
  agentId: 'edge-1',
  agentReachable: true,
  desiredState: 'running',
  status: 'running',
  statusReason: null,
  statusMessage: null,
  refusals: [],
  waitingSince: null,
  deadline: null,
  generation: 1,
  observedGeneration: 1,
  endpoint: {
    url: 'http://127.0.0.1:4000/?token=x',
    host: '127.0.0.1',
    port: 4000,
    protocol: 'http',
    ports: [{ name: 'http', url: 'http://127.0.0.1:4000', port: 4000, protocol: 'http' }],
  },
  namespace: null,
  podName: null,
  serviceName: null,
  incarnation: 1,
  resources: { cpuMillis: 250, memoryMib: 128 },
  idleTimeoutSeconds: null,
  maxDurationSeconds: 3600,
  lastActivityAt: null,
  createdAt: new Date('2026-01-31T12:00:00.000Z'),
  updatedAt: new Date('2026-01-31T12:00:01.000Z'),
  startedAt: new Date('2026-01-31T12:00:01.000Z'),
  deletedAt: null,
  restarts: 0,
  exitCode: null,
  exitSignal: null,
  lastOutput: null,
  node: null,
  image: null,
  imageDigest: null,
  containerId: null,
  version: 3,
  ...changes,
})

export const anAgent: Agent = {
  id: 'edge-1' as AgentId,
  orgId: 'default' as OrgId,
  platform: 'process',
  region: null,
  labels: {},
  version: '2.0.0',
  status: 'online',
  statusReason: null,
  cordoned: false,
  draining: false,
  capacity: { maxSessions: 10, cpuMillis: 4000, memoryMib: 8192 },
  allocated: { sessions: 1, cpuMillis: 250, memoryMib: 128 },
  epoch: 2,
  replicaId: null,
  connectedAt: new Date('2026-01-31T11:00:00.000Z'),
  disconnectedAt: null,
  lastHeartbeatAt: new Date('2026-01-31T12:00:00.000Z'),
  revision: 4,
}

export const aDrain: DrainView = {
  agentId: 'edge-1' as AgentId,
  draining: true,
  startedAt: new Date('2026-01-31T12:00:00.000Z'),
  startedBy: 'user:ada',
  remaining: 1,
  moving: 0,
  movable: 0,
  page: {
    items: [
      {
        id: SESSION_ID as SessionId,
        name: 'desk',
        orgId: 'default' as OrgId,
        userId: 'ada' as UserId,
        status: 'running',
        state: 'staying',
        reason: 'home_kept',
        message: 'its home is kept here and cannot go along: its user can stop or delete it',
      },
    ],
    nextCursor: null,
  },
}

const anOrphan: Orphan = {
  sessionId: SESSION_ID as SessionId,
  agentId: 'edge-1' as AgentId,
  generation: 3,
  status: 'running',
  reason: 'unknown',
  state: 'seen',
  firstSeenAt: new Date('2026-01-31T12:00:00.000Z'),
  lastSeenAt: new Date('2026-01-31T12:02:00.000Z'),
  approvedAt: null,
  approvedBy: null,
  commandId: null,
  removalBegunAt: null,
  endedAt: null,
}
export const lostSession = { id: SESSION_ID as SessionId, name: 'desk', orgId: 'acme' as OrgId }

const anAgentEvent: AgentEvent = {
  id: 1,
  agentId: 'edge-1' as AgentId,
  type: 'orphans_seen',
  at: new Date('2026-01-31T12:00:00.000Z'),
  actor: 'agent:edge-1',
  data: { count: 1, sessionIds: [SESSION_ID] },
}
const noRemoval: InstallationOrphanRemoval = {
  halted: true,
  haltedAt: new Date('2026-01-31T12:00:00.000Z'),
  haltedBy: 'edge-1' as AgentId,
  haltedReason: 'restored',
  resumedAt: null,
  resumedBy: null,
  revision: 4,
  haltedOrgs: 1,
  orgs: [
    {
      orgId: 'acme' as OrgId,
      haltedAt: new Date('2026-01-31T12:00:00.000Z'),
      haltedBy: 'edge-1',
      haltedReason: 'restored',
    },
  ],
}
const { haltedOrgs: _count, orgs: _orgs, ...halt } = noRemoval

export const aPlan: Plan = {
  agentId: 'edge-1' as AgentId,
  platform: 'process',
  region: null,
  strategy: 'spread',
  status: 'scheduling',
  statusReason: 'queued_for_agent',
  statusMessage: 'would go to agent edge-1: 20 % of it would be in use',
  refusals: [{ agentId: 'edge-2', reason: 'agent_cordoned', detail: 'takes no new sessions: an operator cordoned it' }],
  refused: 1,
}

export const aTemplate: Template = {
  id: '01890a5d-ac96-774b-bcce-b302099a8058' as TemplateId,
  orgId: null,
  version: 2,
  platforms: ['process'],
  document: { name: 'hello-web', displayName: 'Hello', spec: { process: { command: ['node', 'x.js'] } } },
  createdAt: new Date('2026-01-01T00:00:00.000Z'),
  archivedAt: null,
}

export const anEvent: SessionEventView = {
  id: 7,
  sessionId: SESSION_ID,
  type: 'created',
  generation: 1,
  at: new Date('2026-01-31T12:00:00.000Z'),
  actor: 'user:ada',
  data: {},
}

export const aCommand: CommandView = {
  id: '01890a5d-ac96-774b-bcce-b302099a8059',
  sessionId: SESSION_ID,
  agentId: 'edge-1' as AgentId,
  type: 'start_session',
  generation: 1,
  status: 'done',
  attempts: 0,
  nextAttemptAt: null,
  expiresAt: null,
  lastError: null,
  createdAt: new Date('2026-01-31T12:00:00.000Z'),
  sentAt: null,
  ackedAt: null,
  finishedAt: null,
  revision: 4,
}

export const aQueue: QueueView = {
  name: 'duty.sweep',
  policy: 'short',
  counts: { created: 1, retry: 0, active: 1, completed: 300, cancelled: 0, failed: 2 },
  oldestWaitingAt: new Date('2026-01-31T12:00:00.000Z'),
}

export const aJob: JobView = {
  id: '01890a5d-ac96-774b-bcce-b302099a8060',
  queue: 'duty.sweep',
  state: 'failed',
  data: {},
  output: { message: 'no such table' },
  retryCount: 0,
  retryLimit: 0,
  createdAt: new Date('2026-01-31T12:00:00.000Z'),
  startAfter: new Date('2026-01-31T12:00:00.000Z'),
  startedAt: new Date('2026-01-31T12:00:01.000Z'),
  completedAt: new Date('2026-01-31T12:00:02.000Z'),
}

export const anApiKey: ApiKeyView = {
  id: '01890a5d-ac96-774b-bcce-b302099a8061' as ApiKeyId,
  orgId: 'default' as OrgId,
  userId: 'ada' as UserId,
  role: 'user',
  name: 'laptop',
  prefix: 'ssk_01234567',
  createdAt: new Date('2026-01-31T12:00:00.000Z'),
  expiresAt: null,
  revokedAt: null,
  lastUsedAt: null,
  revision: 4,
}

export const A_SECRET = 'whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY='

export const aWebhook: Webhook = {
  id: '01890a5d-ac96-774b-bcce-b302099a8062' as WebhookId,
  orgId: 'default' as OrgId,
  url: 'https://example.com/hook',
  events: ['running', 'failed'],
  labels: { team: 'web' },
  status: 'active',
  statusReason: null,
  previousSecretUntil: null,
  createdAt: new Date('2026-01-31T12:00:00.000Z'),
  updatedAt: new Date('2026-01-31T12:00:00.000Z'),
  version: 1,
}

export const aDelivery: WebhookDelivery = {
  id: '01890a5d-ac96-774b-bcce-b302099a8063' as WebhookDeliveryId,
  webhookId: aWebhook.id,
  eventId: 7,
  sessionId: SESSION_ID as SessionId,
  type: 'running',
  status: 'dead',
  attempts: 15,
  lastAttemptAt: new Date('2026-01-31T13:00:00.000Z'),
  responseStatus: 500,
  lastError: 'answered 500',
  createdAt: new Date('2026-01-31T12:00:00.000Z'),
  finishedAt: new Date('2026-01-31T13:00:00.000Z'),
}

export const anOrg: Org = { id: 'acme' as OrgId, name: 'Acme', createdAt: new Date('2026-01-31T12:00:00.000Z') }

const anAuditEvent: AuditEvent = {
  id: 1,
  at: new Date('2026-01-01T00:00:00.000Z'),
  orgId: aCaller.orgId,
  userId: aCaller.userId,
  role: aCaller.role,
  keyId: aCaller.keyId,
  action: 'stopSession',
  resource: 'session',
  resourceId: SESSION_ID,
  outcome: 'succeeded',
  status: 202,
  code: null,
  requestId: 'of a test',
  ip: '203.0.113.9',
  userAgent: '=cmd()',
  before: { status: 'running' },
  after: { status: 'stopping' },
}
const groups = async function* (...all: (readonly AuditEvent[])[]): AsyncGenerator<readonly AuditEvent[]> {
  yield* all
}

/** Each call that reached the application, as `[what, ...arguments]`, without the caller. */
export type Calls = (readonly unknown[])[]

export type FakeApplication = Application & { readonly calls: Calls }

const summary = {
  total: 1,
  byStatus: Object.fromEntries(sessionStatuses.map((status) => [status, status === 'running' ? 1 : 0])),
} as never

/** Answers with the samples above; every call fails with `refusal`, or throws `fault`, when one is given. */
export const fakeApplication = (
  trouble: { readonly refusal?: ApplicationError; readonly fault?: unknown; readonly ready?: boolean } = {},
): FakeApplication => {
  const calls: Calls = []
  const answer = <A>(value: A, ...call: unknown[]): TE.TaskEither<ApplicationError, A> => {
    calls.push(call)
    if (trouble.fault !== undefined) return () => Promise.reject(trouble.fault)
    return trouble.refusal === undefined ? TE.right(value) : TE.left(trouble.refusal)
  }
  const page = <A>(item: A) => ({ items: [item], nextCursor: null })
  const session = (id: string, view: SessionView, ...call: unknown[]) =>
    id === SESSION_ID ? answer(view, ...call) : TE.left(notFound('session', id))
  return {
    calls,
    authenticate: async (bearer, actAs) => {
      if (bearer !== KEY) return { kind: 'unauthorized' }
      if (actAs === 'nowhere') return { kind: 'unknown_org', caller: aCaller }
      if (actAs === 'others') return { kind: 'forbidden_org', caller: aCaller }
      return { kind: 'caller', caller: actAs === null ? aCaller : { ...aCaller, orgId: actAs as OrgId } }
    },
    readiness: {
      check: async () => {
        if (trouble.fault !== undefined) throw trouble.fault
        return trouble.ready === false
          ? { ready: false, reason: 'migrations are missing' }
          : { ready: true, reason: null }
      },
    },
    metrics: { mediaType: 'text/plain; version=0.0.4; charset=utf-8', text: async () => 'streamspace_watchers 0\n' },
    sessions: {
      create: (_caller, request) => answer(aSessionView(), 'create', request),
      plan: (_caller, request) => answer(aPlan, 'plan', request),
      batch: (_caller, request) =>
        answer(
          {
            items: [
              {
                id: SESSION_ID as SessionId,
                outcome: E.right(aSessionView({ status: 'stopping' })),
                was: aSessionView(),
              },
              { id: NO_SUCH_ID as SessionId, outcome: E.left(notFound('session', NO_SUCH_ID)), was: null },
            ],
          },
          'batch',
          request,
        ),
      get: (_caller, id) => session(id, aSessionView(), 'get', id),
      list: (_caller, filter, sort, request, fields) =>
        answer(writtenPage(page(aSessionView())), 'list', filter, sort, request, ...(fields ? [fields] : [])),
      summary: (_caller, filter) => answer(summary, 'summary', filter),
      act: (_caller, id, action, ifMatch) => session(id, aSessionView(), 'act', action, ifMatch),
      remove: (_caller, id, force, ifMatch) =>
        session(id, aSessionView({ status: 'deleting' }), 'remove', force, ifMatch),
      update: (_caller, id, changes, ifMatch) => session(id, aSessionView(), 'update', changes, ifMatch),
      touch: () => answer(undefined, 'touch'),
      events: (_caller, _id, request) => answer(page(anEvent), 'events', request),
      commands: (_caller, _id, request) => answer(page(aCommand), 'commands', request),
      watch: (_caller, filter, lastEventId) =>
        answer(
          { position: 'here', positionOf: () => 'there', begin: () => () => {} },
          'watch',
          filter,
          ...(lastEventId === null ? [] : [lastEventId]),
        ),
    },
    templates: {
      list: (_caller, filter, request) => answer(page(aTemplate), 'list', filter, request),
      get: (_caller, name) => answer(aTemplate, 'get', name),
      versions: (_caller, name, request) => answer(page(aTemplate), 'versions', name, request),
      put: (_caller, document, orgId, ifMatch) =>
        answer(
          { template: aTemplate, created: document.name !== 'hello-web' },
          'put',
          document,
          orgId,
          ...(ifMatch ?? []),
        ),
      archive: (_caller, name, ifMatch) => answer(undefined, 'archive', name, ...(ifMatch ?? [])),
    },
    agents: {
      list: (_caller, filter, request) => answer(page(anAgent), 'list', filter, request),
      get: (_caller, id) => answer(anAgent, 'get', id),
      enrol: (_caller, request) =>
        answer({ agent: { ...anAgent, id: request.id }, token: 'ssa_once' }, 'enrol', request),
      rotateToken: (_caller, id, ifMatch) =>
        answer({ agent: anAgent, token: 'ssa_once' }, 'rotateToken', id, ...(ifMatch ?? [])),
      cordon: (_caller, id, ifMatch) => answer({ ...anAgent, cordoned: true }, 'cordon', id, ...(ifMatch ?? [])),
      uncordon: (_caller, id, ifMatch) => answer(anAgent, 'uncordon', id, ...(ifMatch ?? [])),
      drain: (_caller, id, ifMatch) =>
        answer({ ...anAgent, cordoned: true, draining: true }, 'drain', id, ...(ifMatch ?? [])),
      drainProgress: (_caller, id, request) => answer(aDrain, 'drain progress', id, request),
      remove: (_caller, id, force, ifMatch) =>
        answer(
          force ? { count: 1, sessions: [lostSession], byOrg: [] } : null,
          'remove',
          id,
          force,
          ...(ifMatch ?? []),
        ),
    },
    commands: {
      list: (_caller, filter, request) => answer(page(aCommand), 'commands', filter, request),
      get: (_caller, id) => answer(aCommand, 'command', id),
      redrive: (_caller, id, ifMatch) =>
        answer({ ...aCommand, status: 'pending' as const }, 'redrive', id, ...(ifMatch ?? [])),
      cancel: (_caller, id, ifMatch) =>
        answer({ ...aCommand, status: 'cancelled' as const }, 'cancel', id, ...(ifMatch ?? [])),
    },
    jobs: {
      queues: (_caller, request) => answer(page(aQueue), 'queues', request),
      list: (_caller, queue, filter, request) => answer(page(aJob), 'jobs', queue, filter, request),
      retry: (_caller, queue, id) => answer({ ...aJob, state: 'retry' as const }, 'retry', queue, id),
    },
    apiKeys: {
      list: (_caller, request) => answer(page(anApiKey), 'api keys', request),
      get: (_caller, id) => answer(anApiKey, 'api key', id),
      create: (_caller, request) => answer({ apiKey: anApiKey, key: KEY }, 'create api key', request),
      rotate: (_caller, id, overlap, ifMatch) =>
        answer({ apiKey: anApiKey, key: KEY }, 'rotate api key', id, overlap, ...(ifMatch ?? [])),
      revoke: (_caller, id, ifMatch) => answer(undefined, 'revoke api key', id, ...(ifMatch ?? [])),
    },
    webhooks: {
      list: (_caller, request) => answer(page(aWebhook), 'webhooks', request),
      get: (_caller, id) => answer(aWebhook, 'webhook', id),
      create: (_caller, request) => answer({ webhook: aWebhook, secret: A_SECRET }, 'create webhook', request),
      change: (_caller, id, changes, ifMatch) => answer(aWebhook, 'change webhook', id, changes, ifMatch),
      remove: (_caller, id, ifMatch) => answer(undefined, 'remove webhook', id, ifMatch),
      rotate: (_caller, id, overlap, ifMatch) =>
        answer({ webhook: aWebhook, secret: A_SECRET }, 'rotate webhook', id, overlap, ...(ifMatch ?? [])),
      deliveries: (_caller, id, statuses, request) => answer(page(aDelivery), 'deliveries', id, statuses, request),
      redrive: (_caller, id, deliveryId) =>
        answer({ ...aDelivery, status: 'pending' as const }, 'redrive delivery', id, deliveryId),
    },
    audit: {
      list: (_caller, filter, request) => answer(page(anAuditEvent), 'audit', filter, request),
      all: (_caller, filter) => answer(groups([anAuditEvent]), 'audit export', filter),
    },
    orgs: {
      list: (_caller, request) => answer(page(anOrg), 'orgs', request),
      create: (_caller, request) => answer(anOrg, 'create org', request),
      get: (_caller, id) => answer(anOrg, 'org', id),
      remove: (_caller, id, ifMatch) => answer(undefined, 'remove org', id, ...(ifMatch ?? [])),
    },
    quotas: {
      get: (_caller, id) => answer({ quota: noQuota, version: 3 }, 'quota', id),
      set: (_caller, id, quota, ifMatch) => answer({ quota, version: 4 }, 'set quota', id, quota, ifMatch),
      usage: (_caller, id, filter) => answer({ ...nothing, perUser: {}, perTemplate: {} }, 'usage', id, filter),
    },
    orphans: {
      list: (_caller, id, states, request) => answer(page(anOrphan), 'orphans', id, states, request),
      approve: (_caller, id, sessionIds) => answer({ approved: 1 }, 'approve', id, sessionIds),
      adopt: (_caller, id, sessionId, request) => answer(aSessionView(), 'adopt', id, sessionId, request),
      events: (_caller, id, request) => answer(page(anAgentEvent), 'agent events', id, request),
      removal: () => answer(noRemoval, 'removal'),
      halt: (_caller, ifMatch) => answer(noRemoval, 'halt', ...(ifMatch ?? [])),
      resume: (_caller, ifMatch) => answer({ ...noRemoval, lifted: [] }, 'resume', ...(ifMatch ?? [])),
      orgRemoval: (_caller, orgId) => answer({ ...halt, orgId }, 'org removal', orgId),
      haltOrg: (_caller, orgId, ifMatch) => answer({ ...halt, orgId }, 'halt org', orgId, ...(ifMatch ?? [])),
      resumeOrg: (_caller, orgId, ifMatch) => answer({ ...halt, orgId }, 'resume org', orgId, ...(ifMatch ?? [])),
    },
  }
}
