/** What has to be true of the database before a server starts on it. */
import { setTimeout as wait } from 'node:timers/promises'
import type { Logger } from 'pino'
import { type SchemaVersion, schemaVersion } from '../adapters/postgres/migrate.ts'
import { withoutPassword } from '../domain/ports/database-url.ts'
import { ExitError } from './program/exit-error.ts'

const TRY_FOR_MS = 30_000
const TRY_EVERY_MS = 500

/** Waits up to 30 s for the database, then for nothing: a schema of another version is for a person to mend. */
export const databaseReady = async (
  databaseUrl: string,
  log: Logger,
  stopped: AbortSignal,
  schema: 'this schema' | 'any schema' = 'this schema',
): Promise<void> => {
  const version = await reached(databaseUrl, log, stopped)
  if (schema === 'any schema' || version.present === version.known) return
  throw new ExitError(
    1,
    version.present < version.known
      ? `the database is at schema version ${version.present}, this program needs ${version.known}: run \`scripts/streamspace migrate\`, then start again`
      : `the database is at schema version ${version.present}, newer than the ${version.known} that this program knows: start a newer StreamSpace`,
  )
}

/** Classes 28 and 3D of PostgreSQL's error codes: it answers, and does not let this login or this database in. */
const whatToDo = (error: unknown): string => {
  const { code } = error as { readonly code?: string }
  if (code?.startsWith('28')) return 'PostgreSQL is there: put the user and password that it knows into DATABASE_URL'
  if (code === '3D000')
    return 'PostgreSQL is there: make the database, or put the name of one that is into DATABASE_URL'
  return 'start PostgreSQL there, or set DATABASE_URL to where it is'
}

const reached = async (databaseUrl: string, log: Logger, stopped: AbortSignal): Promise<SchemaVersion> => {
  const until = performance.now() + TRY_FOR_MS
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await schemaVersion(databaseUrl)
    } catch (error) {
      const reason = (error as Error).message || (error as { code?: string }).code || 'no reason given'
      if (performance.now() > until)
        throw new ExitError(
          1,
          `no database at ${withoutPassword(databaseUrl)} after ${TRY_FOR_MS / 1000} s: ${reason}\n${whatToDo(error)}`,
        )
      if (attempt === 1) log.warn({ database: withoutPassword(databaseUrl), reason }, 'waiting for the database')
      await wait(TRY_EVERY_MS, undefined, { signal: stopped })
    }
  }
}
