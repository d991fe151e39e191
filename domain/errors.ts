/**
 * What can be refused, as tagged values. `adapters/http/problems.ts` maps each tag to a status, a title
 * and a stable code; nothing else decides how an error looks. Exceptions are for bugs and lost
 * infrastructure only.
 */
import type { FieldError } from './codec/field-errors.ts'
import type { Permission } from './identity/caller.ts'
import type { AgentId } from './ids.ts'
import type { Refusal } from './placement/place.ts'
import type { SessionAction, SessionStatus } from './session/words.ts'

export type NotFound = {
  readonly _tag: 'NotFound'
  readonly what: 'session' | 'template' | 'agent' | 'command' | 'org' | 'orphan'
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
  | Contended

export const notFound = (what: NotFound['what'], id: string): NotFound => ({ _tag: 'NotFound', what, id })
