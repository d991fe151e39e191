/**
 * One route of the contract as an express handler. The order of the checks is the contract's: caller,
 * decoding (every failing field of query and body named at once), then what the path names; existence, role,
 * If-Match and transition are the use case's.
 */
import type { Request, RequestHandler, Response } from 'express'
import type { Logger } from 'pino'
import { type AnyCodec, object, type TypeOf } from '../../domain/codec/codec.ts'
import { decode, type FieldError } from '../../domain/codec/field-errors.ts'
import type { NotFound } from '../../domain/errors.ts'
import { E } from '../../domain/fp.ts'
import { type Caller, shareOf } from '../../domain/identity/caller.ts'
import type { Route } from '../../src/api/route.ts'
import type { OperationId, Routes } from '../../src/api/routes.ts'
import type { Application, IfMatch } from '../../src/usecases/application.ts'
import type { Admission } from './admission.ts'
import {
  type Asked,
  doneEntry,
  entriesElsewhere,
  isAudited,
  isTold,
  type NoteAudit,
  partEntries,
  refusedEntry,
} from './audit.ts'
import { callerOf } from './authenticate.ts'
import { readBody } from './body.ts'
import { parseIfMatch } from './etag.ts'
import { answer, begin, fail, pathOf, type Refused, type Reply, refuse } from './exchange.ts'
import {
  type Idempotency,
  idempotencyKeyIn,
  type Keeping,
  keepingAudit,
  keepingNothing,
  type Outcome,
} from './idempotency.ts'
import type { Limits } from './limits.ts'
import type { Asker, Places } from './places.ts'
import type { AnyRefusal } from './problems.ts'
import { queryOf } from './query-string.ts'

/** What a handler gets: everything decoded. */
export type Input<R extends Route> = {
  readonly caller: R['access'] extends 'anyone' ? null : Caller
  readonly params: { readonly [K in keyof R['params']]: TypeOf<R['params'][K]> }
  readonly query: TypeOf<R['query']>
  readonly body: R['body'] extends AnyCodec ? TypeOf<R['body']> : null
  readonly ifMatch: IfMatch
  /** Where a watcher was last; null: nowhere yet. */
  readonly lastEventId: string | null
  /** What is to be kept of the answer, with the change. */
  readonly keeping: Keeping
}

export type Handler<R extends Route> = (input: Input<R>) => () => Promise<E.Either<AnyRefusal, Reply>>

export type Handlers<O extends OperationId> = { readonly [K in O]: Handler<Routes[K]> }

export type Surroundings = {
  readonly app: Application
  readonly log: Logger
  readonly admitted: Admission
  readonly places: Places
  readonly idempotency: Idempotency
  readonly limits: Limits
  readonly noteAudit: NoteAudit
}

type AnyInput = Omit<Input<Route>, 'caller'> & { readonly caller: Caller | null }
type Decoded = Omit<AnyInput, 'caller' | 'keeping'> & { readonly sent: unknown }
type AnyHandler = (input: AnyInput) => () => Promise<E.Either<AnyRefusal, Reply>>

/** What a route without a body still takes: clients that always send JSON send `{}`. */
const emptyObject = object({})

/** One request on its way: who asks is found out first. */
type Asking = Asked & { caller: Caller | null }

export const endpoint = (
  operationId: OperationId,
  route: Route,
  handler: AnyHandler,
  { app, log, admitted, places, idempotency, limits, noteAudit }: Surroundings,
): RequestHandler => {
  /** Noted of whoever is known, also where they are refused. */
  const whoAsks = async (asked: Asking, request: Request): Promise<E.Either<AnyRefusal, Caller>> => {
    const { exchange } = asked
    const guessing = limits.mayLogIn(exchange)
    if (guessing !== null) return E.left(guessing)
    const found = await admitted(async () => E.right(await callerOf(app.authenticate, request.headers)))
    if (E.isLeft(found)) return found
    const known = found.right
    asked.caller = E.isRight(known) ? known.right : known.left.caller
    if (E.isLeft(known) && known.left.refusal._tag === 'Unauthorized') limits.loginFailed(exchange)
    const tooOften = asked.caller === null ? null : limits.mayAsk(exchange, asked.caller)
    if (tooOften !== null) return E.left(tooOften)
    return E.isRight(known) ? known : E.left(known.left.refusal)
  }
  const noteRefused = (asked: Asking, refused: Refused | null): void => {
    if (refused !== null && isTold(asked, refused.status)) noteAudit(refusedEntry(asked, refused.status, refused.code))
  }
  const outcomeOf = async (asked: Asking, request: Request): Promise<Outcome> => {
    if (route.access !== 'anyone') {
      const known = await whoAsks(asked, request)
      if (E.isLeft(known)) return known
    }
    const { caller } = asked
    const decoded = await decodeRequest(route, request)
    if (E.isLeft(decoded)) return decoded
    const { sent, ...input } = decoded.right
    const key = route.method === 'get' ? E.right(null) : idempotencyKeyIn(request.headers['idempotency-key'])
    if (E.isLeft(key)) return key
    const handled = (keeping: Keeping) => handler({ caller, ...input, keeping })()
    // Who asks whether this replica is alive or ready is always told.
    if (caller === null)
      return route.access === 'anyone' ? handled(keepingNothing) : admitted(() => handled(keepingNothing))
    const isOfInterest = isAudited(operationId, route)
    let isWritten = false
    const audit = (reply: Reply, before?: object) => {
      if (!isOfInterest) return { audit: null }
      isWritten = true
      const done = doneEntry(asked, reply, before)
      return { audit: done, parts: partEntries(asked, reply), elsewhere: entriesElsewhere(asked, reply, done) }
    }
    const asker: Asker = {
      operationId,
      takes: route.takes,
      share: shareOf(caller),
      response: asked.exchange.response,
    }
    const outcome = await admitted(() =>
      places.within(asker, () =>
        key.right === null
          ? handled(route.method === 'get' ? keepingNothing : keepingAudit(caller, audit))
          : idempotency(
              { route, caller, key: key.right, target: targetOf(request), query: input.query, body: sent, audit },
              handled,
            ),
      ),
    )
    const reply =
      E.isRight(outcome) && outcome.right.download !== undefined
        ? await begunInPlaces(places, asker, outcome.right, outcome.right.download)
        : null
    // Nothing was changed, or there was no transaction with which it could be written.
    if (isOfInterest && !isWritten && E.isRight(outcome) && outcome.right.replayed !== true)
      noteAudit(doneEntry(asked, outcome.right))
    return reply === null ? outcome : E.right(reply)
  }
  return async (request: Request, response: Response): Promise<void> => {
    const exchange = begin(request, response, log, limits.addressOf(request))
    const asked: Asking = { operationId, route, exchange, caller: null, params: request.params }
    try {
      const outcome = await outcomeOf(asked, request)
      if (E.isLeft(outcome)) noteRefused(asked, refuse(exchange, outcome.left))
      else answer(exchange, route.condition === 'read' ? { etag: 'content', ...outcome.right } : outcome.right)
    } catch (thrown) {
      noteRefused(asked, fail(exchange, thrown))
    }
  }
}

/** It reads while it is sent, long after the request has left its place. */
const begunInPlaces = async (
  places: Places,
  asker: Asker,
  reply: Reply,
  download: NonNullable<Reply['download']>,
): Promise<Reply> => ({
  ...reply,
  download: { ...download, chunks: await begun(places.bitByBit(asker, download.chunks)) },
})

/** Of which the first is there: what cannot be read at all is refused, and not an answer that breaks off. */
const begun = async (chunks: AsyncIterable<string>): Promise<AsyncIterable<string>> => {
  const rest = chunks[Symbol.asyncIterator]()
  let first: IteratorResult<string> | null = await rest.next()
  const next = async (): Promise<IteratorResult<string>> => {
    const read = first ?? (await rest.next())
    first = null
    return read
  }
  const end = async (): Promise<IteratorResult<string>> => {
    await rest.return?.()
    return { done: true, value: undefined }
  }
  return { [Symbol.asyncIterator]: () => ({ next, return: end }) }
}

const decodeRequest = async (route: Route, request: Request): Promise<E.Either<AnyRefusal, Decoded>> => {
  const errors: FieldError[] = []
  const keep = <A>(decoded: E.Either<readonly FieldError[], A>): A | undefined => {
    if (E.isRight(decoded)) return decoded.right
    errors.push(...decoded.left)
    return undefined
  }

  const given = keep(queryOf(request.url))
  const query = given === undefined ? undefined : keep(decode(route.query, given))
  let body: unknown = null
  let sent: unknown = null
  if (route.method !== 'get') {
    const read = await readBody(request)
    if (E.isLeft(read)) return read
    if (read.right.sent) sent = read.right.value
    if (read.right.sent || route.bodyOptional === true) {
      const value = keep(decode(route.body ?? emptyObject, read.right.sent ? read.right.value : {}))
      if (route.body !== null) body = value
    } else if (route.body !== null) errors.push({ field: '', message: 'is required, as JSON' })
  }
  if (errors.length > 0) return E.left({ _tag: 'InvalidRequest', errors })

  const params: Record<string, unknown> = {}
  for (const [name, codec] of Object.entries(route.params)) {
    const segment = request.params[name] ?? ''
    const decoded = codec.validate(segment, [])
    if (E.isLeft(decoded)) return E.left(nothingAt(route, request, name, String(segment)))
    params[name] = decoded.right
  }
  const ifMatch = route.method === 'get' ? null : parseIfMatch(request.headers['if-match'])
  if (ifMatch !== null && route.condition !== 'change') return E.left({ _tag: 'NothingToMatch' })
  const lastEventId = route.resumes === true ? lastEventIdIn(request) : null
  return E.right({ query: query ?? {}, body: body as AnyInput['body'], params, ifMatch, lastEventId, sent })
}

/** As browsers send it; an empty one means none. */
const lastEventIdIn = ({ headers }: Request): string | null => {
  const given = headers['last-event-id']
  return typeof given === 'string' && given !== '' ? given : null
}

const targetOf = ({ method, url }: Request): string => `${method} ${url}`

const kinds: { readonly [T in Route['tag']]: NotFound['what'] | null } = {
  Sessions: 'session',
  Templates: 'template',
  Agents: 'agent',
  Commands: 'command',
  Jobs: 'job',
  Orgs: 'org',
  'API keys': 'api_key',
  Webhooks: 'webhook',
  Audit: null,
  Server: null,
}

/** What paths of an agent, or a webhook, name beside it. */
const named: { readonly [param: string]: NotFound['what'] } = { sessionId: 'orphan', deliveryId: 'delivery' }

/** An id that cannot be one names nothing: the same answer as for one that does not exist. */
const nothingAt = (route: Route, request: Request, param: string, id: string): AnyRefusal => {
  const what = named[param] ?? kinds[route.tag]
  return what === null
    ? { _tag: 'UnknownPath', path: pathOf(request) }
    : { _tag: 'NotFound', what, id: id.slice(0, 100) }
}
