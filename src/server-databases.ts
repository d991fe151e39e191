/**
 * The connections of a server replica. What the installation itself needs (agents, their lanes and reports, the feed, duties, who asks) has
 * connections of its own and never waits behind those who use the API; what callers ask for shares the others
 * (`adapters/http/places.ts`). Beside these pg-boss has up to four, and one that listens (`adapters/postgres/jobs-database.ts`).
 */
import type { Database, DatabaseSettings } from '../adapters/postgres/pool.ts'

/** Reports that wait for a row that somebody holds may take six (`src/delivery/batch.ts`): leases and lanes have the others. */
export const OWN_CONNECTIONS = 8
/** Nine places, two that read for watchers who were away, and one at least for what is gathered. */
export const CALLERS_CONNECTIONS = 12

export type ServerDatabases = {
  readonly own: Database
  readonly callers: Database
  readonly close: () => Promise<void>
}

export const openDatabases = (
  open: (settings: DatabaseSettings) => Database,
  settings: Omit<DatabaseSettings, 'maxConnections'>,
): ServerDatabases => {
  const own = open({ ...settings, maxConnections: OWN_CONNECTIONS })
  const callers = open({ ...settings, maxConnections: CALLERS_CONNECTIONS })
  return { own, callers, close: async () => void (await Promise.all([own.close(), callers.close()])) }
}
