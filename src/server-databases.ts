/**
 * The connections of a server replica. What the installation itself needs (agents, their lanes and reports, the feed, duties, who asks) has
 * connections of its own and never waits behind those who use the API; what callers ask for shares the others
 * (`adapters/http/places.ts`). Beside these pg-boss has up to four, and one that listens (`adapters/postgres/jobs-database.ts`).
 */
import type { Database, DatabaseSettings } from '../adapters/postgres/pool.ts'
import type { TurnsSettings } from '../domain/turns/turns.ts'
import { byTurns, createTurnstile } from '../domain/turns/turnstile.ts'

/** Reports that wait for a row that somebody holds may take six (`src/delivery/batch.ts`): leases and lanes have the others. */
export const OWN_CONNECTIONS = 8
/** Nine places, two that read for watchers who were away, six that read what follows, and one at least for new sessions. */
export const CALLERS_CONNECTIONS = 18

/** Single sessions, of which hundreds may be asked for at once. Two of an org, so that one that hangs does not hold up the next. */
export const SESSION_READS: TurnsSettings = { most: 4, mostOfOne: 2 }
/** What a new session is made from: its template and the agents, and what was answered under its Idempotency-Key before. */
export const CREATION_READS: TurnsSettings = { most: 2, mostOfOne: 1 }

/** As long as a request waits for a place (`adapters/http/places.ts`). */
const TURN_WITHIN_MS = 10_000

export type ServerDatabases = {
  readonly own: Database
  readonly callers: Database
  readonly forSessions: ReturnType<typeof byTurns>
  readonly forCreations: ReturnType<typeof byTurns>
  readonly close: () => Promise<void>
}

export const openDatabases = (
  open: (settings: DatabaseSettings) => Database,
  settings: Omit<DatabaseSettings, 'maxConnections'>,
): ServerDatabases => {
  const own = open({ ...settings, maxConnections: OWN_CONNECTIONS })
  const callers = open({ ...settings, maxConnections: CALLERS_CONNECTIONS })
  return {
    own,
    callers,
    forSessions: byTurns(createTurnstile(SESSION_READS, TURN_WITHIN_MS)),
    forCreations: byTurns(createTurnstile(CREATION_READS, TURN_WITHIN_MS)),
    close: async () => void (await Promise.all([own.close(), callers.close()])),
  }
}
