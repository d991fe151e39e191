/** Errors as the API answers them: RFC 9457, media type `application/problem+json`. */
import * as c from '../../domain/codec/codec.ts'

/** Every stable code, with its status and title. What a client may build on is the code. */
export const problems = {
  malformed_request: { status: 400, title: 'The HTTP request is malformed' },
  malformed_json: { status: 400, title: 'The body is not JSON' },
  invalid_request: { status: 400, title: 'The request does not decode' },
  unauthorized: { status: 401, title: 'Not authenticated' },
  forbidden: { status: 403, title: 'Not allowed' },
  not_found: { status: 404, title: 'Not found' },
  method_not_allowed: { status: 405, title: 'This path has no such method' },
  request_timeout: { status: 408, title: 'The request did not arrive in time' },
  transition_refused: { status: 409, title: 'Not possible in this state' },
  agent_exists: { status: 409, title: 'The agent exists already' },
  agent_has_sessions: { status: 409, title: 'The agent has sessions' },
  command_not_redrivable: { status: 409, title: 'Only a dead or expired command can be sent again' },
  command_outdated: { status: 409, title: 'The command is no longer the newest of its session' },
  command_not_cancellable: { status: 409, title: 'The command cannot be cancelled any more' },
  no_capacity: { status: 409, title: 'The agent has no capacity for it' },
  orphan_not_adoptable: { status: 409, title: 'The orphan cannot become a session' },
  quota_exceeded: { status: 409, title: 'The quota has not that much left' },
  org_exists: { status: 409, title: 'The org exists already' },
  org_in_use: { status: 409, title: 'The org has sessions or agents' },
  api_key_over: { status: 409, title: 'The API key works no more' },
  unexpected_count: { status: 409, title: 'There are not as many as was said' },
  delivery_not_redrivable: { status: 409, title: 'Only a dead delivery can be sent again' },
  webhook_disabled: { status: 409, title: 'The webhook is disabled' },
  idempotency_in_progress: { status: 409, title: 'The first of these requests is still under way' },
  job_not_failed: { status: 409, title: 'Only a failed job can be run again' },
  position_gone: { status: 410, title: 'The position in the feed is too old' },
  precondition_failed: { status: 412, title: 'Changed since you read it' },
  body_too_large: { status: 413, title: 'The body is too large' },
  unsupported_media_type: { status: 415, title: 'The body must be application/json' },
  unknown_template: { status: 422, title: 'No such template' },
  unknown_agent: { status: 422, title: 'No such agent' },
  no_agent: { status: 422, title: 'No agent could ever take it' },
  invalid_parameters: { status: 422, title: 'The parameters are not valid' },
  batch_too_large: { status: 422, title: 'Too many at once' },
  target_refused: { status: 422, title: 'Nothing is sent to this address' },
  idempotency_mismatch: { status: 422, title: 'The Idempotency-Key belongs to another request' },
  rate_limited: { status: 429, title: 'Too many requests of yours' },
  headers_too_large: { status: 431, title: 'The headers are too large' },
  internal_error: { status: 500, title: 'A fault of the server' },
  provider_unavailable: { status: 503, title: 'The identity provider cannot be reached' },
  unavailable: { status: 503, title: 'The database cannot be reached' },
  not_ready: { status: 503, title: 'Not ready' },
  contended: { status: 503, title: 'Too many changes at once' },
  overloaded: { status: 503, title: 'Too many requests at once' },
} as const satisfies { readonly [code: string]: { readonly status: number; readonly title: string } }

export type ProblemCode = keyof typeof problems

/** A URI that names the kind of problem; nothing is found there. */
export const problemType = (code: ProblemCode): string => `urn:streamspace:problem:${code}`

export const PROBLEM_MEDIA_TYPE = 'application/problem+json'

/** Of requests that never come as far as a route. */
export const bareProblem = (code: ProblemCode, detail: string, requestId: string): string => {
  const { status, title } = problems[code]
  return JSON.stringify({ type: problemType(code), title, status, detail, code, requestId })
}

export const problemCodec = c.openObject(
  {
    type: c.described(c.string(), { format: 'uri', description: '`urn:streamspace:problem:` and the code' }),
    title: c.string(),
    status: c.integer(),
    detail: c.described(c.string(), 'what went wrong and what to do, for a person'),
    code: c.described(c.string(), `stable. Known: ${Object.keys(problems).join(', ')}. More may be added.`),
    requestId: c.described(c.string(), 'also in the header X-Request-Id and in the log'),
  },
  {
    errors: c.described(
      c.array(c.openObject({ field: c.string(), message: c.string() })),
      'every field that does not decode or does not fit',
    ),
    state: c.described(
      c.string(),
      "transition_refused: the session's status; of a command, a job or a delivery: its own",
    ),
    allowedActions: c.described(c.array(c.string()), 'transition_refused: what may be asked instead'),
    generation: c.described(c.integer(), "command_outdated: the command's"),
    sessionGeneration: c.described(c.integer(), "command_outdated: the session's newest"),
    version: c.described(c.integer(), 'precondition_failed: the version as it is now'),
    refusals: c.described(
      c.array(c.openObject({ agentId: c.string(), reason: c.string() }, { detail: c.string() })),
      'no_agent: why each agent cannot',
    ),
    counted: c.described(c.nullable(c.integer()), 'unexpected_count, batch_too_large: how many there are'),
    expected: c.described(c.integer(), 'unexpected_count: how many were expected'),
    sessions: c.described(c.integer(), 'agent_has_sessions, org_in_use: how many'),
    agents: c.described(c.integer(), 'org_in_use: how many'),
    quota: c.described(
      c.string(),
      'quota_exceeded: `maxSessions`, `maxRunning`, `cpuMillis`, `memoryMib` or `maxWebhooks`',
    ),
    scope: c.described(c.string(), 'quota_exceeded: whose it is, of the whole `org`, of each `user`, of a `template`'),
    name: c.described(c.string(), 'quota_exceeded: of the org, the user or the template'),
    limit: c.described(c.number(), 'what is allowed'),
    used: c.described(c.number(), 'what is in use'),
    asked: c.described(c.number(), 'what was asked'),
  },
)
export type Problem = c.TypeOf<typeof problemCodec>
