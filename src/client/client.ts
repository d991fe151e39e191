/**
 * The REST API as typed functions. Left to the caller: what to do about a refusal (`ProblemError`), about a
 * server that is not there (`UnreachableError`), and about waiting for what was only accepted.
 */
import type { BatchAction } from '../../domain/session/words.ts'
import type { Agent, AgentDrain, AgentWithToken, EnrolAgentRequest, RemovedAgent } from '../api/agent.ts'
import type { ApiKey, ApiKeyWithSecret } from '../api/api-key.ts'
import type { Command } from '../api/command.ts'
import type { SessionEvent } from '../api/event.ts'
import type { Job, Queue } from '../api/job.ts'
import type { Json } from '../api/json.ts'
import type { Org } from '../api/org.ts'
import type { AgentEvent, OrgOrphanRemoval, Orphan, OrphanRemoval } from '../api/orphan.ts'
import type { QuotaRepresentation, UsageRepresentation } from '../api/quota.ts'
import type { OperationId } from '../api/routes.ts'
import type { AdoptOrphanRequest, CreateSessionRequest, Session, SessionSummary } from '../api/session.ts'
import type { BatchAnswer, SessionPlan } from '../api/session-batch.ts'
import type { Template } from '../api/template.ts'
import type { Webhook, WebhookDelivery, WebhookWithSecret } from '../api/webhook.ts'
import { type Call, type Caller, type ClientOptions, createCaller } from './call.ts'
import type { AnswerOf, BodyOf, ItemOf, ListOperation, QueryOf } from './contract.ts'
import { createDownload } from './download.ts'
import { filterInBody } from './encode.ts'
import { isProblem } from './errors.ts'
import { type Listing, readPages } from './pages.ts'
import { type WatchedEvent, type WatchFilters, type WatchOptions, watchSessions } from './watch.ts'

export type { ClientOptions } from './call.ts'
export type { Listed, Listing } from './pages.ts'
export type { WatchedEvent, WatchFilters, WatchOptions } from './watch.ts'

export type SessionIntent = 'start' | 'stop' | 'hibernate' | 'wake' | 'restart'

/** Sessions by their ids, or as many as there have to be of what a filter finds. */
export type BatchOf =
  | { readonly ids: readonly string[]; readonly expectedCount?: number }
  | { readonly filter: QueryOf<'summarizeSessions'>; readonly expectedCount: number }

/** The filters of a list, without its pages. */
export type FiltersOf<K extends ListOperation> = Omit<QueryOf<K>, 'limit' | 'cursor' | 'fields'>

/** In which order a list can be had. */
export type SortOf<K extends ListOperation> = QueryOf<K> extends { readonly sort?: infer S } ? S : never

const sortedBy = <S>(sort: S | undefined): { readonly sort?: S } => (sort === undefined ? {} : { sort })

export type Readiness = { readonly ready: true } | { readonly ready: false; readonly reason: string }

const intents = {
  start: 'startSession',
  stop: 'stopSession',
  hibernate: 'hibernateSession',
  wake: 'wakeSession',
  restart: 'restartSession',
} as const satisfies { readonly [I in SessionIntent]: OperationId }

const operationsBy = (options: ClientOptions, call: Caller) => {
  const download = createDownload(options)

  const body = async <K extends OperationId>(operation: K, request: Call<K>): Promise<AnswerOf<K>> => {
    const answered = await call(operation, request)
    if (answered.unchanged) throw new Error('answered 304 without having been asked conditionally')
    return answered.body
  }

  const list =
    <K extends ListOperation>(operation: K) =>
    (filters: FiltersOf<K> = {} as FiltersOf<K>, limit?: number): Listing<ItemOf<K>> =>
      readPages(call, operation, {} as never, filters as never, limit)

  return {
    sessions: {
      create: (request: Json<CreateSessionRequest>): Promise<Session> => body('createSession', { body: request }),
      /** Where it would go; nothing is made. */
      plan: (request: Json<CreateSessionRequest>): Promise<SessionPlan> => body('planSession', { body: request }),
      /** Each is answered for itself: not all may have been possible. */
      batch: (action: BatchAction, which: BatchOf): Promise<BatchAnswer> =>
        body('batchSessions', {
          body: {
            action,
            ...which,
            ...('filter' in which ? { filter: filterInBody(which.filter) } : {}),
          } as BodyOf<'batchSessions'>,
        }),
      get: (id: string): Promise<Session> => body('getSession', { params: { id } }),

      /** null: as it was when it had this ETag. */
      getIfChanged: async (
        id: string,
        etag: string | null,
        timeoutMs?: number,
      ): Promise<{ readonly session: Session; readonly etag: string | null } | null> => {
        const answered = await call('getSession', {
          params: { id },
          ifNoneMatch: etag ?? undefined,
          ...(timeoutMs === undefined ? {} : { timeoutMs }),
        })
        return answered.unchanged ? null : { session: answered.body, etag: answered.etag }
      },

      list: list('listSessions'),
      /** The same, with these fields of each alone. */
      pick: <F extends keyof Session>(
        fields: readonly F[],
        filters: FiltersOf<'listSessions'>,
        limit?: number,
      ): Listing<Pick<Session, F>> => readPages(call, 'listSessions', {}, { ...filters, fields }, limit),
      summary: (filters: QueryOf<'summarizeSessions'> = {}): Promise<SessionSummary> =>
        body('summarizeSessions', { query: filters }),
      act: (id: string, intent: SessionIntent, ifMatch?: string): Promise<Session> =>
        body(intents[intent], { params: { id }, ifMatch }),
      change: (id: string, changes: BodyOf<'changeSession'>, ifMatch?: string): Promise<Session> =>
        body('changeSession', { params: { id }, body: changes, ifMatch }),
      remove: (id: string, query: QueryOf<'deleteSession'> = {}, ifMatch?: string): Promise<Session> =>
        body('deleteSession', { params: { id }, query, ifMatch }),
      touch: (id: string): Promise<void> => body('touchSession', { params: { id } }),
      events: (id: string, limit?: number, sort?: SortOf<'listSessionEvents'>): Listing<SessionEvent> =>
        readPages(call, 'listSessionEvents', { id }, sortedBy(sort), limit),
      commands: (id: string, limit?: number, sort?: SortOf<'listSessionCommands'>): Listing<Command> =>
        readPages(call, 'listSessionCommands', { id }, sortedBy(sort), limit),
    },

    templates: {
      list: list('listTemplates'),
      get: (name: string): Promise<Template> => body('getTemplate', { params: { name } }),
      versions: (name: string, limit?: number, sort?: SortOf<'listTemplateVersions'>): Listing<Template> =>
        readPages(call, 'listTemplateVersions', { name }, sortedBy(sort), limit),
      put: async (
        document: BodyOf<'putTemplate'>,
      ): Promise<{ readonly template: Template; readonly created: boolean }> => {
        const answered = await call('putTemplate', { body: document })
        if (answered.unchanged) throw new Error('answered 304 without having been asked conditionally')
        return { template: answered.body, created: answered.status === 201 }
      },
      archive: (name: string): Promise<void> => body('archiveTemplate', { params: { name } }),
    },

    agents: {
      list: list('listAgents'),
      get: (id: string): Promise<Agent> => body('getAgent', { params: { id } }),
      enrol: (request: Json<EnrolAgentRequest>): Promise<AgentWithToken> => body('enrolAgent', { body: request }),
      rotateToken: (id: string): Promise<AgentWithToken> => body('rotateAgentToken', { params: { id } }),
      cordon: (id: string): Promise<Agent> => body('cordonAgent', { params: { id } }),
      uncordon: (id: string): Promise<Agent> => body('uncordonAgent', { params: { id } }),
      drain: (id: string): Promise<Agent> => body('drainAgent', { params: { id } }),
      /** The figures with the first page of sessions; all of them by `drained`. */
      drainProgress: (id: string): Promise<AgentDrain> => body('getAgentDrain', { params: { id } }),
      drained: (id: string, limit?: number, sort?: SortOf<'getAgentDrain'>): Listing<ItemOf<'getAgentDrain'>> =>
        readPages(call, 'getAgentDrain', { id }, sortedBy(sort), limit),
      /** By force: what was lost with it. */
      remove: (id: string, force: boolean): Promise<RemovedAgent | undefined> =>
        body('removeAgent', { params: { id }, query: force ? { force } : {} }),
    },

    orgs: {
      list: (limit?: number, sort?: SortOf<'listOrgs'>): Listing<Org> =>
        readPages(call, 'listOrgs', {}, sortedBy(sort), limit),
      create: (request: BodyOf<'createOrg'>): Promise<Org> => body('createOrg', { body: request }),
      get: (id: string): Promise<Org> => body('getOrg', { params: { id } }),
      remove: (id: string): Promise<void> => body('deleteOrg', { params: { id } }),
      quota: (id: string): Promise<QuotaRepresentation> => body('getQuota', { params: { id } }),
      /** For changing it as it was read: `setQuota` with this ETag is refused once somebody else has. */
      quotaAndEtag: async (
        id: string,
      ): Promise<{ readonly quota: QuotaRepresentation; readonly etag: string | null }> => {
        const answered = await call('getQuota', { params: { id } })
        if (answered.unchanged) throw new Error('answered 304 without having been asked conditionally')
        return { quota: answered.body, etag: answered.etag }
      },
      /** All of it: what is left out has no limit. */
      setQuota: (id: string, quota: BodyOf<'setQuota'>, ifMatch?: string): Promise<QuotaRepresentation> =>
        body('setQuota', { params: { id }, body: quota, ifMatch }),
      usage: (id: string, query: QueryOf<'getUsage'> = {}): Promise<UsageRepresentation> =>
        body('getUsage', { params: { id }, query }),
    },

    apiKeys: {
      list: (limit?: number, sort?: SortOf<'listApiKeys'>): Listing<ApiKey> =>
        readPages(call, 'listApiKeys', {}, sortedBy(sort), limit),
      /** The key is in the answer, this once. */
      create: (request: BodyOf<'createApiKey'>): Promise<ApiKeyWithSecret> => body('createApiKey', { body: request }),
      rotate: (id: string, overlapSeconds = 0): Promise<ApiKeyWithSecret> =>
        body('rotateApiKey', { params: { id }, body: { overlapSeconds } }),
      revoke: (id: string): Promise<void> => body('revokeApiKey', { params: { id } }),
    },

    webhooks: {
      list: (limit?: number, sort?: SortOf<'listWebhooks'>): Listing<Webhook> =>
        readPages(call, 'listWebhooks', {}, sortedBy(sort), limit),
      get: (id: string): Promise<Webhook> => body('getWebhook', { params: { id } }),
      /** The secret is in the answer, this once. */
      create: (request: BodyOf<'createWebhook'>): Promise<WebhookWithSecret> =>
        body('createWebhook', { body: request }),
      change: (id: string, changes: BodyOf<'changeWebhook'>, ifMatch?: string): Promise<Webhook> =>
        body('changeWebhook', { params: { id }, body: changes, ifMatch }),
      remove: (id: string, ifMatch?: string): Promise<void> => body('deleteWebhook', { params: { id }, ifMatch }),
      /** Left out: the secret before signs too for a day. */
      rotate: (id: string, overlapSeconds?: number): Promise<WebhookWithSecret> =>
        body('rotateWebhookSecret', { params: { id }, body: overlapSeconds === undefined ? {} : { overlapSeconds } }),
      deliveries: (id: string, filters: FiltersOf<'listWebhookDeliveries'>, limit?: number): Listing<WebhookDelivery> =>
        readPages(call, 'listWebhookDeliveries', { id }, filters, limit),
      redrive: (id: string, deliveryId: string): Promise<WebhookDelivery> =>
        body('redriveWebhookDelivery', { params: { id, deliveryId } }),
    },

    audit: {
      list: list('listAudit'),
      /** All of it, as text that is read while it comes. */
      export: (query: QueryOf<'exportAudit'> = {}, signal?: AbortSignal): Promise<AsyncIterable<Uint8Array>> =>
        download('exportAudit', query, signal),
    },

    commands: {
      list: list('listCommands'),
      get: (id: string): Promise<Command> => body('getCommand', { params: { id } }),
      redrive: (id: string): Promise<Command> => body('redriveCommand', { params: { id } }),
      cancel: (id: string): Promise<Command> => body('cancelCommand', { params: { id } }),
    },

    jobs: {
      queues: (limit?: number, sort?: SortOf<'listQueues'>): Listing<Queue> =>
        readPages(call, 'listQueues', {}, sortedBy(sort), limit),
      list: (queue: string, filters: FiltersOf<'listJobs'> = {}, limit?: number): Listing<Job> =>
        readPages(call, 'listJobs', { queue }, filters, limit),
      retry: (queue: string, id: string): Promise<Job> => body('retryJob', { params: { queue, id } }),
    },

    orphans: {
      list: (id: string, filters: FiltersOf<'listOrphans'> = {}, limit?: number): Listing<Orphan> =>
        readPages(call, 'listOrphans', { id }, filters, limit),
      /** null: all that are there now. */
      approve: (id: string, sessionIds: readonly string[] | null): Promise<{ readonly approved: number }> =>
        body('approveOrphans', { params: { id }, body: sessionIds === null ? {} : { sessionIds } }),
      adopt: (id: string, sessionId: string, request: Json<AdoptOrphanRequest>): Promise<Session> =>
        body('adoptOrphan', { params: { id, sessionId }, body: request }),
      events: (id: string, limit?: number, sort?: SortOf<'listAgentEvents'>): Listing<AgentEvent> =>
        readPages(call, 'listAgentEvents', { id }, sortedBy(sort), limit),
      removal: (): Promise<OrphanRemoval> => body('getOrphanRemoval', {}),
      halt: (): Promise<OrphanRemoval> => body('haltOrphanRemoval', {}),
      resume: (): Promise<OrphanRemoval> => body('resumeOrphanRemoval', {}),
      /** Of the own agents of an org. */
      orgRemoval: (id: string): Promise<OrgOrphanRemoval> => body('getOrgOrphanRemoval', { params: { id } }),
      haltOrg: (id: string): Promise<OrgOrphanRemoval> => body('haltOrgOrphanRemoval', { params: { id } }),
      resumeOrg: (id: string): Promise<OrgOrphanRemoval> => body('resumeOrgOrphanRemoval', { params: { id } }),
    },

    /** Events of sessions from now on, or behind `after`; `for await` until its signal ends it, through lost connections. */
    watch: (filters: WatchFilters = {}, how: WatchOptions = {}): AsyncGenerator<WatchedEvent, void, undefined> =>
      watchSessions(options, filters, { ...how, ...endingWith(how.signal, options.signal) }),

    /** Asked once: whether it is ready now, not whether it becomes so. */
    readiness: async (): Promise<Readiness> => {
      try {
        await body('getReadiness', { noRetries: true })
        return { ready: true }
      } catch (error) {
        if (isProblem(error, 'not_ready', 'unavailable')) return { ready: false, reason: error.detail }
        throw error
      }
    },
  }
}

/** Whichever of them comes first. */
const endingWith = (...signals: readonly (AbortSignal | undefined)[]): { readonly signal?: AbortSignal } => {
  const given = signals.filter((signal) => signal !== undefined)
  return given.length === 0 ? {} : { signal: AbortSignal.any(given) }
}

/** What may differ from call to call. */
export type CallOptions = Partial<Pick<ClientOptions, 'signal' | 'timeoutMs' | 'org' | 'idempotencyKey'>>

export type Client = ReturnType<typeof operationsBy> & {
  /** Any operation, by its `operationId`: what it answers, with status and ETag. */
  readonly call: Caller
  /** The same client, otherwise for what is asked through it: `client.with({ signal }).sessions.get(id)`. */
  readonly with: (options: CallOptions) => Client
}

export const createClient = (options: ClientOptions): Client => {
  const call = createCaller(options)
  return { ...operationsBy(options, call), call, with: (more) => createClient({ ...options, ...more }) }
}
