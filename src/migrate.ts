/** `streamspace migrate`: the schema of the control plane, then pg-boss' own. */
import pg from 'pg'
import { isBossCurrent, migrateBoss } from '../adapters/pgboss/boss.ts'
import { ROLES } from '../adapters/postgres/identity.ts'
import { grantJobs, openJobsDatabase } from '../adapters/postgres/jobs-database.ts'
import { migrate, schemaVersion } from '../adapters/postgres/migrate.ts'
import { withoutPassword } from '../domain/ports/database-url.ts'
import { ExitError } from './program/exit-error.ts'
import { databaseSettings } from './program/settings.ts'

const apply = async (databaseUrl: string, log: (line: string) => void): Promise<void> => {
  await migrate({ databaseUrl, log })
  const jobs = openJobsDatabase({ url: databaseUrl, as: 'login' })
  await migrateBoss(jobs)
    .then(() => grantJobs(jobs))
    .finally(jobs.close)
}

/** For a login that may migrate nothing, where there is nothing to migrate. */
const isUpToDate = async (databaseUrl: string): Promise<boolean> => {
  const { present, known } = await schemaVersion(databaseUrl)
  if (present !== known) return false
  const jobs = openJobsDatabase({ url: databaseUrl })
  return isBossCurrent(jobs).finally(jobs.close)
}

const INSUFFICIENT_PRIVILEGE = '42501'

/** PostgreSQL tells of one role at a time, and not whether it is there: what one superuser does about both at once. */
const aboutRoles = (message: string | undefined): string | null => {
  const login = /^the role \S+ cannot be (?:made or )?taken by (.+)$/.exec(message ?? '')?.[1]
  if (login === undefined) return null
  const roles = Object.values(ROLES)
  const made = roles.map((role) => `CREATE ROLE ${role} NOLOGIN;`).join(' ')
  return `Once, as a superuser: ${made} (each only where it is not there yet) GRANT ${roles.join(', ')} TO ${pg.escapeIdentifier(login)}; and then migrate again`
}

export const migrateAll = async (databaseUrl: string, log: (line: string) => void): Promise<void> => {
  try {
    await apply(databaseUrl, log)
  } catch (error) {
    const { code, message, hint } = error as { readonly [part in 'code' | 'message' | 'hint']?: string }
    const isRefused = code === INSUFFICIENT_PRIVILEGE
    if (isRefused && (await isUpToDate(databaseUrl).catch(() => false))) return
    const toDo = hint === undefined ? '' : `. ${aboutRoles(message) ?? hint}`
    const more = isRefused
      ? '; migrate with a login that owns the schema (docs/operations.md#rights-in-the-database)'
      : ''
    throw new ExitError(
      1,
      `migrating ${withoutPassword(databaseUrl)} failed, nothing was changed: ${message || code}${toDo}${more}`,
    )
  }
}

export const runMigrate = async (): Promise<void> => {
  const { url } = databaseSettings(process.env)
  await migrateAll(url, (line) => process.stdout.write(`${line}\n`))
  process.stdout.write('the schema is up to date\n')
}
