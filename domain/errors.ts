/**
 * What can be refused, as tagged values. `adapters/http/problems.ts` maps each tag to a status, a title
 * and a stable code; nothing else decides how an error looks. Exceptions are for bugs and lost
 * infrastructure only.
 */
import type { FieldError } from './codec/field-errors.ts'
import type { Permission } from './identity/caller.ts'
import type { AgentId, ApiKeyId, OrgId, SessionId, WebhookId } from './ids.ts'
import type { Refusal } from './placement/refusal.ts'
import type { JobState } from './ports/jobs.ts'
import type { CommandStatus } from './ports/sessions.ts'
import type { QuotaName, QuotaScope } from './quota/quota.ts'
import type { SessionAction, SessionStatus } from './session/words.ts'
import type { DeliveryStatus } from './webhook/webhook.ts'

export type NotFound = {
  readonly _tag: 'NotFound'
  readonly what:
    | 'session'
    | 'template'
    | 'agent'
    | 'command'
    | 'queue'
    | 'job'
    | 'org'
    | 'orphan'
    | 'api_key'
    | 'webhook'
    | 'delivery'
  readonly id: string
}
export type Forbidden = { readonly _tag: 'Forbidden'; readonly permission: Permission }
export type TransitionRefused = {
  readonly _tag: 'TransitionRefused'
  readonly action: SessionAction
  readonly state: SessionStatus
  readonly allowedActions: readonly SessionAction[]
}
export type VersionMismatch = { readonly _tag: 'VersionMismatch'; readonly current: number }
export type UnknownTemplate = {
  readonly _tag: 'UnknownTemplate'
  readonly name: string
  readonly version: number | null
}
export type UnknownAgent = { readonly _tag: 'UnknownAgent'; readonly agentId: string }
export type NoAgent = { readonly _tag: 'NoAgent'; readonly detail: string; readonly refusals: readonly Refusal[] }
export type InvalidParameters = { readonly _tag: 'InvalidParameters'; readonly errors: readonly FieldError[] }
export type AgentExists = { readonly _tag: 'AgentExists'; readonly agentId: AgentId }
export type AgentHasSessions = {
  readonly _tag: 'AgentHasSessions'
  readonly agentId: AgentId
  readonly sessions: number
}
/** Only what was given up, `dead` or `expired`, can be sent again. */
export type CommandNotRedrivable = {
  readonly _tag: 'CommandNotRedrivable'
  readonly commandId: string
  readonly status: CommandStatus
}
/** Something else was asked of the session since, or it has moved to another agent. */
export type CommandOutdated = {
  readonly _tag: 'CommandOutdated'
  readonly commandId: string
  readonly generation: number
  readonly sessionGeneration: number
}
/** It has its fate already; or it is all that removes what is left of a session that is gone. */
export type CommandNotCancellable = {
  readonly _tag: 'CommandNotCancellable'
  readonly commandId: string
  readonly status: CommandStatus
}
/** The agent of a session that has to stay there cannot take it now. */
export type NoCapacity = { readonly _tag: 'NoCapacity'; readonly agentId: AgentId; readonly cordoned: boolean }
/** What is another agent's session, or is being removed, or has become a session, is not made one by an operator. */
export type OrphanNotAdoptable = {
  readonly _tag: 'OrphanNotAdoptable'
  readonly sessionId: SessionId
  readonly why: 'not_yours' | 'being_removed' | 'is_a_session'
}
export type JobNotFailed = { readonly _tag: 'JobNotFailed'; readonly jobId: string; readonly state: JobState }
export type OrgExists = { readonly _tag: 'OrgExists'; readonly orgId: OrgId }
export type OrgInUse = {
  readonly _tag: 'OrgInUse'
  readonly orgId: OrgId
  readonly sessions: number
  readonly agents: number
}
/** What was asked is more than the quota has left; less has to be there before it can be. */
export type QuotaExceeded = {
  readonly _tag: 'QuotaExceeded'
  readonly scope: QuotaScope
  /** Of the org, the user or the template. */
  readonly name: string
  readonly quota: QuotaName
  readonly limit: number
  readonly used: number
  readonly asked: number
}
/** An org has as many webhooks as one may have. */
export type TooManyWebhooks = {
  readonly _tag: 'TooManyWebhooks'
  readonly orgId: OrgId
  readonly limit: number
  readonly used: number
}
/** It has expired or was revoked: nothing is made of it. */
export type ApiKeyOver = { readonly _tag: 'ApiKeyOver'; readonly apiKeyId: ApiKeyId }
/** A batch said how many there are, and there are others: nothing was changed. */
export type UnexpectedCount = { readonly _tag: 'UnexpectedCount'; readonly counted: number; readonly expected: number }
/** `counted` null: more than the limit. */
export type BatchTooLarge = { readonly _tag: 'BatchTooLarge'; readonly limit: number; readonly counted: number | null }
/** A webhook's address is one that this server sends nothing to. */
export type TargetRefused = { readonly _tag: 'TargetRefused'; readonly why: string }
/** Only what was given up can be sent again. */
export type DeliveryNotRedrivable = {
  readonly _tag: 'DeliveryNotRedrivable'
  readonly deliveryId: string
  readonly status: DeliveryStatus
}
/** Nothing is sent to it until it is enabled. */
export type WebhookDisabled = { readonly _tag: 'WebhookDisabled'; readonly webhookId: WebhookId }
/** The same request was made before, by its Idempotency-Key, and its answer is kept: nothing was done again. */
export type Answered = { readonly _tag: 'Answered' }
/** Where a watcher says that it was is nothing that it was told here. */
export type UnknownPosition = { readonly _tag: 'UnknownPosition' }
/** What came next is not there any more, or is in another history. */
export type PositionGone = { readonly _tag: 'PositionGone'; readonly why: 'too_old' | 'other_feed' }
/** Someone else changed the row between our read and our write, more often than we were ready to try again. */
export type Contended = { readonly _tag: 'Contended'; readonly what: string }

export type ApplicationError =
  | NotFound
  | Forbidden
  | TransitionRefused
  | VersionMismatch
  | UnknownTemplate
  | UnknownAgent
  | NoAgent
  | InvalidParameters
  | AgentExists
  | AgentHasSessions
  | CommandNotRedrivable
  | CommandOutdated
  | CommandNotCancellable
  | NoCapacity
  | OrphanNotAdoptable
  | JobNotFailed
  | OrgExists
  | OrgInUse
  | QuotaExceeded
  | TooManyWebhooks
  | ApiKeyOver
  | UnexpectedCount
  | BatchTooLarge
  | TargetRefused
  | DeliveryNotRedrivable
  | WebhookDisabled
  | Answered
  | UnknownPosition
  | PositionGone
  | Contended

export const notFound = (what: NotFound['what'], id: string): NotFound => ({ _tag: 'NotFound', what, id })

export const forbidden = (permission: Permission): Forbidden => ({ _tag: 'Forbidden', permission })
