/** What one entry of the route table says; `routes.ts` has them all. */
import type * as c from '../../domain/codec/codec.ts'
import type { Permission } from '../../domain/identity/caller.ts'
import type { ProblemCode } from './problem.ts'
import { type QueryCodec, query } from './query.ts'

export type ResponseHeader = 'Location' | 'ETag'

export type Answer = {
  readonly description: string
  /** null: no body. */
  readonly codec: c.AnyCodec | null
  /** Left out: JSON. */
  readonly mediaType?: 'text/event-stream' | 'text/plain'
  readonly headers?: readonly ResponseHeader[]
  /** Text of one of these media types, sent as it is made. */
  readonly streams?: readonly string[]
}

export type Route = {
  readonly method: 'get' | 'post' | 'put' | 'patch' | 'delete'
  /** With `{name}` for each of `params`. */
  readonly path: string
  readonly tag:
    | 'Sessions'
    | 'Templates'
    | 'Agents'
    | 'Commands'
    | 'Jobs'
    | 'Orgs'
    | 'API keys'
    | 'Webhooks'
    | 'Audit'
    | 'Server'
  readonly summary: string
  readonly description?: string
  /** `anyone` needs no key; `caller` any key; the rest is checked in the use case, here it is documentation. */
  readonly access: 'anyone' | 'caller' | Permission
  /** What a query parameter takes beyond that when it is `true`. */
  readonly accessFor?: { readonly [parameter: string]: Permission }
  /** What does not decode here names nothing: 404. */
  readonly params: { readonly [name: string]: c.AnyCodec }
  // biome-ignore lint/suspicious/noExplicitAny: any query codec fits, whatever its parameters
  readonly query: QueryCodec<any>
  /** null: an empty object may be sent, and nothing else. */
  readonly body: c.AnyCodec | null
  /** No body at all means the same as `{}`. */
  readonly bodyOptional?: true
  /** Last-Event-ID is honoured. */
  readonly resumes?: true
  /** Its answer is always kept by the statement of its change: it is tried before an answer to its Idempotency-Key is looked for. */
  readonly triedFirst?: true
  /**
   * What it takes of the database, of which each org has a share (`adapters/http/places.ts`). Left out: a connection for a moment.
   * `gathered`: those that come at the same moment are one statement. `long`: a connection for a second, or another one's answer for as long.
   */
  readonly takes?: 'gathered' | 'long'
  /** `change`: If-Match is honoured. `read`: the answer has an ETag, and If-None-Match is. */
  readonly condition: 'change' | 'read' | null
  readonly answers: { readonly [status: number]: Answer }
  /** Besides what follows from the rest: `problemsOf` in openapi.ts. */
  readonly problems: readonly ProblemCode[]
}

export const noQuery = query({})

/** For operations that take nothing but their path. */
export const nothingSent = { query: noQuery, body: null, condition: null, problems: [] } as const

/** What a caller has to have for this request; null: to be one. */
export const permissionFor = (
  { access, accessFor = {} }: Route,
  query: { readonly [name: string]: unknown },
): Permission | null => {
  const more = Object.entries(accessFor).find(([parameter]) => query[parameter] === true)
  if (more !== undefined) return more[1]
  return access === 'anyone' || access === 'caller' ? null : access
}

/** For those that change what has an ETag, and take nothing but their path. */
export const changing = { ...nothingSent, condition: 'change' } as const

/** For those that read: what is as the caller has it is not sent again. */
export const reading = { ...nothingSent, method: 'get', condition: 'read' } as const
