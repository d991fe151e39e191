/**
 * Forward-only migrations, run by postgrator on a connection of ours: one transaction under an advisory
 * lock, so that several may run at once and a crash leaves either the old schema or the new one.
 */
import { fileURLToPath } from 'node:url'
import type pg from 'pg'
import Postgrator from 'postgrator'
import { connectorTo } from './connector.ts'
import { becoming, ROLES } from './identity.ts'
import type { Database } from './pool.ts'

const MIGRATIONS = fileURLToPath(new URL('../../migrations/', import.meta.url))
const SCHEMA_TABLE = 'schema_version'
/** Any constant of ours: `select hashtext('streamspace migrate')` style keys collide less than small numbers. */
export const MIGRATION_LOCK = 7_302_011_902

const postgratorOn = (client: pg.Client): Postgrator =>
  new Postgrator({
    driver: 'pg',
    migrationPattern: `${MIGRATIONS}*.sql`,
    schemaTable: SCHEMA_TABLE,
    currentSchema: 'public',
    validateChecksums: true,
    execQuery: (query) => client.query(query),
    execSqlScript: async (script) => {
      await client.query(script)
    },
  })

const connected = async (databaseUrl: string): Promise<pg.Client> => {
  const { Client, config } = connectorTo(databaseUrl)
  const client = new Client({ ...config, application_name: 'streamspace migrate', connectionTimeoutMillis: 5_000 })
  client.on('error', () => {}) // the query that was under way rejects, which is enough
  await client.connect()
  return client
}

/** Applies what is missing. Throws when the database is at a version that this program does not know. */
export const migrate = async (options: {
  readonly databaseUrl: string
  readonly log?: (line: string) => void
}): Promise<void> => {
  const client = await connected(options.databaseUrl)
  try {
    await client.query('BEGIN')
    await client.query('SELECT pg_advisory_xact_lock($1)', [MIGRATION_LOCK])
    const postgrator = postgratorOn(client)
    const known = await postgrator.getMaxVersion()
    const present = await postgrator.getDatabaseVersion()
    if (present > known)
      throw new Error(
        `the database is at schema version ${present}, this program knows ${known}: run a newer StreamSpace`,
      )
    const applied = await postgrator.migrate()
    await client.query('COMMIT')
    for (const migration of applied) options.log?.(`applied ${migration.version} ${migration.name}`)
  } catch (error) {
    await client.query('ROLLBACK').catch(() => {})
    throw error
  } finally {
    await client.end().catch(() => {})
  }
}

export type SchemaVersion = { readonly present: number; readonly known: number }

/** Whoever logs in may read nothing itself, but as the role of servers; which is there once the schema is. */
const AS_SERVERS_DO = `
${becoming('system', 'connection')}   FROM pg_roles
 WHERE rolname = '${ROLES.system}'
   AND pg_has_role(oid, CASE WHEN current_setting('server_version_num')::int >= 160000 THEN 'SET' ELSE 'MEMBER' END)`

/** What the database is at, and what this program was written for. */
export const schemaVersion = async (databaseUrl: string): Promise<SchemaVersion> => {
  const client = await connected(databaseUrl)
  try {
    await client.query(AS_SERVERS_DO)
    const postgrator = postgratorOn(client)
    const [known, table] = await Promise.all([
      postgrator.getMaxVersion(),
      client.query(`SELECT to_regclass('public.${SCHEMA_TABLE}') AS name`),
    ])
    if (table.rows[0].name === null) return { present: 0, known }
    const rows = await client.query(`SELECT max(version)::int AS version FROM ${SCHEMA_TABLE}`)
    return { present: rows.rows[0].version ?? 0, known }
  } finally {
    await client.end().catch(() => {})
  }
}

/** The version that the database is at now, over a pool that is open already. */
export const appliedVersion = async (database: Database): Promise<number> => {
  const { rows } = await database.query({ text: `SELECT max(version)::int AS version FROM ${SCHEMA_TABLE}` })
  return rows[0].version
}
