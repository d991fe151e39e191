/** Paths about the server itself, which need no key. */
import { E } from '../../domain/fp.ts'
import { openApiDocument } from '../../src/api/openapi.ts'
import type { serverRoutes } from '../../src/api/server-routes.ts'
import type { Application } from '../../src/usecases/application.ts'
import type { Handlers } from './endpoint.ts'
import { type Exchange, headersOf } from './exchange.ts'
import { isUnavailable } from './unavailable.ts'

const plain = (exchange: Exchange, type: string, text: string): void => {
  const headers = {
    ...headersOf(exchange, 'no-cache'),
    'Content-Type': type,
    'Content-Length': Buffer.byteLength(text),
  }
  exchange.response.writeHead(200, headers).end(text)
}

export const serverHandlers = (
  { readiness, metrics }: Application,
  version: string,
): Handlers<keyof typeof serverRoutes> => {
  const document = openApiDocument(version)
  return {
    getHealth: () => async () => E.right({ status: 200, body: { status: 'ok' } }),
    getReadiness: () => async () => {
      const { ready, reason } = await readiness.check().catch((error: unknown) => {
        if (isUnavailable(error)) return { ready: false, reason: 'the database cannot be reached' }
        throw error
      })
      return ready
        ? E.right({ status: 200, body: { status: 'ready' } })
        : E.left({ _tag: 'NotReady', reason: reason ?? 'not ready yet' })
    },
    getMetrics: () => async () => {
      const [type, text] = [metrics.mediaType, await metrics.text()]
      return E.right({ status: 200, stream: (exchange) => plain(exchange, type, text) })
    },
    getOpenApi: () => async () => E.right({ status: 200, body: document, etag: 'content', compressible: true }),
  }
}
