/**
 * Says in the log that something the hub needs the database for has begun to fail, and that it works
 * again: once a change, not once a socket.
 */
import type { Log } from './settings.ts'
import type { Timing } from './timing.ts'

export type DatabaseState = {
  readonly failed: (what: string, error: unknown) => void
  readonly works: (what: string) => void
}

/** One thing that fails for one agent and works for others must not fill the log either. */
const QUIET_MS = 5_000

export const createDatabaseState = (log: Log, timing: Timing): DatabaseState => {
  const failing = new Set<string>()
  const warnedAt = new Map<string, number>()
  return {
    failed: (what, error) => {
      if (failing.has(what)) return
      failing.add(what)
      const now = timing.now()
      if (now - (warnedAt.get(what) ?? Number.NEGATIVE_INFINITY) < QUIET_MS) return
      warnedAt.set(what, now)
      log.warn({ what, err: error }, 'failed, will be tried again; sockets stay open')
    },
    works: (what) => {
      if (failing.delete(what)) log.info({ what }, 'works again')
    },
  }
}
