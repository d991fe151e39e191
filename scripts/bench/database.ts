/** A PostgreSQL of the benchmark's own, as `npm start` runs it, with the schema in it. */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import pg from 'pg'
import { startEmbeddedPostgres } from '../../adapters/embedded-postgres/start.ts'
import { migrateAll } from '../../src/migrate.ts'
import type { Bench } from './bench.ts'

// biome-ignore lint/suspicious/noExplicitAny: rows are typed by whoever wrote the statement
type Row = any

export type BenchDatabase = {
  readonly url: string
  /** Of the postmaster. */
  readonly pid: number
  readonly query: (text: string, values?: readonly unknown[]) => Promise<readonly Row[]>
  /** Another migrated database of the same server; answers its URL. */
  readonly another: (name: string) => Promise<string>
  readonly settings: { readonly [name: string]: string }
}

/** Whether commits wait for the disk, and what else the figures depend on. */
const TOLD = ['server_version', 'fsync', 'synchronous_commit', 'full_page_writes', 'shared_buffers', 'wal_sync_method']

export const startDatabase = async (
  bench: Bench,
  settings: { readonly [name: string]: string } = {},
): Promise<BenchDatabase> => {
  const dataDir = join(bench.directory, 'postgres')
  const server = await startEmbeddedPostgres({ dataDir, settings, onLog: () => {} })
  bench.ends('PostgreSQL', async () => {
    await server.stop()
    await rm(dataDir, { recursive: true, force: true })
  })
  await migrateAll(server.url, () => {})
  const pool = new pg.Pool({ connectionString: server.url, max: 2 })
  pool.on('error', () => {})
  bench.ends('the connections to PostgreSQL', () => pool.end())
  const query = async (text: string, values: readonly unknown[] = []) => (await pool.query(text, [...values])).rows
  const rows = await query('SELECT name, setting, unit FROM pg_settings WHERE name = ANY($1)', [TOLD])
  return {
    url: server.url,
    pid: server.pid,
    query,
    another: async (name) => {
      await query(`CREATE DATABASE ${name}`)
      const url = new URL(server.url)
      url.pathname = `/${name}`
      await migrateAll(url.href, () => {})
      return url.href
    },
    settings: Object.fromEntries(rows.map(({ name, setting, unit }) => [name, `${setting}${unit ?? ''}`])),
  }
}
