/**
 * When a request is sent again. Pure: what happened goes in, how long to wait comes out. Every change carries an
 * Idempotency-Key, the same each time: a second one does no second thing, and is given the first one's answer.
 */
export type Failure =
  /** No whole answer came. Whether the request arrived is not known. */
  | { readonly kind: 'broken' }
  | {
      readonly kind: 'answered'
      readonly status: number
      readonly code: string | null
      readonly retryAfterMs: number | null
    }

/** Retries, not attempts. */
export const MAX_RETRIES = 3
/** A server that asks for more time than this is left alone: a person wants to know now. */
const LONGEST_WAIT_MS = 5_000
const FIRST_BACKOFF_MS = 100

/** Milliseconds until the next attempt, or null: give up. `retries` have been made before. */
export const retryDelay = (failure: Failure, retries: number): number | null => {
  if (retries >= MAX_RETRIES) return null
  const backoff = FIRST_BACKOFF_MS * 2 ** retries
  // 502 and 504 come from a proxy that had no answer either.
  if (failure.kind === 'broken' || failure.status === 502 || failure.status === 504) return backoff
  const { status, code, retryAfterMs } = failure
  const mayPass = status === 503 || status === 429 || code === 'idempotency_in_progress'
  return mayPass && retryAfterMs !== null && retryAfterMs <= LONGEST_WAIT_MS ? Math.max(retryAfterMs, backoff) : null
}

/** The header Retry-After (RFC 9110, 10.2.3) in milliseconds from `now`: seconds, or a date. */
export const parseRetryAfter = (header: string | null, now: number): number | null => {
  if (header === null) return null
  if (/^\d{1,9}$/.test(header.trim())) return Number(header) * 1_000
  const date = Date.parse(header)
  return Number.isNaN(date) ? null : Math.max(0, date - now)
}
