/** Tells a lost or overloaded database (503: try again) from a bug (500). */

/**
 * SQLSTATEs, https://www.postgresql.org/docs/current/errcodes-appendix.html: class 08 connection, class 53
 * out of connections, memory or disk, 57P0x shut down, crashed, starting up, 57014 cancelled by a timeout,
 * 25006 connected to what has become a standby.
 */
const SQLSTATE = /^(08...|53...|57P0[1-5]|57014|25006)$/

const NETWORK = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'EHOSTDOWN',
  'ENETUNREACH',
  'ENETDOWN',
  'ENOTFOUND',
  'EAI_AGAIN',
])

/** What `pg` and `pg-pool` say in words only. */
const WORDS =
  /^(Connection terminated|timeout exceeded when trying to connect|Client has encountered a connection error|Client was closed and is not queryable|Query read timeout|Cannot use a pool after calling end)/

export const isUnavailable = (error: unknown, depth = 0): boolean => {
  if (!(error instanceof Error) || depth > 4) return false
  const { code, syscall } = error as Error & { code?: unknown; syscall?: unknown }
  if (typeof code === 'string' && (SQLSTATE.test(code) || NETWORK.has(code))) return true
  // A Unix socket whose server is gone answers ENOENT, which means something else everywhere else.
  if (syscall === 'connect' || WORDS.test(error.message)) return true
  // A host name with several addresses fails with one error for each of them.
  if (error instanceof AggregateError) return error.errors.some((inner) => isUnavailable(inner, depth + 1))
  return error.cause !== undefined && isUnavailable(error.cause, depth + 1)
}
