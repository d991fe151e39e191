/**
 * How a connection can end, what each ending means for the next try, and what a person is told of it. Pure:
 * the random number comes in.
 */
import { closeCodes } from '../protocol.ts'
import { type BackoffLimits, fullJitter } from './backoff.ts'

export type Ending =
  /** The server closed the socket (or it broke without a close frame: 1006). */
  | { readonly kind: 'closed'; readonly code: number; readonly reason: string }
  /** The server said beforehand that it goes, and when to come back. */
  | { readonly kind: 'bye'; readonly reason: string; readonly reconnectAfterMs: number }
  /** The upgrade was answered with plain HTTP. */
  | { readonly kind: 'refused'; readonly status: number; readonly retryAfterMs: number | null }
  /** Nothing was heard for three heartbeat intervals. */
  | { readonly kind: 'silent' }
  /** Everything else: nobody listens there, no welcome in time, the platform does not say its capacity. */
  | { readonly kind: 'failed'; readonly error: string }

/** Two agents of one id replace each other; this far apart at least, so that the fight costs nobody anything. */
export const REPLACED_MS = 5_000
/** However long a server asks an agent to stay away: it may be wrong about the future. */
export const LONGEST_ASKED_MS = 600_000

/** Nothing that another try mends. It is still tried: a token can be restored without anyone touching the agent. */
const mustBeMended = (ending: Ending): string | null => {
  if (ending.kind === 'refused')
    switch (ending.status) {
      case 400:
        return 'the server does not speak this agent protocol: update the server or the agent'
      case 401:
      case 403:
        return 'the agent token is not accepted: enrol this agent again or give it its current token'
      case 404:
      case 426:
        return 'there is no agent endpoint at this URL: check STREAMSPACE_URL'
      default:
        return null
    }
  if (ending.kind === 'closed')
    switch (ending.code) {
      case closeCodes.badHello:
        return 'the hello was refused: the agent id or the platform is not what the token was made for'
      case closeCodes.protocolUnsupported:
        return 'the server does not support this protocol version: update the server or the agent'
      case closeCodes.revoked:
        return 'this agent was removed or its token was revoked: enrol it again'
      default:
        return null
    }
  return null
}

/** Milliseconds until the next try. `attempt` counts the endings since the last connection that lasted. */
export const retryDelay = (ending: Ending, attempt: number, random: number, limits: BackoffLimits): number => {
  if (mustBeMended(ending) !== null) return Math.floor((limits.capMs * (1 + random)) / 2)
  const jitter = fullJitter(attempt, random, limits)
  switch (ending.kind) {
    case 'bye':
      // The server has spread its agents itself. Only one that says bye again and again is backed away from.
      return Math.min(ending.reconnectAfterMs, LONGEST_ASKED_MS) + (attempt === 0 ? 0 : jitter)
    case 'refused':
      return Math.min(ending.retryAfterMs ?? 0, LONGEST_ASKED_MS) + jitter
    case 'closed':
      return jitter + (ending.code === closeCodes.replaced ? REPLACED_MS : 0)
    case 'silent':
    case 'failed':
      return jitter
  }
}

/** What to write into the log. `error`: only a person can end it. */
export const endingToTell = (
  ending: Ending,
): { readonly level: 'info' | 'warn' | 'error'; readonly message: string } => {
  const mend = mustBeMended(ending)
  if (mend !== null) return { level: 'error', message: mend }
  switch (ending.kind) {
    case 'bye':
      return { level: 'info', message: 'the server is going away, connecting again' }
    case 'refused':
      return { level: 'warn', message: 'the server takes no connection now' }
    case 'silent':
      return { level: 'warn', message: 'nothing was heard from the server, connecting again' }
    case 'failed':
      return { level: 'warn', message: 'the server could not be reached' }
    case 'closed':
      if (ending.code === closeCodes.replaced)
        return { level: 'error', message: 'replaced by a newer connection: does another agent run under this id?' }
      return { level: 'warn', message: 'the connection was closed' }
  }
}

/** `Retry-After` in either of its forms (RFC 9110, 10.2.3): seconds, or a date. */
export const parseRetryAfter = (header: string | undefined, now: Date): number | null => {
  if (header === undefined) return null
  if (/^\s*\d+\s*$/.test(header)) return Number(header) * 1_000
  const date = Date.parse(header)
  return Number.isNaN(date) ? null : Math.max(0, date - now.getTime())
}
