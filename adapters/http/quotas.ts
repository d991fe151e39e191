import { pipe, TE } from '../../domain/fp.ts'
import type { VersionedQuota } from '../../domain/ports/quotas.ts'
import { quotaOf } from '../../src/api/quota.ts'
import type { quotaRoutes } from '../../src/api/quota-routes.ts'
import type { Application } from '../../src/usecases/application.ts'
import type { Handlers } from './endpoint.ts'
import type { Reply } from './exchange.ts'

const shown = ({ quota, version }: VersionedQuota): Reply => ({ status: 200, body: quota, etag: version })

export const quotaHandlers = ({ quotas }: Application): Handlers<keyof typeof quotaRoutes> => ({
  getQuota: ({ caller, params }) => pipe(quotas.get(caller, params.id), TE.map(shown)),
  setQuota: ({ caller, params, body, ifMatch, keeping }) =>
    pipe(quotas.set(caller, params.id, quotaOf(body), ifMatch, keeping(shown)), TE.map(shown)),
  getUsage: ({ caller, params, query }) =>
    pipe(
      quotas.usage(caller, params.id, query),
      TE.map((usage) => ({ status: 200, body: usage, etag: 'content' as const })),
    ),
})
