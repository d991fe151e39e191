/** Who has come too often: a key with requests, an address with keys that are not good. */
import type { IncomingMessage } from 'node:http'
import type { Caller } from '../../domain/identity/caller.ts'
import { type AddressOf, createAddressOf, type Network } from './client-address.ts'
import type { Exchange } from './exchange.ts'
import type { AnyRefusal } from './problems.ts'
import {
  createLimiter,
  type Limiter,
  type LimiterOptions,
  neighbourhoodOf,
  type RateLimit,
  rateLimitHeaders,
} from './rate-limit.ts'

export type LimitSettings = {
  readonly perKey: RateLimit | null
  readonly failedLogins: RateLimit | null
  readonly trustedProxies: readonly Network[]
}

export type Limits = {
  readonly addressOf: AddressOf
  /** Before a key or token is looked at: whoever may not guess does not learn either whether they guessed right. */
  readonly mayLogIn: (exchange: Exchange) => AnyRefusal | null
  readonly loginFailed: (exchange: Exchange) => void
  /** Counts a request of a known caller. */
  readonly mayAsk: (exchange: Exchange, caller: Caller) => AnyRefusal | null
}

const sentKey = (request: IncomingMessage): boolean => request.headers.authorization !== undefined

const whoIs = ({ keyId, orgId, userId }: Caller): string => keyId ?? `${orgId}\n${userId}`

export const createLimits = (
  { perKey, failedLogins, trustedProxies }: LimitSettings,
  options: LimiterOptions,
): Limits => {
  const limiter = (limit: RateLimit | null): Limiter | null => (limit === null ? null : createLimiter(limit, options))
  const [requests, failures] = [limiter(perKey), limiter(failedLogins)]
  const addressOf = createAddressOf(trustedProxies)
  return {
    addressOf,
    mayLogIn: ({ request, address, headers }) => {
      if (failures === null || !sentKey(request)) return null
      const verdict = failures.look(neighbourhoodOf(address))
      if (verdict.allowed) return null
      Object.assign(headers, rateLimitHeaders('failed-logins', failures.limit, verdict))
      return { _tag: 'RateLimited', what: 'failed logins', retryInSeconds: verdict.retryInSeconds }
    },
    loginFailed: ({ request, address }) => {
      if (sentKey(request)) failures?.take(neighbourhoodOf(address))
    },
    mayAsk: ({ headers }, caller) => {
      if (requests === null) return null
      const verdict = requests.take(whoIs(caller))
      Object.assign(headers, rateLimitHeaders('key', requests.limit, verdict))
      return verdict.allowed ? null : { _tag: 'RateLimited', what: 'requests', retryInSeconds: verdict.retryInSeconds }
    },
  }
}

/** As it is where no setting says otherwise. */
export const noLimits = (): Limits =>
  createLimits({ perKey: null, failedLogins: null, trustedProxies: [] }, { replicas: () => 1, now: () => 0 })
