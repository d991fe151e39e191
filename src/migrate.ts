/** `streamspace migrate`: the schema of the control plane, then pg-boss' own. */
import { migrateBoss } from '../adapters/pgboss/boss.ts'
import { openJobsDatabase } from '../adapters/postgres/jobs-database.ts'
import { migrate } from '../adapters/postgres/migrate.ts'
import { withoutPassword } from '../domain/ports/database-url.ts'
import { ExitError } from './program/exit-error.ts'
import { databaseSettings } from './program/settings.ts'

export const migrateAll = async (databaseUrl: string, log: (line: string) => void): Promise<void> => {
  try {
    await migrate({ databaseUrl, log })
    const jobs = openJobsDatabase({ url: databaseUrl })
    await migrateBoss(jobs).finally(jobs.close)
  } catch (error) {
    const reason = (error as Error).message || (error as { code?: string }).code
    throw new ExitError(1, `migrating ${withoutPassword(databaseUrl)} failed, nothing was changed: ${reason}`)
  }
}

export const runMigrate = async (): Promise<void> => {
  const { url } = databaseSettings(process.env)
  await migrateAll(url, (line) => process.stdout.write(`${line}\n`))
  process.stdout.write('the schema is up to date\n')
}
