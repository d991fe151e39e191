/**
 * A database for each suite that wants one.
 *
 * One server for the whole mocha run, started when the first suite asks (or the one of `TEST_DATABASE_URL`,
 * whose user must be allowed to create databases), and one migrated database in it that nobody uses: every
 * suite gets a copy of that, which is much faster than migrating again.
 */
import { randomBytes } from 'node:crypto'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { lockDataDirectory } from '../../adapters/embedded-postgres/data-directory-lock.ts'
import { stopLeftOver } from '../../adapters/embedded-postgres/left-over.ts'
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../adapters/embedded-postgres/start.ts'
import { atEndOfRun } from './end-of-run.ts'

export type FreshDatabase = {
  readonly url: string
  /** Ends connections that are still open, then removes the database. */
  drop(): Promise<void>
}

export type Migrate = (options: { databaseUrl: string; log?: (line: string) => void }) => Promise<void>

type Databases = { fresh(): Promise<FreshDatabase> }

const temporaryPrefix = 'streamspace-test-postgres-'

/** A power cut loses nothing here that anyone wants. */
const fastAndForgetful = {
  fsync: 'off',
  synchronous_commit: 'off',
  full_page_writes: 'off',
  wal_level: 'minimal',
  max_wal_senders: '0',
  max_wal_size: '1GB',
  // When it comes by is nobody's to say: it would change plans in the middle of a test, and is an older transaction, behind which events are held back.
  autovacuum: 'off',
  // Each suite has pools of its own.
  max_connections: '200',
}

/** An empty database with the product's schema. */
export const freshDatabase = async (): Promise<FreshDatabase> => (await migrated()).fresh()

/** The server itself, for tests that need a role or a database without the schema. */
export const testServerUrl = async (): Promise<string> => (await server()).url

const once = <A>(make: () => Promise<A>): (() => Promise<A>) => {
  let made: Promise<A> | undefined
  return () => {
    made ??= make()
    return made
  }
}

const server = once(async (): Promise<{ url: string }> => {
  const given = process.env.TEST_DATABASE_URL
  return given ? { url: given } : startTemporaryServer()
})

const migrated = once(async () => {
  const { migrate } = await import('../../adapters/postgres/migrate.ts')
  return databasesFrom((await server()).url, migrate)
})

const startTemporaryServer = async (): Promise<EmbeddedPostgres> => {
  await removeLeftOvers()
  const dataDir = await mkdtemp(join(tmpdir(), temporaryPrefix))
  const log: string[] = []
  const started = await startEmbeddedPostgres({ dataDir, settings: fastAndForgetful, onLog: (line) => log.push(line) })
  atEndOfRun(async () => {
    await started.stop()
    await rm(dataDir, { recursive: true, force: true })
  })
  return started
}

/** A run that was killed leaves its server running and its files behind. The lock tells them from another run's. */
const removeLeftOvers = async (): Promise<void> => {
  const names = (await readdir(tmpdir())).filter((name) => name.startsWith(temporaryPrefix))
  for (const name of names) {
    const directory = join(tmpdir(), name)
    const lock = await lockDataDirectory(directory).catch(() => undefined)
    if (lock === undefined) continue
    await stopLeftOver(directory, () => {})
    await rm(directory, { recursive: true, force: true })
  }
}

/** For tests of this very module and of migrations: databases migrated by any function. */
export const databasesFrom = async (serverUrl: string, migrate: Migrate): Promise<Databases> => {
  const template = nameOf('template')
  await administrate(serverUrl, `CREATE DATABASE ${template}`)
  atEndOfRun(() => administrate(serverUrl, `DROP DATABASE ${template} WITH (FORCE)`))
  await migrate({ databaseUrl: withDatabase(serverUrl, template) })

  return {
    fresh: async () => {
      const name = nameOf('test')
      await administrate(serverUrl, `CREATE DATABASE ${name} TEMPLATE ${template} STRATEGY ${strategy}`)
      return {
        url: withDatabase(serverUrl, name),
        drop: () => administrate(serverUrl, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`),
      }
    },
  }
}

/** Of a database with 40 small tables, with fsync off: 25 ms by file, 60 ms through the WAL. */
const strategy = 'FILE_COPY'

const nameOf = (kind: string): string => `streamspace_${kind}_${randomBytes(6).toString('hex')}`

const withDatabase = (serverUrl: string, name: string): string => {
  const url = new URL(serverUrl)
  url.pathname = `/${name}`
  return url.href
}

const administrate = async (serverUrl: string, statement: string): Promise<void> => {
  const client = new pg.Client({ connectionString: serverUrl })
  await client.connect()
  try {
    await client.query(statement)
  } finally {
    await client.end()
  }
}
