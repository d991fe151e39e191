/**
 * How every refusal and every fault looks from outside: ONE table from tag to code (status and title follow
 * from the code, `src/api/problem.ts`), with what helps. Nothing else decides how an error looks.
 */
import type { FieldError } from '../../domain/codec/field-errors.ts'
import type { ApplicationError, OrphanNotAdoptable, PositionGone } from '../../domain/errors.ts'
import { rolesWith } from '../../domain/identity/caller.ts'
import type { QuotaScope } from '../../domain/quota/quota.ts'
import { type ProblemCode, problems, problemType } from '../../src/api/problem.ts'

/** What HTTP itself refuses, before or beside the use cases. */
export type HttpError =
  | { readonly _tag: 'InvalidRequest'; readonly errors: readonly FieldError[] }
  | { readonly _tag: 'MalformedJson'; readonly detail: string }
  | { readonly _tag: 'BodyTooLarge'; readonly limit: number }
  | { readonly _tag: 'UnsupportedMediaType'; readonly detail: string }
  | { readonly _tag: 'Unauthorized'; readonly given: boolean }
  | { readonly _tag: 'ForbiddenOrg'; readonly org: string }
  | { readonly _tag: 'IdempotencyMismatch' }
  | { readonly _tag: 'IdempotencyInProgress' }
  | { readonly _tag: 'NothingToMatch' }
  | { readonly _tag: 'UnknownPath'; readonly path: string }
  | { readonly _tag: 'MethodNotAllowed'; readonly method: string; readonly allow: string }
  | { readonly _tag: 'NotReady'; readonly reason: string }
  | { readonly _tag: 'Unavailable' }
  | { readonly _tag: 'ProviderUnavailable' }
  | { readonly _tag: 'Overloaded'; readonly what: 'the server' | 'your org' }
  | { readonly _tag: 'RateLimited'; readonly what: 'requests' | 'failed logins'; readonly retryInSeconds: number }
  | { readonly _tag: 'Fault' }

export type AnyRefusal = ApplicationError | HttpError

type Explanation = {
  readonly code: ProblemCode
  readonly detail: string
  /** Further members of the problem. */
  readonly more?: { readonly [member: string]: unknown }
  readonly headers?: { readonly [name: string]: string }
}

type Table = { readonly [T in AnyRefusal['_tag']]: (error: Extract<AnyRefusal, { _tag: T }>) => Explanation }

const plural = (count: number, thing: string): string => `${count} ${thing}${count === 1 ? '' : 's'}`

const quotaOf: { readonly [S in QuotaScope]: (name: string) => string } = {
  org: (name) => `the quota of org ${name}`,
  user: (name) => `the quota of each user (here ${JSON.stringify(name)})`,
  template: (name) => `the quota of template ${name}`,
}

const notAdoptable: { readonly [W in OrphanNotAdoptable['why']]: string } = {
  not_yours: 'is a session of another agent: only what the database does not know can be adopted',
  being_removed: 'is being removed: its command is on its way to the agent and cannot be taken back',
  is_a_session: 'is a session already, of this agent or of another: look at that one',
}

const gone: { readonly [W in PositionGone['why']]: string } = {
  too_old: 'events behind Last-Event-ID have been removed, as they were too old',
  other_feed: 'Last-Event-ID is of another history: the database was restored or replaced since',
}

const IdempotencyInProgress = (): Explanation => ({
  code: 'idempotency_in_progress',
  detail: 'the first request with this Idempotency-Key has no answer yet: try again',
  headers: { 'Retry-After': '1' },
})

const table: Table = {
  InvalidRequest: ({ errors }) => ({
    code: 'invalid_request',
    detail: errors
      .map(({ field, message }) => (field === '' ? `the body ${message}` : `${field} ${message}`))
      .join('; '),
    more: { errors },
  }),
  MalformedJson: ({ detail }) => ({ code: 'malformed_json', detail }),
  BodyTooLarge: ({ limit }) => ({ code: 'body_too_large', detail: `a body may have at most ${limit} bytes` }),
  UnsupportedMediaType: ({ detail }) => ({ code: 'unsupported_media_type', detail }),

  Unauthorized: ({ given }) => ({
    code: 'unauthorized',
    detail: given
      ? 'this key or token is not known, has expired or was revoked; it is sent as Authorization: Bearer …'
      : 'send an API key or a JWT: Authorization: Bearer …',
    // RFC 6750, section 3: no error code when no credentials were given.
    headers: { 'WWW-Authenticate': `Bearer realm="streamspace"${given ? ', error="invalid_token"' : ''}` },
  }),
  ForbiddenOrg: ({ org }) => ({
    code: 'forbidden',
    detail: `only an installation key may act in another org than its own, as Streamspace-Org: ${org} asks`,
  }),
  Forbidden: ({ permission }) => ({
    code: 'forbidden',
    detail: `this takes the permission ${permission}, which your role does not have: ask somebody who is ${rolesWith(permission).join(' or ')}`,
  }),

  UnknownPath: ({ path }) => ({ code: 'not_found', detail: `there is nothing at ${path}; /docs shows what there is` }),
  NotFound: ({ what, id }) => ({
    code: 'not_found',
    detail: `there is no ${what} ${JSON.stringify(id)} that you can see`,
  }),
  MethodNotAllowed: ({ method, allow }) => ({
    code: 'method_not_allowed',
    detail: `${method} is not possible here; ${allow} is`,
    headers: { Allow: allow },
  }),

  TransitionRefused: ({ action, state, allowedActions }) => ({
    code: 'transition_refused',
    detail: `a session that is ${state} does not take ${action}; it takes: ${allowedActions.join(', ') || 'nothing'}`,
    more: { state, allowedActions },
  }),
  AgentExists: ({ agentId }) => ({ code: 'agent_exists', detail: `an agent ${agentId} is enrolled already` }),
  AgentHasSessions: ({ agentId, sessions }) => ({
    code: 'agent_has_sessions',
    detail: `agent ${agentId} has ${plural(sessions, 'session')}: delete them first (listed with agent=${agentId}), or force it and lose them`,
    more: { sessions },
  }),
  CommandNotRedrivable: ({ commandId, status }) => ({
    code: 'command_not_redrivable',
    detail: `command ${commandId} is ${status}: only one that is dead or expired can be sent again${status === 'pending' ? '' : '; ask for the state itself again'}`,
    more: { state: status },
  }),
  CommandOutdated: ({ commandId, generation, sessionGeneration }) => ({
    code: 'command_outdated',
    detail:
      generation === sessionGeneration
        ? `the session of command ${commandId} is no longer on its agent: ask for the state itself again`
        : `command ${commandId} is of generation ${generation}, its session has ${sessionGeneration} by now: look at its newest command`,
    more: { generation, sessionGeneration },
  }),
  CommandNotCancellable: ({ commandId, status }) => ({
    code: 'command_not_cancellable',
    detail:
      status === 'pending'
        ? `the session of command ${commandId} is deleted, and only this command removes what its agent has left of it`
        : `command ${commandId} is ${status} already: only one that is pending can be cancelled`,
    more: { state: status },
  }),
  NoCapacity: ({ agentId, cordoned }) => ({
    code: 'no_capacity',
    detail: cordoned
      ? `agent ${agentId} is cordoned: uncordon it, or start the session anew to place it elsewhere`
      : `agent ${agentId} has no room for it now: try again later, or start the session anew to place it elsewhere`,
  }),
  OrphanNotAdoptable: ({ sessionId, why }) => ({
    code: 'orphan_not_adoptable',
    detail: `${sessionId} ${notAdoptable[why]}`,
  }),
  QuotaExceeded: ({ scope, name, quota, limit, used, asked }) => ({
    code: 'quota_exceeded',
    detail: `${quotaOf[scope](name)} allows ${quota} ${limit}: ${used} ${used === 1 ? 'is' : 'are'} used, ${asked} more asked; ${
      quota === 'maxSessions' ? 'delete' : 'stop, hibernate or delete'
    } something first, or have an installation key raise it`,
    more: { quota, scope, name, limit, used, asked },
  }),
  TooManyWebhooks: ({ orgId, limit, used }) => ({
    code: 'quota_exceeded',
    detail: `an org may have ${plural(limit, 'webhook')}, and org ${orgId} has ${used}: delete one first, or have the operator of the server raise STREAMSPACE_WEBHOOK_LIMIT_PER_ORG`,
    more: { quota: 'maxWebhooks', scope: 'org', name: orgId, limit, used, asked: 1 },
  }),
  JobNotFailed: ({ jobId, state }) => ({
    code: 'job_not_failed',
    detail: `job ${jobId} is ${state}: only one that has failed can be run again`,
    more: { state },
  }),
  OrgExists: ({ orgId }) => ({
    code: 'org_exists',
    detail: `there is an org ${orgId} already, or was: an id is given once`,
  }),
  OrgInUse: ({ orgId, sessions, agents }) => ({
    code: 'org_in_use',
    detail: `org ${orgId} has ${plural(sessions, 'session')} and ${plural(agents, 'agent')}: delete them first`,
    more: { sessions, agents },
  }),
  ApiKeyOver: ({ apiKeyId }) => ({
    code: 'api_key_over',
    detail: `key ${apiKeyId} has expired or was revoked: make a new one`,
  }),
  UnexpectedCount: ({ counted, expected }) => ({
    code: 'unexpected_count',
    detail: `it is about ${plural(counted, 'session')}, and ${expected} ${expected === 1 ? 'was' : 'were'} expected: nothing was changed; look at them again`,
    more: { counted, expected },
  }),
  BatchTooLarge: ({ limit, counted }) => ({
    code: 'batch_too_large',
    detail: `it is about ${counted === null ? `more than ${limit}` : counted} sessions, and ${limit} are possible at once: nothing was changed; ask for fewer`,
    more: { limit, counted },
  }),
  TargetRefused: ({ why }) => ({
    code: 'target_refused',
    detail: `url: ${why}`,
    more: { errors: [{ field: 'url', message: why }] },
  }),
  DeliveryNotRedrivable: ({ deliveryId, status }) => ({
    code: 'delivery_not_redrivable',
    detail: `delivery ${deliveryId} is ${status}: only one that is dead can be sent again`,
    more: { state: status },
  }),
  WebhookDisabled: ({ webhookId }) => ({
    code: 'webhook_disabled',
    detail: `webhook ${webhookId} is disabled: mend what it calls, then set its status to active`,
  }),
  NothingToMatch: () => ({
    code: 'precondition_failed',
    detail: 'what this changes has no ETag that If-Match could name: leave it out',
  }),
  VersionMismatch: ({ current }) => ({
    code: 'precondition_failed',
    detail: `If-Match does not name the current version, ${current}: read it again, and send its ETag as it is, in quotes`,
    more: { version: current },
  }),

  UnknownTemplate: ({ name, version }) => ({
    code: 'unknown_template',
    detail: `there is no template ${JSON.stringify(name)}${version === null ? '' : ` with version ${version}`}`,
    more: { errors: [{ field: version === null ? 'template' : 'templateVersion', message: 'is not known' }] },
  }),
  UnknownAgent: ({ agentId }) => ({
    code: 'unknown_agent',
    detail: `there is no agent ${JSON.stringify(agentId)}`,
    more: { errors: [{ field: 'agentId', message: 'is not known' }] },
  }),
  NoAgent: ({ detail, refusals }) => ({ code: 'no_agent', detail, more: { refusals } }),
  InvalidParameters: ({ errors }) => ({
    code: 'invalid_parameters',
    detail: errors.map(({ field, message }) => `${field} ${message}`).join('; '),
    more: { errors },
  }),

  IdempotencyMismatch: () => ({
    code: 'idempotency_mismatch',
    detail:
      'this Idempotency-Key came with another request before (method, path or body): use a new one for each new request',
  }),
  IdempotencyInProgress,
  // What is kept is answered before anybody sees this.
  Answered: IdempotencyInProgress,

  UnknownPosition: () => ({
    code: 'invalid_request',
    detail: 'Last-Event-ID is none that was given here in this org: leave it out to watch from now on',
    more: { errors: [{ field: 'Last-Event-ID', message: 'is none that was given here in this org' }] },
  }),
  PositionGone: ({ why }) => ({
    code: 'position_gone',
    detail: `${gone[why]}: list what there is now, and watch without Last-Event-ID`,
  }),

  Contended: ({ what }) => ({
    code: 'contended',
    detail: `${what} is being changed by others all the time: try again`,
    headers: { 'Retry-After': '1' },
  }),
  Unavailable: () => ({
    code: 'unavailable',
    detail: 'the server has no usable database at the moment, or it did not answer in time: try again',
    headers: { 'Retry-After': '2' },
  }),
  ProviderUnavailable: () => ({
    code: 'provider_unavailable',
    detail: 'the keys of the identity provider cannot be fetched at the moment: try again, or use an API key',
    headers: { 'Retry-After': '5' },
  }),
  Overloaded: ({ what }) => ({
    code: 'overloaded',
    detail: `${what} has more requests at this server than can be answered in time, and nothing was done about this one: try again`,
    headers: { 'Retry-After': '1' },
  }),
  RateLimited: ({ what, retryInSeconds }) => ({
    code: 'rate_limited',
    detail:
      what === 'requests'
        ? `this key has come too often: try again in ${retryInSeconds} s, and more slowly`
        : `too many keys or tokens from this address were not good: try again in ${retryInSeconds} s`,
    headers: { 'Retry-After': String(retryInSeconds) },
  }),
  NotReady: ({ reason }) => ({ code: 'not_ready', detail: reason, headers: { 'Retry-After': '2' } }),
  Fault: () => ({
    code: 'internal_error',
    detail: 'something went wrong in the server; its log has more under the requestId',
  }),
}

export type ProblemAnswer = {
  readonly status: number
  readonly code: ProblemCode
  readonly headers: { readonly [name: string]: string }
  readonly json: string
}

const explained = (error: AnyRefusal): Explanation => (table[error._tag] as (error: AnyRefusal) => Explanation)(error)

/** Of one of several things that were asked together: the answer as a whole has the request's id. */
export const problemOfItem = (error: AnyRefusal) => {
  const { code, detail, more } = explained(error)
  const { status, title } = problems[code]
  return { type: problemType(code), title, status, detail, code, ...more }
}

export const problemAnswer = (error: AnyRefusal, requestId: string): ProblemAnswer => {
  const { code, detail, more, headers = {} } = explained(error)
  const { status, title } = problems[code]
  return {
    status,
    code,
    headers,
    json: JSON.stringify({ type: problemType(code), title, status, detail, code, requestId, ...more }),
  }
}
