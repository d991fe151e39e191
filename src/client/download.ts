/** Answers that are too large to be held: read as they come. */
import type { AnyCodec } from '../../domain/codec/codec.ts'
import { type OperationId, type Route, routes } from '../api/routes.ts'
import { type ClientOptions, headersFor, problemOf, strange, unreachable } from './call.ts'
import type { QueryOf } from './contract.ts'
import { encodeQuery, fillPath } from './encode.ts'
import { ProblemError, UnexpectedAnswerError } from './errors.ts'

type DownloadOperation = Extract<OperationId, 'exportAudit'>

export type Download = <K extends DownloadOperation>(
  operation: K,
  query: QueryOf<K>,
  signal?: AbortSignal,
) => Promise<AsyncIterable<Uint8Array>>

const ANSWERED_WITHIN_MS = 30_000

/** Nothing is tried again: what has been read of it is with the caller. One that is cut short throws while it is read. */
export const createDownload = (options: ClientOptions): Download => {
  const base = options.url.replace(/\/+$/, '')
  const send = options.fetch ?? fetch
  return async (operation, query, signal) => {
    const route: Route & { readonly params: { readonly [name: string]: AnyCodec } } = routes[operation]
    const url = `${base}${fillPath(route.path, {})}${encodeQuery(query as Record<string, unknown>)}`
    const late = new AbortController()
    const ending = [options.signal, signal].filter((one) => one !== undefined)
    const timer = setTimeout(() => late.abort(new DOMException('late', 'TimeoutError')), ANSWERED_WITHIN_MS)
    try {
      const response = await send(url, {
        headers: headersFor(options),
        redirect: 'manual',
        signal: AbortSignal.any([late.signal, ...ending]),
      })
      if (response.status === 200 && response.body !== null) return response.body
      const text = await response.text()
      const problem = problemOf({ status: response.status, headers: response.headers, text })
      throw problem === null
        ? new UnexpectedAnswerError(url, response.status, strange(response.headers, text))
        : new ProblemError(problem)
    } catch (error) {
      if (!(error instanceof TypeError || error instanceof DOMException) || ending.some(({ aborted }) => aborted))
        throw error
      throw unreachable(base, error, ANSWERED_WITHIN_MS)
    } finally {
      clearTimeout(timer)
    }
  }
}
