/** pg-boss on a fresh database, and as many instances of it as a test wants. */
import pg from 'pg'
import type { PgBoss } from 'pg-boss'
import { migrateBoss as makeSchema, startBoss } from '../../adapters/pgboss/boss.ts'
import type { Overhear } from '../../adapters/pgboss/drains.ts'
import { grantJobs, openJobsDatabase } from '../../adapters/postgres/jobs-database.ts'
import { type FreshDatabase, freshDatabase } from './postgres.ts'

/** Makes pg-boss' schema there, as `streamspace migrate` does. */
export const migrateBoss = async (url: string): Promise<void> => {
  const database = openJobsDatabase({ url, as: 'login' })
  await makeSchema(database)
    .then(() => grantJobs(database))
    .finally(database.close)
}

export type Jobs = {
  readonly url: string
  /** One more instance, as one more replica has it. What it complains of is collected. */
  readonly boss: (url?: string) => Promise<PgBoss>
  /** What an instance hears. */
  readonly overhear: (boss: PgBoss) => Overhear
  readonly complaints: readonly unknown[]
  readonly complain: (error: unknown) => void
  // biome-ignore lint/suspicious/noExplicitAny: rows are what the test asked for
  readonly ask: (text: string, ...values: unknown[]) => Promise<readonly any[]>
  readonly close: () => Promise<void>
}

export const openJobs = async (): Promise<Jobs> => {
  const fresh: FreshDatabase = await freshDatabase()
  await migrateBoss(fresh.url)
  const pool = new pg.Pool({ connectionString: fresh.url, max: 2 })
  // The database goes away with whatever connection has not quite ended.
  pool.on('error', () => {})
  const started: { readonly boss: PgBoss; readonly overhear: Overhear; readonly close: () => Promise<void> }[] = []
  const complaints: unknown[] = []
  return {
    url: fresh.url,
    complaints,
    complain: (error) => complaints.push(error),
    boss: async (url = fresh.url) => {
      const database = openJobsDatabase({ url, onError: (error) => complaints.push(error) })
      const boss = await startBoss(database, (error) => complaints.push(error))
      started.push({ boss, overhear: database.overhear, close: database.close })
      return boss
    },
    overhear: (boss) => {
      const found = started.find((one) => one.boss === boss)
      if (found === undefined) throw new Error('not an instance of these jobs')
      return found.overhear
    },
    ask: async (text, ...values) => (await pool.query(text, values)).rows,
    close: async () => {
      for (const { boss, close } of started) {
        await boss.stop({ graceful: false })
        await close()
      }
      await pool.end()
      await fresh.drop()
    },
  }
}
