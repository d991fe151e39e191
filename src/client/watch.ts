/**
 * What happens to sessions, as it happens, for as long as one likes: a connection that is lost is made again, and goes on behind the
 * last event that arrived. Nothing is left out and nothing comes twice.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { createParser } from 'eventsource-parser'
import { decode } from '../../domain/codec/field-errors.ts'
import { E } from '../../domain/fp.ts'
import { type SessionEvent, sessionEventCodec } from '../api/event.ts'
import { routes } from '../api/routes.ts'
import { type ClientOptions, headersFor, problemOf, unreachable } from './call.ts'
import type { QueryOf } from './contract.ts'
import { encodeQuery } from './encode.ts'
import { ProblemError, UnexpectedAnswerError } from './errors.ts'
import { MAX_RETRIES, parseRetryAfter } from './retry.ts'

/** `position`: `after` of a later watch goes on behind this event. */
export type WatchedEvent = SessionEvent & { readonly position: string }

export type WatchOptions = {
  /** Ends it, as if nothing more came. */
  readonly signal?: AbortSignal | undefined
  /** The position behind which it begins. Left out: from now on. */
  readonly after?: string | undefined
  /** A connection of which nothing was heard for so long is taken for lost. Default: 45 s, three of the server's heartbeats. */
  readonly silenceMs?: number | undefined
  /** The watch is there, or there again; with the position at which it is. */
  readonly onConnected?: ((position: string) => void) | undefined
}

export type WatchFilters = QueryOf<'watchSessions'>

const SILENCE_MS = 45_000
const AGAIN_AFTER_MS = { first: 100, most: 5_000 }

type Parsed = { readonly event?: string | undefined; readonly id?: string | undefined; readonly data: string }

/** Try again, sooner or later: what the server said of when. */
class Later extends Error {
  readonly afterMs: number | null
  constructor(cause: unknown, afterMs: number | null) {
    super('later', { cause })
    this.afterMs = afterMs
  }
}

/**
 * Ends when the signal says so. Throws what is refused: among it `position_gone`, when it was away for longer than events are kept; list what there is
 * then, and watch anew. A server that was there once and is not now is waited for.
 */
export async function* watchSessions(
  options: ClientOptions,
  filters: WatchFilters,
  { signal, after, silenceMs = SILENCE_MS, onConnected }: WatchOptions,
): AsyncGenerator<WatchedEvent, void, undefined> {
  let position = after ?? null
  let failures = 0
  let everConnected = false
  let askedToWaitMs: number | null = null
  const isOver = (): boolean => signal?.aborted === true

  while (!isOver()) {
    let failure: unknown = null
    try {
      for await (const { event, id, data } of streamOf(options, filters, position, silenceMs, signal, (ms) => {
        askedToWaitMs = ms
      })) {
        if (isOver()) return
        position = id ?? position
        failures = 0
        if (event === 'ready') {
          everConnected = true
          onConnected?.(position ?? '')
        } else if (event === undefined && id !== undefined) yield { ...eventIn(options.url, data), position: id }
      }
    } catch (error) {
      if (isOver()) return
      if (!(error instanceof Later)) throw error
      failure = error.cause
      askedToWaitMs = error.afterMs
    }
    if (failure !== null && !everConnected && failures >= MAX_RETRIES) throw failure
    const pauseMs = Math.max(askedToWaitMs ?? 0, Math.min(AGAIN_AFTER_MS.first * 2 ** failures, AGAIN_AFTER_MS.most))
    askedToWaitMs = null
    failures += 1
    await (options.sleep ?? ((ms: number) => delay(ms, undefined, signal === undefined ? {} : { signal })))(
      pauseMs,
    ).catch((error: unknown) => {
      if (!isOver()) throw error
    })
  }
}

/** One connection, until it ends. */
async function* streamOf(
  options: ClientOptions,
  filters: WatchFilters,
  position: string | null,
  silenceMs: number,
  signal: AbortSignal | undefined,
  retryIn: (ms: number) => void,
): AsyncGenerator<Parsed, void, undefined> {
  const base = options.url.replace(/\/+$/, '')
  const url = `${base}${routes.watchSessions.path}${encodeQuery(filters as Record<string, unknown>)}`
  const silent = new AbortController()
  let timer: NodeJS.Timeout | undefined
  const heard = (): void => {
    clearTimeout(timer)
    timer = setTimeout(() => silent.abort(), silenceMs)
  }
  try {
    heard()
    const response = await (options.fetch ?? fetch)(url, {
      headers: {
        ...headersFor(options),
        Accept: 'text/event-stream',
        ...(position === null ? {} : { 'Last-Event-ID': position }),
      },
      redirect: 'manual',
      signal: signal === undefined ? silent.signal : AbortSignal.any([silent.signal, signal]),
    })
    if (response.status !== 200) throw await refusal(url, response)
    if (response.body === null) throw new UnexpectedAnswerError(url, response.status, 'no stream')
    const parsed: Parsed[] = []
    const parser = createParser({ onEvent: (event) => parsed.push(event), onRetry: retryIn })
    for await (const text of response.body.pipeThrough(new TextDecoderStream())) {
      heard()
      parser.feed(text)
      yield* parsed.splice(0)
    }
  } catch (error) {
    if (!(error instanceof TypeError || error instanceof DOMException)) throw error
    const failure = unreachable(base, error, silenceMs)
    throw failure.kind === 'impossible' && !isCut(error) ? failure : new Later(failure, null)
  } finally {
    clearTimeout(timer)
    // Whoever stops reading in the middle of it has no use for the rest.
    silent.abort()
  }
}

/** fetch says `terminated` of a body that ends before its time, and no more. */
const isCut = (error: unknown): boolean => error instanceof TypeError && error.message === 'terminated'

const MAY_PASS = new Set([429, 502, 503, 504])

const refusal = async (url: string, response: Response): Promise<Error> => {
  const text = await response.text()
  const { status, headers } = response
  const problem = problemOf({ status, headers, text })
  const error =
    problem === null
      ? new UnexpectedAnswerError(url, status, text.slice(0, 200) || 'nothing more')
      : new ProblemError(problem)
  return MAY_PASS.has(status) ? new Later(error, parseRetryAfter(headers.get('retry-after'), Date.now())) : error
}

const eventIn = (url: string, data: string): SessionEvent => {
  let json: unknown
  try {
    json = JSON.parse(data)
  } catch {
    throw new UnexpectedAnswerError(url, 200, 'an event that is no JSON')
  }
  if (E.isRight(decode(sessionEventCodec, json))) return json as SessionEvent
  throw new UnexpectedAnswerError(
    url,
    200,
    'an event that this version does not understand: is the server another version?',
  )
}
