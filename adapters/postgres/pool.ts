/** The connection pool. Everything that this project sends to PostgreSQL goes through a `Database`. */
import pg from 'pg'
import type { OrgId } from '../../domain/ids.ts'
import { connectorTo } from './connector.ts'
import { becoming, type Identity } from './identity.ts'
import { isLostConnection, isReadOnly } from './lost-connection.ts'
import { readTime } from './read-time.ts'
import { createStatements } from './statements.ts'

/** bigint columns are counters and ids far below 2^53: numbers in JSON, numbers here. */
const parsers = new pg.TypeOverrides()
parsers.setTypeParser(pg.types.builtins.INT8, Number)
parsers.setTypeParser(pg.types.builtins.TIMESTAMPTZ, readTime)

export type Query = {
  /**
   * Prepared once a connection under this name, but not behind a transaction pooler. Left out for statements that
   * are built or rare.
   */
  readonly name?: string
  readonly text: string
  readonly values?: readonly unknown[]
}

// biome-ignore lint/suspicious/noExplicitAny: rows are typed by whoever wrote the statement
export type Row = any

export type Queries = {
  /** One statement, which is its own transaction; run again when it was the victim of a deadlock. */
  readonly query: (query: Query) => Promise<{ readonly rows: readonly Row[]; readonly rowCount: number }>
  /** One statement after another in one transaction, on one connection. All of it again after a deadlock. */
  readonly transaction: <A>(work: (query: Queries['query']) => Promise<A>) => Promise<A>
}

/** Whoever has this alone can ask for nothing without saying for which org. */
export type Tenants = {
  /** What is done for one org; for several, new rows alone can be written. */
  readonly of: (orgs: OrgId | readonly OrgId[]) => Queries
}

/** Itself it is for nobody in particular: what agents report, duties, retention. */
export type Database = Queries &
  Tenants & {
    /**
     * All that is done with `bound` is one transaction, whoever it is done for; undone when the work throws, done again
     * after a deadlock.
     */
    readonly together: <A>(work: (bound: Database) => Promise<A>) => Promise<A>
    readonly close: () => Promise<void>
  }

/** `transaction`: the next statement may run on another server connection, so nothing may be left behind on one. */
export type Pooler = 'none' | 'transaction'

/** What belongs to no org is the installation's. */
export const ownedBy = (database: Database, orgId: OrgId | null): Queries =>
  orgId === null ? database : database.of(orgId)

export type DatabaseSettings = {
  /** One host or several, of which the writable one is meant. */
  readonly url: string
  readonly pooler?: Pooler
  readonly maxConnections?: number
  /** `login`: as whoever the address names, past the locks between orgs; for tools that own the schema. */
  readonly as?: 'login'
  readonly applicationName?: string
  /** A connection that broke while nobody used it: told, never thrown. */
  readonly onIdleError?: (error: Error) => void
}

/** Long enough for any statement of ours; short enough that a lock held by something hung is told. */
const STATEMENT_TIMEOUT_MS = 30_000
/** When not even the server's own timeout comes back, nothing will. */
const ANSWER_TIMEOUT_MS = STATEMENT_TIMEOUT_MS + 5_000
const CONNECT_TIMEOUT_MS = 5_000

/**
 * Deadlock and serialization failure: PostgreSQL has undone everything and asks to be asked again. A server that takes
 * no writes has not done anything either; the next try goes to the one that does.
 */
const RETRIED = new Set(['40P01', '40001', '25006'])
/** What a store would have tried again by itself has ended the transaction that it is in. */
const RETRIED_TOGETHER = new Set([...RETRIED, '25P02'])
const TRIES = 5

/** Runs it again when PostgreSQL says so. Whoever was in the way has gone on by then, so there is no wait. */
const retried = async <A>(run: () => Promise<A>, codes: ReadonlySet<string> = RETRIED): Promise<A> => {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await run()
    } catch (error) {
      if (attempt === TRIES || !codes.has((error as { code?: string }).code ?? '')) throw error
    }
  }
}

/** A pooler refuses what it would have to set up again for every client (PgBouncer: "unsupported startup parameter"). */
const sessionSettings = (pooler: Pooler): pg.PoolConfig =>
  pooler === 'transaction'
    ? {}
    : { statement_timeout: STATEMENT_TIMEOUT_MS, idle_in_transaction_session_timeout: STATEMENT_TIMEOUT_MS }

/** So behind one they are set for each transaction; a single statement has the client's own deadline. */
const begin = (pooler: Pooler, identity: Identity): string =>
  pooler === 'transaction'
    ? [
        'BEGIN',
        `SET LOCAL statement_timeout = ${STATEMENT_TIMEOUT_MS}`,
        `SET LOCAL idle_in_transaction_session_timeout = ${STATEMENT_TIMEOUT_MS}`,
        becoming(identity, 'transaction') ?? '',
      ].join('; ')
    : 'BEGIN'

export const openDatabase = (settings: DatabaseSettings): Database => {
  const { pooler = 'none', as } = settings
  const connector = connectorTo(settings.url)
  const pool = new pg.Pool({
    ...connector.config,
    ...sessionSettings(pooler),
    Client: connector.Client as unknown as new () => pg.ClientBase,
    max: settings.maxConnections ?? 12,
    application_name: settings.applicationName ?? 'streamspace',
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    // Kept for good: a new one takes a hundred milliseconds until it has signed in, read its catalogs and planned what
    // is asked most, and would be made in the very moment in which there is much to do.
    idleTimeoutMillis: 0,
    keepAlive: true,
    types: parsers,
    pipeline: true,
  })
  let closing = false
  pool.on('error', (error) => {
    if (!closing) settings.onIdleError?.(error)
  })

  const statements = createStatements(pool, ANSWER_TIMEOUT_MS)

  const asSent: (query: Query) => Query = pooler === 'transaction' ? ({ name: _, ...query }) => query : (query) => query
  const answered = async (sent: Promise<pg.QueryResult>) => {
    try {
      const result = await sent
      return { rows: result.rows as readonly Row[], rowCount: result.rowCount ?? 0 }
    } catch (error) {
      if (isReadOnly(error)) connector.refusesWrites()
      throw error
    }
  }
  const send = (client: pg.PoolClient, query: Query): Promise<pg.QueryResult> =>
    statements.on(client, asSent(query) as pg.QueryConfig)

  /** What each connection was set to last. */
  const set = new WeakMap<pg.PoolClient, string>()

  /** null: it is so already. To be awaited before anything is believed that was sent after it. */
  const becomeOn = (client: pg.PoolClient, identity: Identity): Promise<void> | null => {
    const text = becoming(identity, 'connection')
    if (text === null || set.get(client) === text) return null
    set.delete(client)
    return statements.on(client, { text }).then(() => void set.set(client, text))
  }

  /** Nothing is ever sent by a connection that is still who logged in. */
  const becomeFirst = async (client: pg.PoolClient, identity: Identity): Promise<void> => {
    if (!set.has(client)) await becomeOn(client, identity)
  }

  const runQuery = (identity: Identity, query: Query) =>
    statements.onConnection(async (client) => {
      if (pooler === 'transaction' && identity !== 'login') return runAlone(client, identity, query)
      await becomeFirst(client, identity)
      const [become, result] = await Promise.allSettled([becomeOn(client, identity), answered(send(client, query))])
      if (become.status === 'rejected') throw become.reason
      if (result.status === 'rejected') throw result.reason
      return result.value
    })

  /** Its identity goes with the statement's own transaction, in one round trip. */
  const runAlone = async (client: pg.PoolClient, identity: Identity, query: Query) => {
    const [began, result, committed] = await Promise.allSettled([
      send(client, { text: begin(pooler, identity) }),
      answered(send(client, query)),
      send(client, { text: 'COMMIT' }),
    ])
    for (const each of [began, result, committed]) if (each.status === 'rejected') throw each.reason
    return (result as PromiseFulfilledResult<Awaited<ReturnType<Queries['query']>>>).value
  }

  const runTransaction = <A>(identity: Identity, work: (query: Queries['query']) => Promise<A>): Promise<A> =>
    statements.onConnection(async (client) => {
      if (pooler !== 'transaction') {
        await becomeFirst(client, identity)
        await becomeOn(client, identity)
      }
      try {
        await send(client, { text: begin(pooler, identity) })
        const answer = await work((query) => answered(send(client, query)))
        await send(client, { text: 'COMMIT' })
        return answer
      } catch (error) {
        if (!isLostConnection(error)) await send(client, { text: 'ROLLBACK' })
        throw error
      }
    })

  const runTogether = <A>(work: (bound: Database) => Promise<A>): Promise<A> =>
    statements.onConnection(async (client) => {
      let now: string | null = null
      let last: Promise<unknown> = Promise.resolve()
      /** One after another, as each may be for somebody else. */
      const queryAs =
        (identity: Identity): Queries['query'] =>
        (query) => {
          const next = last.then(async () => {
            const text = becoming(as ?? identity, 'transaction')
            if (text !== null && text !== now) await send(client, { text })
            now = text
            return answered(send(client, query))
          })
          last = next.catch(() => {})
          return next
        }
      const boundAs = (identity: Identity): Queries => ({
        query: queryAs(identity),
        transaction: (inner) => inner(queryAs(identity)),
      })
      const bound: Database = {
        ...boundAs('system'),
        of: boundAs,
        together: (inner) => inner(bound),
        close: async () => {},
      }
      try {
        await send(client, { text: begin(pooler, as ?? 'system') })
        const result = await work(bound)
        await send(client, { text: 'COMMIT' })
        return result
      } catch (error) {
        if (!isLostConnection(error)) await send(client, { text: 'ROLLBACK' })
        throw error
      }
    })

  const statementsAs = (identity: Identity): Queries => ({
    query: (query) => retried(() => runQuery(identity, query)),
    transaction: (work) => retried(() => runTransaction(identity, work)),
  })
  return {
    ...statementsAs(as ?? 'system'),
    of: (orgs) => statementsAs(as ?? orgs),
    together: (work) => retried(() => runTogether(work), RETRIED_TOGETHER),
    close: () => {
      closing = true
      statements.stop()
      return pool.end()
    },
  }
}
