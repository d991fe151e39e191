/**
 * One call: fetch, the time it may take, repetition where that is harmless (`retry.ts`), and the answer
 * checked by the codec that the server's documentation is written from.
 */
import { decode } from '../../domain/codec/field-errors.ts'
import { E } from '../../domain/fp.ts'
import { PROBLEM_MEDIA_TYPE, type Problem, problemCodec } from '../api/problem.ts'
import { type OperationId, type Route, routes } from '../api/routes.ts'
import type { AnswerOf, BodyOf, ParamsOf, QueryOf } from './contract.ts'
import { encodeQuery, fillPath } from './encode.ts'
import { ProblemError, UnexpectedAnswerError, UnreachableError } from './errors.ts'
import { parseRetryAfter, retryDelay } from './retry.ts'

export type ClientOptions = {
  /** `http://host:port`, also with a path before `/api`. */
  readonly url: string
  /** null: without one, for what needs none. */
  readonly apiKey: string | null
  /** To act in this org instead of the key's own: installation keys only. */
  readonly org?: string | undefined
  /** Of one attempt, answer included. Default 30 s. */
  readonly timeoutMs?: number | undefined
  readonly userAgent?: string | undefined
  /** Ends every call that is under way and those that would come: they fail with its reason. */
  readonly signal?: AbortSignal | undefined
  /**
   * Of the one change that is asked with it (`client.with({ idempotencyKey })`): a program that was ended before it had the
   * answer asks again under the same, and nothing is done twice. Default: one of its own for each call, for all its attempts.
   */
  readonly idempotencyKey?: string | undefined
  readonly fetch?: typeof fetch | undefined
  readonly sleep?: ((ms: number) => Promise<unknown>) | undefined
}

export type Call<K extends OperationId> = {
  readonly params?: ParamsOf<K>
  readonly query?: QueryOf<K>
  readonly body?: BodyOf<K>
  /** An ETag: only when it is still this. */
  readonly ifMatch?: string | undefined
  readonly ifNoneMatch?: string | undefined
  /** For this call instead of the client's. */
  readonly timeoutMs?: number | undefined
  readonly noRetries?: true
  /** As in the client's options, for this call alone. */
  readonly idempotencyKey?: string | undefined
  readonly signal?: AbortSignal | undefined
}

export type Answered<K extends OperationId> =
  | { readonly unchanged: false; readonly status: number; readonly body: AnswerOf<K>; readonly etag: string | null }
  /** 304 to `ifNoneMatch`. */
  | { readonly unchanged: true }

export type Caller = <K extends OperationId>(operation: K, call: Call<K>) => Promise<Answered<K>>

const DEFAULT_TIMEOUT_MS = 30_000

/** Who asks, and for whom. */
export const headersFor = ({
  apiKey,
  org,
  userAgent = 'streamspace-client',
}: ClientOptions): Record<string, string> => ({
  'User-Agent': userAgent,
  ...(apiKey === null ? {} : { Authorization: `Bearer ${apiKey}` }),
  ...(org === undefined ? {} : { 'Streamspace-Org': org }),
})

export const createCaller = (options: ClientOptions): Caller => {
  const { timeoutMs = DEFAULT_TIMEOUT_MS } = options
  const base = options.url.replace(/\/+$/, '')
  const send = options.fetch ?? fetch
  const sleep = options.sleep ?? pause

  return async <K extends OperationId>(operation: K, call: Call<K>): Promise<Answered<K>> => {
    const route: Route = routes[operation]
    const url = `${base}${fillPath(route.path, call.params ?? {})}${encodeQuery((call.query ?? {}) as Record<string, unknown>)}`
    const headers: Record<string, string> = { Accept: 'application/json', ...headersFor(options) }
    if (call.ifMatch !== undefined) headers['If-Match'] = call.ifMatch
    if (call.ifNoneMatch !== undefined) headers['If-None-Match'] = call.ifNoneMatch
    if (call.body !== undefined) headers['Content-Type'] = 'application/json'
    if (route.method !== 'get')
      headers['Idempotency-Key'] = call.idempotencyKey ?? options.idempotencyKey ?? crypto.randomUUID()
    const signals = [options.signal, call.signal].filter((signal) => signal !== undefined)
    const ended = signals.length === 0 ? null : AbortSignal.any(signals)

    const attempt = async (): Promise<Received> => {
      // AbortSignal.timeout takes whole milliseconds only.
      const limit = Math.ceil(call.timeoutMs ?? timeoutMs)
      try {
        const response = await send(url, {
          method: route.method.toUpperCase(),
          headers,
          ...(call.body === undefined ? {} : { body: JSON.stringify(call.body) }),
          // A redirect would make a GET of a POST; where it leads is told instead.
          redirect: 'manual',
          signal: AbortSignal.any([AbortSignal.timeout(limit), ...signals]),
        })
        return { status: response.status, headers: response.headers, text: await response.text() }
      } catch (error) {
        ended?.throwIfAborted()
        // fetch fails with these two and no other; anything else is a bug and no matter of the network.
        if (!(error instanceof TypeError || error instanceof DOMException)) throw error
        throw unreachable(base, error, limit)
      }
    }

    const rest = (ms: number): Promise<unknown> => (ended === null ? sleep(ms) : untilEnded(sleep(ms), ended))

    for (let retries = 0; ; retries += 1) {
      ended?.throwIfAborted()
      let received: Received
      try {
        received = await attempt()
      } catch (error) {
        const again = error instanceof UnreachableError && error.kind === 'broken' && !call.noRetries
        const wait = again ? retryDelay({ kind: 'broken' }, retries) : null
        if (wait === null) throw error
        await rest(wait)
        continue
      }
      const { status, text, headers: answered } = received
      if (status === 304 && call.ifNoneMatch !== undefined) return { unchanged: true }
      const answer = route.answers[status]
      if (answer !== undefined)
        return {
          unchanged: false,
          status,
          body: (answer.codec === null ? undefined : checked(url, received, answer.codec)) as AnswerOf<K>,
          etag: answered.get('etag'),
        }
      const problem = problemOf(received)
      const failure = {
        kind: 'answered',
        status,
        code: problem?.code ?? null,
        retryAfterMs: parseRetryAfter(answered.get('retry-after'), Date.now()),
      } as const
      const wait = call.noRetries ? null : retryDelay(failure, retries)
      if (wait === null)
        throw problem === null
          ? new UnexpectedAnswerError(url, status, strange(answered, text))
          : new ProblemError(problem)
      await rest(wait)
    }
  }
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

/** Fails with the signal's reason as soon as there is one. */
const untilEnded = (waiting: Promise<unknown>, signal: AbortSignal): Promise<unknown> =>
  new Promise((resolve, reject) => {
    const end = (): void => reject(signal.reason)
    signal.addEventListener('abort', end, { once: true })
    waiting.then(resolve, reject).finally(() => signal.removeEventListener('abort', end))
  })

export type Received = { readonly status: number; readonly headers: Headers; readonly text: string }

/** What is handed on is what was sent, not what the codec kept of it: a newer server's fields stay visible. */
const checked = (url: string, { status, text }: Received, codec: Parameters<typeof decode>[0]): unknown => {
  const json = parsed(text)
  const decoded = decode(codec, json)
  if (E.isRight(decoded)) return json
  const complaints = decoded.left.slice(0, 3).map(({ field, message }) => `${field || 'the answer'} ${message}`)
  throw new UnexpectedAnswerError(
    url,
    status,
    `not what this version understands (${complaints.join('; ')}): is the server another version, or something else?`,
  )
}

export const problemOf = ({ headers, text }: Received): Problem | null => {
  if (!headers.get('content-type')?.startsWith(PROBLEM_MEDIA_TYPE)) return null
  const json = parsed(text)
  return E.isRight(decode(problemCodec, json)) ? (json as Problem) : null
}

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

export const strange = (headers: Headers, text: string): string => {
  const location = headers.get('location')
  if (location !== null) return `it redirects to ${location}: use that address`
  const start = text.replaceAll(/\s+/g, ' ').trim().slice(0, 200)
  return start === '' ? 'nothing more' : start
}

/** fetch says "fetch failed"; what happened is in its cause, for a name with several addresses in several. */
export const unreachable = (url: string, error: unknown, limit: number): UnreachableError => {
  if (error instanceof DOMException)
    return new UnreachableError(url, 'late', `it took longer than ${limit / 1_000} s`, { cause: error })
  let inner = error
  while (inner instanceof Error && inner.cause instanceof Error) inner = inner.cause
  if (inner instanceof AggregateError) inner = inner.errors[0]
  const { code, message } = inner as Error & { readonly code?: string }
  return code === undefined
    ? new UnreachableError(url, 'impossible', message, { cause: error })
    : new UnreachableError(url, 'broken', words[code] ?? `${message || 'the connection failed'} (${code})`, {
        cause: error,
      })
}

const words: { readonly [code: string]: string } = {
  ECONNREFUSED: 'nothing listens there (ECONNREFUSED)',
  ECONNRESET: 'the connection broke (ECONNRESET)',
  ENOTFOUND: 'this host name is not known (ENOTFOUND)',
  EAI_AGAIN: 'the host name cannot be looked up at the moment (EAI_AGAIN)',
  UND_ERR_SOCKET: 'the connection broke',
  UND_ERR_CONNECT_TIMEOUT: 'no connection in time',
}
