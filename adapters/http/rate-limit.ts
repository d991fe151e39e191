/**
 * How often somebody may come: as a bucket that holds as many requests as the limit has, and fills again evenly over its time (GCRA: of
 * each key one number is kept, the time at which its bucket is full again). In the memory of this replica, which takes its share of what all
 * replicas together allow: a count that they shared would be a write to the database for every request.
 */
import { isIPv6 } from 'node:net'

/** `count` in `seconds`. */
export type RateLimit = { readonly count: number; readonly seconds: number }

export type Verdict = {
  readonly allowed: boolean
  /** How many more may come at once. */
  readonly remaining: number
  /** Until the bucket is full again. */
  readonly fullInSeconds: number
  /** Until one more may come. */
  readonly retryInSeconds: number
}

export type Limiter = {
  readonly limit: RateLimit
  /** Counts one that comes now, if it may. */
  readonly take: (key: string) => Verdict
  /** Whether one might come; it is not counted. */
  readonly look: (key: string) => Verdict
}

export type LimiterOptions = {
  /** How many share the limit, this one among them. */
  readonly replicas: () => number
  /** Milliseconds of a clock that never jumps. */
  readonly now: () => number
  /** Of how many keys it is known at most when they may come again; those that came longest ago are forgotten first. */
  readonly mostKeys?: number
}

const MOST_KEYS = 100_000

export const createLimiter = (limit: RateLimit, { replicas, now, mostKeys = MOST_KEYS }: LimiterOptions): Limiter => {
  /** Oldest first. */
  const fullAt = new Map<string, number>()

  const judge = (key: string, counts: boolean): Verdict => {
    const at = now()
    const windowMs = limit.seconds * 1_000
    // Nobody's share is nothing.
    const share = Math.max(1, limit.count / Math.max(1, replicas()))
    const eachMs = windowMs / share
    const full = Math.max(at, fullAt.get(key) ?? at)
    const after = full + eachMs
    // A bucket that holds less than one whole request would never let anything through.
    const allowed = after - at <= windowMs + 1e-6
    const becomes = allowed && counts ? after : full
    if (allowed && counts) {
      fullAt.delete(key)
      if (fullAt.size >= mostKeys) forget(at)
      fullAt.set(key, becomes)
    }
    return {
      allowed,
      remaining: Math.max(0, Math.floor((windowMs - (becomes - at)) / eachMs + 1e-6)),
      fullInSeconds: Math.ceil((becomes - at) / 1_000),
      retryInSeconds: Math.max(1, Math.ceil((becomes + eachMs - windowMs - at) / 1_000)),
    }
  }

  /** Those whose buckets are full are as those that never came; they are looked for among the oldest. */
  const forget = (at: number): void => {
    let looked = 0
    for (const [key, full] of fullAt) {
      if (looked > 0 && full > at) break
      fullAt.delete(key)
      looked += 1
      if (looked === 64) break
    }
  }

  return { limit, take: (key) => judge(key, true), look: (key) => judge(key, false) }
}

/** Of one customer of a provider: who has an IPv6 address has 2^64 of them. */
export const neighbourhoodOf = (address: string): string => {
  if (!isIPv6(address)) return address
  const [head = '', tail] = address.split('%', 1)[0]?.split('::') ?? []
  const left = head === '' ? [] : head.split(':')
  const right = tail === undefined || tail === '' ? [] : tail.split(':')
  const groups = [...left, ...Array.from({ length: Math.max(0, 8 - left.length - right.length) }, () => '0'), ...right]
  return `${groups.slice(0, 4).join(':')}::/64`
}

/**
 * As of https://www.ietf.org/archive/id/draft-ietf-httpapi-ratelimit-headers-10.html: `q` in `w` seconds is the policy, `r` more may come
 * here, and in `t` seconds all of them again.
 */
export const rateLimitHeaders = (
  policy: string,
  { count, seconds }: RateLimit,
  { remaining, fullInSeconds }: Verdict,
): { readonly [name: string]: string } => ({
  'RateLimit-Policy': `"${policy}";q=${count};w=${seconds}`,
  RateLimit: `"${policy}";r=${remaining};t=${fullInSeconds}`,
})
