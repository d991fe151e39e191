/** Paths about the server itself, which need no key. */
import { E } from '../../domain/fp.ts'
import { openApiDocument } from '../../src/api/openapi.ts'
import type { serverRoutes } from '../../src/api/server-routes.ts'
import type { Application } from '../../src/usecases/application.ts'
import type { Handlers } from './endpoint.ts'
import { isUnavailable } from './unavailable.ts'

export const serverHandlers = ({ readiness }: Application, version: string): Handlers<keyof typeof serverRoutes> => {
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
    getOpenApi: () => async () => E.right({ status: 200, body: document, etag: 'content', compressible: true }),
  }
}
