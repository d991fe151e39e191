/** `streamspace migrate`: the schema of the control plane, then pg-boss' own. */
import { migrateBoss } from '../adapters/pgboss/boss.ts'
import { migrate } from '../adapters/postgres/migrate.ts'
import { shownUrl } from './database-ready.ts'
import { ExitError } from './program/exit-error.ts'
import { databaseSettings } from './program/settings.ts'

export const migrateAll = async (databaseUrl: string, log: (line: string) => void): Promise<void> => {
  try {
    await migrate({ databaseUrl, log })
    await migrateBoss(databaseUrl)
  } catch (error) {
    const reason = (error as Error).message || (error as { code?: string }).code
    throw new ExitError(1, `migrating ${shownUrl(databaseUrl)} failed, nothing was changed: ${reason}`)
  }
}

export const runMigrate = async (): Promise<void> => {
  const { url } = databaseSettings(process.env)
  await migrateAll(url, (line) => process.stdout.write(`${line}\n`))
  process.stdout.write('the schema is up to date\n')
}
