/**
 * What the application can do, as one record of functions: the REST adapter is written against these types,
 * and `src/server.ts` builds the record. Left values are refusals; a rejected promise is lost
 * infrastructure or a bug.
 */
import type { Agent, Resources } from '../../domain/agent/agent.ts'
import type {
  AgentEvent,
  InstallationOrphanRemoval,
  OrgOrphanRemoval,
  Orphan,
  OrphanState,
  ResumedOrphanRemoval,
} from '../../domain/agent/orphan.ts'
import type { ApplicationError } from '../../domain/errors.ts'
import type { E, TE } from '../../domain/fp.ts'
import type { Caller, Role } from '../../domain/identity/caller.ts'
import type {
  AgentId,
  ApiKeyId,
  CommandId,
  OrgId,
  SessionId,
  UserId,
  WebhookDeliveryId,
  WebhookId,
} from '../../domain/ids.ts'
import type { Outlook } from '../../domain/placement/outlook.ts'
import type { Plan } from '../../domain/placement/plan.ts'
import type { Authenticate, Readiness } from '../../domain/ports/access.ts'
import type { DrainProgress } from '../../domain/ports/agent-drains.ts'
import type { AgentFilter, LostSessions } from '../../domain/ports/agents.ts'
import type { ApiKeyView } from '../../domain/ports/api-keys.ts'
import type { AuditEvent, AuditFilter } from '../../domain/ports/audit.ts'
import type { Keep } from '../../domain/ports/idempotency.ts'
import type { IfMatch } from '../../domain/ports/if-match.ts'
import type { JobState, JobView, QueueView } from '../../domain/ports/jobs.ts'
import type { Metrics } from '../../domain/ports/metrics.ts'
import type { Org } from '../../domain/ports/orgs.ts'
import type {
  ByCreation,
  ByFirstSight,
  ByGeneration,
  ById,
  ByName,
  ByTime,
  ByVersion,
  HistoryByTime,
  OrgSort,
  Page,
  PageRequest,
  TemplateSort,
} from '../../domain/ports/page.ts'
import type { Usage, UsageFilter, VersionedQuota } from '../../domain/ports/quotas.ts'
import type {
  CommandFilter,
  CommandView,
  SessionEventView,
  SessionFilter,
  SessionSort,
  SessionSummary,
  WrittenPage,
} from '../../domain/ports/sessions.ts'
import type { PutTemplate, TemplateFilter } from '../../domain/ports/templates.ts'
import type { Watch } from '../../domain/ports/watch.ts'
import type { WebhookChanges } from '../../domain/ports/webhooks.ts'
import type { Quota } from '../../domain/quota/quota.ts'
import type { Changes } from '../../domain/session/decide.ts'
import type { Session } from '../../domain/session/session.ts'
import type { SessionField, SessionView } from '../../domain/session/session-view.ts'
import type { WatchFilter } from '../../domain/session/watched.ts'
import type { BatchAction, SessionAction } from '../../domain/session/words.ts'
import type { Template } from '../../domain/template/template.ts'
import type { TemplateDocument } from '../../domain/template/template-codec.ts'
import type { DeliveryStatus, Webhook, WebhookDelivery, WebhookEvent } from '../../domain/webhook/webhook.ts'

/** A TaskEither whose left is a refusal. */
export type Answer<A> = TE.TaskEither<ApplicationError, A>

export type { IfMatch }

export type CreateSession = {
  readonly template: string
  readonly templateVersion?: number
  readonly name?: string
  readonly platform?: string
  readonly region?: string
  readonly agentId?: string
  /** Labels that its agent has to have, beside the template's. */
  readonly agentLabels?: { readonly [name: string]: string }
  readonly labels?: { readonly [name: string]: string }
  readonly resources?: Partial<Resources>
  readonly parameters?: { readonly [name: string]: unknown }
  readonly env?: { readonly [name: string]: string }
  readonly persistentHome?: boolean
  readonly idleTimeoutSeconds?: number | null
  readonly maxDurationSeconds?: number | null
}

export type BatchRequest = {
  readonly action: BatchAction
  /** By their ids, or all that a filter finds: what the caller sees, either way. */
  readonly which: { readonly ids: readonly SessionId[] } | { readonly filter: SessionFilter }
  /** Left out: however many there are. */
  readonly expectedCount?: number
}

/** In the order of the ids, or by id. */
export type BatchResult = {
  readonly items: readonly {
    readonly id: SessionId
    readonly outcome: E.Either<ApplicationError, SessionView>
    /** null: there is none for this caller. */
    readonly was: SessionView | null
  }[]
}

export type CreateApiKey = {
  readonly role: Role
  readonly name?: string
  readonly userId?: UserId
  readonly orgId?: OrgId
  readonly expiresAt?: Date | null
}

/** A key that was just made: what is kept of it, and the key itself, which is shown this once. */
export type MadeApiKey = { readonly apiKey: ApiKeyView; readonly key: string }

/** A create that says whose it is; where it is, the orphan says. */
export type AdoptOrphan = Omit<CreateSession, 'platform' | 'region' | 'agentId' | 'agentLabels'> & {
  readonly orgId: OrgId
  readonly userId: UserId
}

export type EnrolAgent = {
  readonly id: AgentId
  readonly platform: string
  /** Left out: the caller's org. null: shared by all (installation keys only). */
  readonly orgId?: OrgId | null
  readonly region?: string | null
  readonly labels?: { readonly [name: string]: string }
}

export type CreateWebhook = {
  readonly url: string
  readonly events: readonly WebhookEvent[]
  readonly labels?: { readonly [name: string]: string }
}
/** `secret` is shown this once. */
export type WebhookAndSecret = { readonly webhook: Webhook; readonly secret: string }
export type DrainView = Omit<DrainProgress, 'page'> & {
  readonly agentId: AgentId
  readonly draining: boolean
  readonly page: Page<Pick<Session, 'id' | 'name' | 'orgId' | 'userId' | 'status'> & Outlook>
}

export type CreateOrg = { readonly id: OrgId; readonly name?: string }
/** `token` is shown this once. */
export type AgentAndToken = { readonly agent: Agent; readonly token: string }
export type { PutTemplate }
export type Approved = { readonly approved: number }

/**
 * Every mutation takes what is to be kept of its answer (`Keep`), and keeps it in the transaction that makes the change; left
 * out where nobody will ask the same again.
 */
export type Application = {
  readonly authenticate: Authenticate
  readonly readiness: Readiness
  readonly metrics: Metrics
  readonly sessions: {
    readonly create: (caller: Caller, request: CreateSession, keep?: Keep<SessionView>) => Answer<SessionView>
    /** Where a create would go; nothing is written. */
    readonly plan: (caller: Caller, request: CreateSession) => Answer<Plan>
    /** Many at once, each as it would be alone; all of it or, with a wrong count, nothing. */
    readonly batch: (caller: Caller, request: BatchRequest, keep?: Keep<BatchResult>) => Answer<BatchResult>
    readonly get: (caller: Caller, id: SessionId) => Answer<SessionView>
    readonly list: (
      caller: Caller,
      filter: SessionFilter,
      sort: SessionSort,
      page: PageRequest,
      /** null: all of them. */
      fields?: readonly SessionField[] | null,
    ) => Answer<WrittenPage>
    readonly summary: (caller: Caller, filter: SessionFilter) => Answer<SessionSummary>
    readonly act: (
      caller: Caller,
      id: SessionId,
      action: Exclude<SessionAction, 'delete'>,
      ifMatch: IfMatch,
      keep?: Keep<SessionView>,
    ) => Answer<SessionView>
    readonly remove: (
      caller: Caller,
      id: SessionId,
      force: boolean,
      ifMatch: IfMatch,
      keep?: Keep<SessionView>,
    ) => Answer<SessionView>
    readonly update: (
      caller: Caller,
      id: SessionId,
      changes: Changes,
      ifMatch: IfMatch,
      keep?: Keep<SessionView>,
    ) => Answer<SessionView>
    /** Keep-alive. */
    readonly touch: (caller: Caller, id: SessionId, ifMatch: IfMatch) => Answer<void>
    readonly events: (caller: Caller, id: SessionId, page: PageRequest<HistoryByTime>) => Answer<Page<SessionEventView>>
    readonly commands: (caller: Caller, id: SessionId, page: PageRequest<ByGeneration>) => Answer<Page<CommandView>>
    /** `lastEventId` null: from now on. */
    readonly watch: (caller: Caller, filter: WatchFilter, lastEventId: string | null) => Answer<Watch>
  }
  readonly templates: {
    readonly list: (caller: Caller, filter: TemplateFilter, page: PageRequest<TemplateSort>) => Answer<Page<Template>>
    readonly get: (caller: Caller, name: string) => Answer<Template>
    readonly versions: (caller: Caller, name: string, page: PageRequest<ByVersion>) => Answer<Page<Template>>
    /** `orgId` undefined: the caller's own; null: public (installation keys only). */
    readonly put: (
      caller: Caller,
      document: TemplateDocument,
      orgId: OrgId | null | undefined,
      ifMatch: IfMatch,
      keep?: Keep<PutTemplate>,
    ) => Answer<PutTemplate>
    readonly archive: (caller: Caller, name: string, ifMatch: IfMatch, keep?: Keep<void>) => Answer<void>
  }
  readonly agents: {
    readonly list: (caller: Caller, filter: AgentFilter, page: PageRequest<ById>) => Answer<Page<Agent>>
    readonly get: (caller: Caller, id: AgentId) => Answer<Agent>
    readonly enrol: (caller: Caller, request: EnrolAgent, keep?: Keep<AgentAndToken>) => Answer<AgentAndToken>
    readonly rotateToken: (
      caller: Caller,
      id: AgentId,
      ifMatch: IfMatch,
      keep?: Keep<AgentAndToken>,
    ) => Answer<AgentAndToken>
    readonly cordon: (caller: Caller, id: AgentId, ifMatch: IfMatch, keep?: Keep<Agent>) => Answer<Agent>
    /** Ends a drain, too. */
    readonly uncordon: (caller: Caller, id: AgentId, ifMatch: IfMatch, keep?: Keep<Agent>) => Answer<Agent>
    /** Cordons it, and moves what can be moved. */
    readonly drain: (caller: Caller, id: AgentId, ifMatch: IfMatch, keep?: Keep<Agent>) => Answer<Agent>
    /** How far that is, session by session; also what it would come to where it is not asked. */
    readonly drainProgress: (caller: Caller, id: AgentId, page: PageRequest<ById>) => Answer<DrainView>
    /** By force: with its sessions, and those are told. */
    readonly remove: (
      caller: Caller,
      id: AgentId,
      force: boolean,
      ifMatch: IfMatch,
      keep?: Keep<LostSessions | null>,
    ) => Answer<LostSessions | null>
  }
  readonly orphans: {
    readonly list: (
      caller: Caller,
      id: AgentId,
      states: readonly OrphanState[],
      page: PageRequest<ByFirstSight>,
    ) => Answer<Page<Orphan>>
    /** null: all that are there. */
    readonly approve: (
      caller: Caller,
      id: AgentId,
      sessionIds: readonly SessionId[] | null,
      keep?: Keep<Approved>,
    ) => Answer<Approved>
    readonly adopt: (
      caller: Caller,
      id: AgentId,
      sessionId: SessionId,
      request: AdoptOrphan,
      keep?: Keep<SessionView>,
    ) => Answer<SessionView>
    readonly events: (caller: Caller, id: AgentId, page: PageRequest<HistoryByTime>) => Answer<Page<AgentEvent>>
    readonly removal: (caller: Caller) => Answer<InstallationOrphanRemoval>
    readonly halt: (
      caller: Caller,
      ifMatch: IfMatch,
      keep?: Keep<InstallationOrphanRemoval>,
    ) => Answer<InstallationOrphanRemoval>
    readonly resume: (
      caller: Caller,
      ifMatch: IfMatch,
      keep?: Keep<ResumedOrphanRemoval>,
    ) => Answer<ResumedOrphanRemoval>
    /** Of an org's own agents. */
    readonly orgRemoval: (caller: Caller, id: OrgId) => Answer<OrgOrphanRemoval>
    readonly haltOrg: (
      caller: Caller,
      id: OrgId,
      ifMatch: IfMatch,
      keep?: Keep<OrgOrphanRemoval>,
    ) => Answer<OrgOrphanRemoval>
    readonly resumeOrg: (
      caller: Caller,
      id: OrgId,
      ifMatch: IfMatch,
      keep?: Keep<OrgOrphanRemoval>,
    ) => Answer<OrgOrphanRemoval>
  }
  readonly commands: {
    readonly list: (caller: Caller, filter: CommandFilter, page: PageRequest<ByCreation>) => Answer<Page<CommandView>>
    readonly get: (caller: Caller, id: CommandId) => Answer<CommandView>
    readonly redrive: (caller: Caller, id: CommandId, ifMatch: IfMatch, keep?: Keep<CommandView>) => Answer<CommandView>
    readonly cancel: (caller: Caller, id: CommandId, ifMatch: IfMatch, keep?: Keep<CommandView>) => Answer<CommandView>
  }
  readonly apiKeys: {
    readonly list: (caller: Caller, page: PageRequest<ByCreation>) => Answer<Page<ApiKeyView>>
    readonly get: (caller: Caller, id: ApiKeyId) => Answer<ApiKeyView>
    readonly create: (caller: Caller, request: CreateApiKey, keep?: Keep<MadeApiKey>) => Answer<MadeApiKey>
    readonly rotate: (
      caller: Caller,
      id: ApiKeyId,
      overlapSeconds: number,
      ifMatch: IfMatch,
      keep?: Keep<MadeApiKey>,
    ) => Answer<MadeApiKey>
    readonly revoke: (caller: Caller, id: ApiKeyId, ifMatch: IfMatch, keep?: Keep<void>) => Answer<void>
  }
  readonly webhooks: {
    readonly list: (caller: Caller, page: PageRequest<ByCreation>) => Answer<Page<Webhook>>
    readonly get: (caller: Caller, id: WebhookId) => Answer<Webhook>
    readonly create: (caller: Caller, request: CreateWebhook, keep?: Keep<WebhookAndSecret>) => Answer<WebhookAndSecret>
    readonly change: (
      caller: Caller,
      id: WebhookId,
      changes: WebhookChanges,
      ifMatch: IfMatch,
      keep?: Keep<Webhook>,
    ) => Answer<Webhook>
    readonly remove: (caller: Caller, id: WebhookId, ifMatch: IfMatch, keep?: Keep<void>) => Answer<void>
    readonly rotate: (
      caller: Caller,
      id: WebhookId,
      overlapSeconds: number,
      ifMatch: IfMatch,
      keep?: Keep<WebhookAndSecret>,
    ) => Answer<WebhookAndSecret>
    /** The newest first. `statuses` undefined: all. */
    readonly deliveries: (
      caller: Caller,
      id: WebhookId,
      statuses: readonly DeliveryStatus[] | undefined,
      page: PageRequest<ByCreation>,
    ) => Answer<Page<WebhookDelivery>>
    readonly redrive: (
      caller: Caller,
      id: WebhookId,
      deliveryId: WebhookDeliveryId,
      keep?: Keep<WebhookDelivery>,
    ) => Answer<WebhookDelivery>
  }
  readonly audit: {
    readonly list: (caller: Caller, filter: AuditFilter, page: PageRequest<ByTime>) => Answer<Page<AuditEvent>>
    /** Oldest first, a bounded number at a time. */
    readonly all: (caller: Caller, filter: AuditFilter) => Answer<AsyncIterable<readonly AuditEvent[]>>
  }
  /** For the installation; an org's admin may read its own. */
  readonly orgs: {
    readonly list: (caller: Caller, page: PageRequest<OrgSort>) => Answer<Page<Org>>
    readonly create: (caller: Caller, request: CreateOrg, keep?: Keep<Org>) => Answer<Org>
    readonly get: (caller: Caller, id: OrgId) => Answer<Org>
    readonly remove: (caller: Caller, id: OrgId, ifMatch: IfMatch, keep?: Keep<void>) => Answer<void>
  }
  /** Of orgs: for the installation to set, for an org's admins to read. */
  readonly quotas: {
    readonly get: (caller: Caller, id: OrgId) => Answer<VersionedQuota>
    readonly set: (
      caller: Caller,
      id: OrgId,
      quota: Quota,
      ifMatch: IfMatch,
      keep?: Keep<VersionedQuota>,
    ) => Answer<VersionedQuota>
    readonly usage: (caller: Caller, id: OrgId, filter: UsageFilter) => Answer<Usage>
  }
  /** For the installation only. */
  readonly jobs: {
    readonly queues: (caller: Caller, page: PageRequest<ByName>) => Answer<Page<QueueView>>
    readonly list: (
      caller: Caller,
      queue: string,
      filter: { readonly state?: readonly JobState[] },
      page: PageRequest<ByCreation>,
    ) => Answer<Page<JobView>>
    readonly retry: (caller: Caller, queue: string, id: string) => Answer<JobView>
  }
}
