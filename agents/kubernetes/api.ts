/**
 * Calls of the API server: bounded in number, with a time limit each, tried again where that can help. What is
 * refused for good is thrown as an `ApiError` that has the server's own words.
 */
import type { IncomingMessage } from 'node:http'
import { setTimeout as wait } from 'node:timers/promises'
import { fullJitter } from '../runtime/backoff.ts'
import { createGate } from '../runtime/gate.ts'
import { messageOf } from '../runtime/log.ts'
import type { Asked, Transport } from './transport.ts'

export class ApiError extends Error {
  override readonly name = 'ApiError'
  readonly status: number
  /** The server's word, such as `AlreadyExists`; empty when nobody answered. */
  readonly reason: string
  readonly retryAfterMs: number | null

  constructor(message: string, status: number, reason: string, retryAfterMs: number | null = null) {
    super(message)
    this.status = status
    this.reason = reason
    this.retryAfterMs = retryAfterMs
  }
}

export const isGone = (error: unknown): boolean => error instanceof ApiError && error.status === 404
/** Somebody else was faster: what was read is no longer so, or what was to be made is there. */
export const isConflict = (error: unknown): boolean => error instanceof ApiError && error.status === 409
/** Not an object that there can be, or a test of a patch has failed. */
export const isInvalid = (error: unknown): boolean => error instanceof ApiError && error.status === 422
/** Too old a place in the stream of changes. */
export const isExpired = (error: unknown): boolean => error instanceof ApiError && error.status === 410
/** No account, or one without the right. */
export const isForbidden = (error: unknown): boolean =>
  error instanceof ApiError && (error.status === 401 || error.status === 403)
/** It may work later: nobody answered, or the server was busy. */
export const isPassing = (error: unknown): boolean =>
  error instanceof ApiError && (error.status === 0 || error.status === 429 || error.status >= 500)

export type Hearing = {
  /** It was accepted; there may be nothing to say for long. */
  readonly opened: () => void
  readonly line: (text: string) => void
}

export type Api = {
  readonly call: <T>(asked: Omit<Asked, 'signal'>) => Promise<T>
  /** One try, no limit of time: hands over each line until the stream ends. Rejects when it is refused or cut. */
  readonly lines: (path: string, signal: AbortSignal, hear: Hearing) => Promise<void>
  /** How many requests were sent, watches not counted. */
  readonly calls: () => number
}

export type ApiLimits = { readonly parallel: number; readonly timeoutMs: number; readonly attempts: number }

export const apiLimits: ApiLimits = { parallel: 32, timeoutMs: 10_000, attempts: 6 }

const BACKOFF = { baseMs: 100, capMs: 5_000 }
const LONGEST_RETRY_AFTER_MS = 30_000

export type Ending = {
  /** Aborted: nothing is tried again. */
  readonly retries: AbortSignal
  /** Aborted: what is under way is not waited for. */
  readonly calls: AbortSignal
}

export const createApi = (transport: Transport, limits: ApiLimits = apiLimits, ending?: Ending): Api => {
  let calls = 0
  const gate = createGate<() => void>(limits.parallel, (enter) => {
    enter()
    return true
  })

  const once = async <T>(asked: Asked): Promise<T> => {
    await new Promise<void>((resolve) => gate.enter(resolve))
    calls += 1
    try {
      const inTime = AbortSignal.timeout(limits.timeoutMs)
      const signal = ending === undefined ? inTime : AbortSignal.any([inTime, ending.calls])
      const answer = await transport.send({ ...asked, signal })
      const text = await bodyOf(answer)
      const status = answer.statusCode ?? 0
      if (status < 200 || status > 299) throw refusal(asked, answer, text)
      return JSON.parse(text) as T
    } catch (error) {
      throw error instanceof ApiError ? error : unanswered(transport, error, limits)
    } finally {
      gate.leave()
    }
  }

  const call = async <T>(asked: Asked): Promise<T> => {
    for (let attempt = 1; ; attempt += 1)
      try {
        return await once<T>(asked)
      } catch (error) {
        if (!isPassing(error) || attempt >= limits.attempts) throw error
        const pauseMs = (error as ApiError).retryAfterMs ?? fullJitter(attempt, Math.random(), BACKOFF)
        await wait(pauseMs, undefined, ending && { signal: ending.retries }).catch(() => {
          throw error
        })
      }
  }

  const lines: Api['lines'] = async (path, signal, hear) => {
    try {
      const answer = await transport.send({ method: 'GET', path, signal })
      const status = answer.statusCode ?? 0
      if (status !== 200) throw refusal({ method: 'GET', path }, answer, await bodyOf(answer))
      hear.opened()
      await eachLine(answer, hear.line)
    } catch (error) {
      throw error instanceof ApiError ? error : unanswered(transport, error, limits)
    }
  }

  return { call, lines, calls: () => calls }
}

const bodyOf = async (answer: IncomingMessage): Promise<string> => {
  const chunks: Buffer[] = []
  for await (const chunk of answer) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString('utf8')
}

const NEWLINE = 0x0a
/** No object of etcd's is as long by far. */
const LONGEST_LINE = 8 * 2 ** 20

const eachLine = async (answer: IncomingMessage, line: (text: string) => void): Promise<void> => {
  let begun: Buffer[] = []
  let length = 0
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    let from = 0
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, from)) {
      begun.push(chunk.subarray(from, end))
      line(Buffer.concat(begun).toString('utf8'))
      begun = []
      length = 0
      from = end + 1
    }
    if (from < chunk.length) begun.push(chunk.subarray(from))
    length += chunk.length - from
    if (length > LONGEST_LINE) throw new ApiError(`a watch sent a line of more than ${LONGEST_LINE} bytes`, 0, '')
  }
}

const refusal = (asked: Asked, answer: IncomingMessage, text: string): ApiError => {
  const status = answer.statusCode ?? 0
  let said: { message?: string; reason?: string; details?: { retryAfterSeconds?: number } } = {}
  try {
    said = JSON.parse(text) as typeof said
  } catch {
    // A proxy in between answers in its own way.
  }
  const seconds = Number(answer.headers['retry-after'] ?? said.details?.retryAfterSeconds)
  const message = said.message ?? `${asked.method} ${asked.path.split('?')[0]} was answered with ${status}`
  const retryAfterMs = Number.isFinite(seconds) && seconds > 0 ? Math.min(seconds * 1000, LONGEST_RETRY_AFTER_MS) : null
  return new ApiError(message, status, said.reason ?? '', retryAfterMs)
}

const unanswered = (transport: Transport, error: unknown, { timeoutMs }: ApiLimits): ApiError => {
  const why = (error as Error | null)?.name === 'TimeoutError' ? `no answer within ${timeoutMs} ms` : messageOf(error)
  return new ApiError(`the Kubernetes API server at ${transport.server} does not answer: ${why}`, 0, '')
}
