/**
 * When a request may be sent again. Pure: what happened goes in, how long to wait comes out. A request is
 * only repeated when a second one cannot do a second thing.
 */
import type { OperationId } from '../api/routes.ts'

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

/** Reads. */
const safe: ReadonlySet<OperationId> = new Set([
  'listSessions',
  'summarizeSessions',
  'getSession',
  'listSessionEvents',
  'listSessionCommands',
  'listTemplates',
  'getTemplate',
  'listTemplateVersions',
  'listAgents',
  'getAgent',
  'listCommands',
  'listOrphans',
  'listAgentEvents',
  'getOrphanRemoval',
])

/**
 * Changes that are the same when made twice. Not among them: what acts each time (create, restart), what
 * shows a token once (enrol, rotate), and deletes, whose second answer may be that there is nothing.
 */
const repeatable: ReadonlySet<OperationId> = new Set([
  'changeSession',
  'startSession',
  'stopSession',
  'hibernateSession',
  'wakeSession',
  'touchSession',
  'putTemplate',
  'cordonAgent',
  'uncordonAgent',
  'haltOrphanRemoval',
  'resumeOrphanRemoval',
])

const nothingDone: ReadonlySet<string | null> = new Set(['contended', 'overloaded'])

/** Milliseconds until the next attempt, or null: give up. `retries` have been made before. */
export const retryDelay = (operation: OperationId, failure: Failure, retries: number): number | null => {
  if (retries >= MAX_RETRIES) return null
  const backoff = FIRST_BACKOFF_MS * 2 ** retries
  if (failure.kind === 'broken') return safe.has(operation) ? backoff : null
  // 502 and 504 come from a proxy that had no answer either.
  if (failure.status === 502 || failure.status === 504) return safe.has(operation) ? backoff : null
  if (failure.status !== 503 || failure.retryAfterMs === null || failure.retryAfterMs > LONGEST_WAIT_MS) return null
  // Two codes say that nothing was changed; a database lost in the middle of a commit cannot say that.
  const harmless = safe.has(operation) || repeatable.has(operation) || nothingDone.has(failure.code)
  return harmless ? Math.max(failure.retryAfterMs, backoff) : null
}

/** The header Retry-After (RFC 9110, 10.2.3) in milliseconds from `now`: seconds, or a date. */
export const parseRetryAfter = (header: string | null, now: number): number | null => {
  if (header === null) return null
  if (/^\d{1,9}$/.test(header.trim())) return Number(header) * 1_000
  const date = Date.parse(header)
  return Number.isNaN(date) ? null : Math.max(0, date - now)
}
