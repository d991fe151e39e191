/** Which errors say that a connection is of no use any more, though it may still look open. */

/**
 * SQLSTATEs, https://www.postgresql.org/docs/current/errcodes-appendix.html: class 08 connection, 57P01 to 57P05
 * shut down, crashed, starting up, dropped, idle for too long; 25006 connected to what has become a standby.
 */
const SQLSTATE = /^(08...|57P0[1-5]|25006)$/
const SOCKET = /^E(CONNRESET|CONNABORTED|CONNREFUSED|PIPE|TIMEDOUT|HOSTUNREACH|NETUNREACH)$/
/** A statement that was given up leaves a connection that is still busy with it. */
const WORDS = /^(Connection terminated|Query read timeout|Client has encountered a connection error)/

export const isLostConnection = (error: unknown): boolean => {
  const { code = '', message = '' } = error as { readonly code?: string; readonly message?: string }
  return SQLSTATE.test(code) || SOCKET.test(code) || WORDS.test(message)
}

/** Nothing of it was done, and nothing will be by this server. */
export const isReadOnly = (error: unknown): boolean => (error as { readonly code?: string }).code === '25006'
