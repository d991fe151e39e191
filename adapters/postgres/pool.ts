/** The connection pool. Everything that this project sends to PostgreSQL goes through a `Database`. */
import pg from 'pg'

/** bigint columns are counters and ids far below 2^53: numbers in JSON, numbers here. */
const parsers = new pg.TypeOverrides()
parsers.setTypeParser(pg.types.builtins.INT8, Number)

export type Query = {
  /** Prepared once a connection under this name. Left out for statements that are built or rare. */
  readonly name?: string
  readonly text: string
  readonly values?: readonly unknown[]
}

// biome-ignore lint/suspicious/noExplicitAny: rows are typed by whoever wrote the statement
export type Row = any

export type Database = {
  readonly query: (query: Query) => Promise<{ readonly rows: readonly Row[]; readonly rowCount: number }>
  /** One statement after another in one transaction, on one connection. */
  readonly transaction: <A>(work: (query: Database['query']) => Promise<A>) => Promise<A>
  readonly close: () => Promise<void>
}

export type DatabaseSettings = {
  readonly url: string
  readonly maxConnections?: number
  readonly applicationName?: string
  /** A connection that broke while nobody used it: told, never thrown. */
  readonly onIdleError?: (error: Error) => void
}

/** Long enough for any statement of ours; short enough that a lock held by something hung is told. */
const STATEMENT_TIMEOUT_MS = 30_000
const CONNECT_TIMEOUT_MS = 5_000

export const openDatabase = (settings: DatabaseSettings): Database => {
  const pool = new pg.Pool({
    connectionString: settings.url,
    max: settings.maxConnections ?? 12,
    application_name: settings.applicationName ?? 'streamspace',
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    statement_timeout: STATEMENT_TIMEOUT_MS,
    idle_in_transaction_session_timeout: STATEMENT_TIMEOUT_MS,
    keepAlive: true,
    types: parsers,
  })
  let closing = false
  pool.on('error', (error) => {
    if (!closing) settings.onIdleError?.(error)
  })

  const run = async (client: pg.Pool | pg.PoolClient, query: Query) => {
    const result = await client.query(query as pg.QueryConfig)
    return { rows: result.rows as readonly Row[], rowCount: result.rowCount ?? 0 }
  }
  return {
    query: (query) => run(pool, query),
    transaction: async (work) => {
      const client = await pool.connect()
      let broken: Error | undefined
      try {
        await client.query('BEGIN')
        const answer = await work((query) => run(client, query))
        await client.query('COMMIT')
        return answer
      } catch (error) {
        await client.query('ROLLBACK').catch((rollbackError: Error) => {
          broken = rollbackError
        })
        throw error
      } finally {
        client.release(broken)
      }
    },
    close: () => {
      closing = true
      return pool.end()
    },
  }
}
