/** One request and its answer: writes answers, problems and the log line of each. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { pipeline } from 'node:stream/promises'
import type { Logger } from 'pino'
import type { OrgId } from '../../domain/ids.ts'
import { BadCursorError } from '../../domain/ports/sessions.ts'
import { NoTurnError } from '../../domain/turns/turnstile.ts'
import { PROBLEM_MEDIA_TYPE, type ProblemCode } from '../../src/api/problem.ts'
import { RequestAbortedError } from './body.ts'
import { COMPRESSED_FROM_BYTES, encoded, encodingFor } from './compress.ts'
import { contentEtag, noneMatchHits, versionEtag } from './etag.ts'
import { type AnyRefusal, problemAnswer } from './problems.ts'
import { requestIdOf } from './request-id.ts'
import { apiHeaders } from './security-headers.ts'
import { isUnavailable } from './unavailable.ts'

export type Reply = {
  readonly status: number
  /** undefined: no body. Written as JSON. */
  readonly body?: unknown
  /** A body that is JSON already. */
  readonly json?: string
  /** A number: the version that If-Match guards. `content`: by content alone. */
  readonly etag?: number | 'content'
  readonly location?: string
  /** It shows something once, which no cache may keep. */
  readonly secret?: true
  /** Writes the answer itself, for as long as it takes. */
  readonly stream?: (exchange: Exchange) => void
  /** The first answer to this request, again. */
  readonly replayed?: true
  /** Text instead of `body`, sent as it is made, and made no faster than it is read. */
  readonly download?: { readonly type: string; readonly filename: string; readonly chunks: AsyncIterable<string> }
  /** What the audit trail tells instead of the body, and of each part as if it had been asked for alone. */
  readonly told?: { readonly after: object; readonly parts: readonly ToldPart[] }
  /** What the trails of other orgs tell of it: to each what became of its own. */
  readonly elsewhere?: readonly { readonly orgId: OrgId; readonly before?: object; readonly after: object }[]
  /** Large, the same for everybody, and without a secret; lists are anyway. */
  readonly compressible?: true
}

export type ToldPart = {
  readonly operationId: string
  readonly id: string
  readonly status: number
  /** Of the problem; null: it was done. */
  readonly code: string | null
  readonly before: object | null
  readonly after: object | null
}

export type Refused = { readonly status: number; readonly code: ProblemCode }

export type Exchange = {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly log: Logger
  readonly requestId: string
  /** From where it comes. */
  readonly address: string
  readonly startedAt: number
  /** What is sent with whatever becomes of it. */
  readonly headers: Headers
}

export const begin = (
  request: IncomingMessage,
  response: ServerResponse,
  log: Logger,
  address = request.socket.remoteAddress ?? '',
): Exchange => ({
  request,
  response,
  log,
  requestId: requestIdOf(request),
  address,
  startedAt: performance.now(),
  headers: {},
})

type Headers = Record<string, string | number>

/** JSON is never to be taken for anything else, framed, or told to other sites. */
export const headersOf = (exchange: Exchange, cacheControl: string): Headers => ({
  ...apiHeaders,
  'X-Request-Id': exchange.requestId,
  'Cache-Control': cacheControl,
  ...exchange.headers,
})

const write = (exchange: Exchange, status: number, headers: Headers, body: string | Buffer | null): void => {
  const { response } = exchange
  if (body !== null) headers['Content-Length'] = Buffer.byteLength(body)
  response.writeHead(status, headers)
  response.end(body ?? undefined)
}

export const answer = (exchange: Exchange, reply: Reply): void => {
  if (reply.stream !== undefined) {
    reply.stream(exchange)
    noted(exchange, reply.status)
    return
  }
  const { status, body, etag, location } = reply
  const headers = headersOf(exchange, reply.secret === true ? 'no-store' : 'private, no-cache')
  if (location !== undefined) headers.Location = location
  if (reply.replayed === true) headers['Idempotency-Replayed'] = 'true'
  if (reply.download !== undefined) {
    void streamed(exchange, reply.download, headers)
    return
  }
  if (body === undefined && reply.json === undefined) {
    write(exchange, status, headers, null)
    noted(exchange, status)
    return
  }
  const json = reply.json ?? JSON.stringify(body)
  const { method } = exchange.request
  const isRead = method === 'GET' || method === 'HEAD'
  if (etag !== undefined) {
    const tag = etag === 'content' ? contentEtag(json) : versionEtag(etag, json)
    headers.ETag = tag
    if (isRead && noneMatchHits(exchange.request.headers['if-none-match'], tag)) {
      write(exchange, 304, headers, null)
      noted(exchange, 304)
      return
    }
  }
  headers['Content-Type'] = 'application/json; charset=utf-8'
  if (isRead && isCompressible(reply) && json.length >= COMPRESSED_FROM_BYTES) {
    void compressed(exchange, status, headers, json)
    return
  }
  write(exchange, status, headers, json)
  noted(exchange, status)
}

const isCompressible = ({ body, json, secret, compressible }: Reply): boolean =>
  secret !== true &&
  (compressible === true || json !== undefined || Array.isArray((body as { readonly items?: unknown } | null)?.items))

const compressed = async (exchange: Exchange, status: number, headers: Headers, json: string): Promise<void> => {
  const { request, response } = exchange
  const encoding = encodingFor(request)
  const vary = response.getHeader('Vary')
  headers.Vary = vary === undefined ? 'Accept-Encoding' : `${vary}, Accept-Encoding`
  const bytes = encoding === null ? null : await encoded(json, encoding).catch(() => null)
  if (bytes !== null && encoding !== null) {
    headers['Content-Encoding'] = encoding
    // Other bytes than those that the strong one names (RFC 9110, section 8.8.1).
    if (typeof headers.ETag === 'string') headers.ETag = `W/${headers.ETag}`
  }
  write(exchange, status, headers, bytes ?? json)
  noted(exchange, status)
}

/** Nobody who has stopped reading is waited for longer than this. */
const UNREAD_FOR_MS = 60_000

const streamed = async (
  exchange: Exchange,
  { type, filename, chunks }: NonNullable<Reply['download']>,
  headers: Headers,
): Promise<void> => {
  const { request, response, log } = exchange
  response.setTimeout(UNREAD_FOR_MS, () => response.destroy())
  response.writeHead(200, {
    ...headers,
    'Cache-Control': 'no-store',
    'Content-Type': type,
    'Content-Disposition': `attachment; filename="${filename}"`,
  })
  try {
    if (request.method === 'HEAD') response.end()
    else await pipeline(chunks, response)
    noted(exchange, 200)
  } catch (thrown) {
    // The connection has ended without the end of the answer, so that nobody takes it for all of it.
    if ((thrown as { code?: unknown }).code === 'ERR_STREAM_PREMATURE_CLOSE')
      log.debug({ ...lineOf(exchange), msg: 'the client went away while it was answered' })
    else log.error({ ...lineOf(exchange), err: loggable(thrown), msg: 'failed while answering' })
  }
}

/** Answers what it was answered with. */
export const refuse = (exchange: Exchange, error: AnyRefusal): Refused => {
  const { status, code, headers: own, json } = problemAnswer(error, exchange.requestId)
  const headers: Headers = { ...headersOf(exchange, 'no-store'), 'Content-Type': PROBLEM_MEDIA_TYPE, ...own }
  // A body that is still coming after all that was read of it is not waited for.
  if (error._tag === 'BodyTooLarge' && !exchange.request.complete) headers.Connection = 'close'
  write(exchange, status, headers, json)
  // Faults of ours have a line already, with their cause.
  noted(exchange, status, status >= 500 && error._tag !== 'Contended' ? undefined : code)
  return { status, code }
}

const BAD_CURSOR =
  'is of another list (or filters, sort, org), or was changed: ask without it, and go on with what `nextCursor` says then'

/** For what was thrown: lost infrastructure, or a bug. Nothing of it is told to the caller. null: nobody was answered. */
export const fail = (exchange: Exchange, thrown: unknown): Refused | null => {
  const { log, response } = exchange
  if (thrown instanceof RequestAbortedError) {
    log.debug({ ...lineOf(exchange), msg: thrown.message })
    response.destroy()
    return null
  }
  if (response.headersSent) {
    log.error({ ...lineOf(exchange), err: loggable(thrown), msg: 'failed while answering' })
    response.destroy()
    return null
  }
  if (thrown instanceof BadCursorError) {
    return refuse(exchange, { _tag: 'InvalidRequest', errors: [{ field: 'cursor', message: BAD_CURSOR }] })
  }
  if (isUnavailable(thrown)) {
    // Every request comes here while the database is away: the reason is enough.
    log.warn({ ...lineOf(exchange), reason: String((thrown as Error).message), msg: 'the database cannot be reached' })
    return refuse(exchange, { _tag: 'Unavailable' })
  }
  if (thrown instanceof NoTurnError) {
    log.warn({ ...lineOf(exchange), msg: 'a turn at the database did not come in time' })
    return refuse(exchange, { _tag: 'Overloaded', what: 'the server' })
  }
  log.error({ ...lineOf(exchange), err: loggable(thrown), msg: 'a request failed' })
  return refuse(exchange, { _tag: 'Fault' })
}

/** The path without its query string, and no headers: what a log may keep. */
const lineOf = ({ request, requestId, startedAt }: Exchange) => ({
  requestId,
  method: request.method,
  path: pathOf(request),
  ms: Math.round((performance.now() - startedAt) * 10) / 10,
})

/** The path as asked, bounded, without the query string. */
export const pathOf = (request: IncomingMessage): string => {
  const url = request.url ?? ''
  const end = url.indexOf('?')
  return (end === -1 ? url : url.slice(0, end)).slice(0, 200)
}

/** Errors of the database carry values of the failing row in further properties: those stay out. */
const loggable = (thrown: unknown) =>
  thrown instanceof Error
    ? { type: thrown.name, message: thrown.message, code: (thrown as { code?: unknown }).code, stack: thrown.stack }
    : { type: 'unknown', message: String(thrown) }

const noted = (exchange: Exchange, status: number, code?: string): void => {
  const { log } = exchange
  if (code === undefined ? !log.isLevelEnabled('debug') : !log.isLevelEnabled('info')) return
  const line = { ...lineOf(exchange), status }
  if (code === undefined) log.debug({ ...line, msg: 'answered' })
  else log.info({ ...line, code, msg: 'refused' })
}
