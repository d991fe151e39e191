/** The real PostgreSQL of a run, and what can happen to it: killed, put back from an older copy, its wakes lost. */
import { execFile } from 'node:child_process'
import { rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { promisify } from 'node:util'
import pg from 'pg'
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../adapters/embedded-postgres/start.ts'
import { migrateAll } from '../../src/migrate.ts'
import { ledgerNow } from './ledger.ts'

// biome-ignore lint/suspicious/noExplicitAny: rows are typed by whoever wrote the statement
type Row = any

export type RunDatabase = {
  readonly url: string
  /** Tries again for 20 s while the server is being started again. */
  readonly query: (text: string, values?: readonly unknown[]) => Promise<readonly Row[]>
  /** Null when it cannot be asked now. */
  readonly tryQuery: (text: string) => Promise<readonly Row[] | null>
  readonly kill: () => void
  readonly isUp: () => Promise<boolean>
  /** Stops it, copies its files aside, starts it again. Answers when it was stopped (the ledger's clock). */
  readonly copyAside: () => Promise<number>
  readonly hasCopy: () => boolean
  /** Stops it, puts the copy in its place, starts it again, with all of its wakes. The copy is used up. */
  readonly putBack: () => Promise<void>
  /** Drain jobs vanish as they are sent, until the returned function is called. */
  readonly loseWakes: () => Promise<() => Promise<void>>
  readonly stop: () => Promise<void>
}

const LOSE_WAKES = `
CREATE OR REPLACE FUNCTION public.faults_lose_wake() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN IF NEW.name LIKE 'outbox.drain.%' THEN RETURN NULL; END IF; RETURN NEW; END $$;
CREATE OR REPLACE TRIGGER faults_lose_wakes BEFORE INSERT ON pgboss.job FOR EACH ROW EXECUTE FUNCTION public.faults_lose_wake();`
const KEEP_WAKES = 'DROP TRIGGER IF EXISTS faults_lose_wakes ON pgboss.job'

export const startRunDatabase = async (directory: string): Promise<RunDatabase> => {
  const dataDir = join(directory, 'postgres')
  const copy = join(directory, 'postgres-copy')
  const begin = (port?: number): Promise<EmbeddedPostgres> =>
    startEmbeddedPostgres({ dataDir, onLog: () => {}, ...(port === undefined ? {} : { port }) })
  let server = await begin()
  const { url, port } = server
  let copied = false
  let changing: Promise<void> = Promise.resolve()
  await migrateAll(url, () => {})

  const ask = async (text: string, values: readonly unknown[] = []): Promise<readonly Row[]> => {
    const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 3_000, query_timeout: 20_000 })
    client.on('error', () => {})
    try {
      await client.connect()
      return (await client.query(text, [...values])).rows
    } finally {
      await client.end().catch(() => {})
    }
  }

  const query = async (text: string, values?: readonly unknown[]): Promise<readonly Row[]> => {
    for (const deadline = performance.now() + 20_000; ; await wait(200)) {
      try {
        return await ask(text, values)
      } catch (error) {
        if (performance.now() > deadline) throw error
      }
    }
  }

  const whileStopped = (work: () => Promise<void>): Promise<void> => {
    changing = changing.then(async () => {
      await server.stop()
      await work()
      server = await begin(port)
    })
    return changing
  }

  return {
    url,
    query,
    tryQuery: (text) => ask(text).catch(() => null),
    kill: () => {
      try {
        process.kill(server.pid, 'SIGKILL')
      } catch {
        // It is being started again.
      }
    },
    isUp: () =>
      ask('SELECT 1').then(
        () => true,
        () => false,
      ),
    copyAside: async () => {
      let stoppedAt = 0
      await whileStopped(async () => {
        stoppedAt = ledgerNow()
        await rm(copy, { recursive: true, force: true })
        // With its owner, which for root is another account, and far quicker than file by file from here.
        await promisify(execFile)('cp', ['-a', join(dataDir, 'data'), copy])
        copied = true
      })
      return stoppedAt
    },
    hasCopy: () => copied,
    putBack: () =>
      whileStopped(async () => {
        await rm(join(dataDir, 'data'), { recursive: true, force: true })
        await rename(copy, join(dataDir, 'data'))
        copied = false
      }).then(async () => void (await query(KEEP_WAKES))),
    loseWakes: async () => {
      await query(LOSE_WAKES)
      return async () => void (await query(KEEP_WAKES))
    },
    stop: async () => {
      await changing.catch(() => {})
      await server.stop()
    },
  }
}
