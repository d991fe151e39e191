/**
 * Statements over a pool, each given up when no answer comes: not even the server's own timeout reaches us when a
 * network swallows what is sent.
 *
 * pg's `query_timeout` does the same with a timer a statement. Its closure holds the statement and with it the
 * rows, and outlives it until the next major collection: under load every minor one copied megabytes and stopped the
 * process for 20 to 30 ms, twice a second. Here one timer looks after all of them.
 */
import type pg from 'pg'
import { isLostConnection } from './lost-connection.ts'
import { socketOf } from './probe.ts'

export type Statements = {
  /** On a connection that is taken for it. */
  readonly query: (query: pg.QueryConfig) => Promise<pg.QueryResult>
  /** On a connection that the caller has, from `onConnection`. */
  readonly on: (client: pg.PoolClient, query: pg.QueryConfig) => Promise<pg.QueryResult>
  /** A connection for as long as the work takes; thrown away when the work threw what leaves it of no use. */
  readonly onConnection: <A>(work: (client: pg.PoolClient) => Promise<A>) => Promise<A>
  readonly stop: () => void
  /** Stops, and gives up at once what has no answer yet. */
  readonly abandon: () => void
}

/** Data, constraints, a transaction rolled back (by a race that was lost, too), a statement or its wait cancelled: the connection is as good as before. */
const ITS_OWN = /^(22...|23...|40...|55P03|57014|SS001)$/

/** Other errors of PostgreSQL may be about what the connection remembers, a prepared statement for one. */
const isUsableAfter = (error: unknown): boolean => {
  const { code } = error as { readonly code?: unknown }
  return !isLostConnection(error) && (typeof code !== 'string' || ITS_OWN.test(code))
}

/** Begins like what pg says when a server hangs up: it is the same to whoever waits for an answer. */
const giveUp = (client: pg.PoolClient, why: string): void =>
  void socketOf(client as pg.PoolClient & pg.Client).destroy(new Error(`Connection terminated: ${why}`))

export const createStatements = (pool: pg.Pool, answerTimeoutMs: number): Statements => {
  /** In the order in which they were sent, which is the order of their deadlines. */
  const underWay = new Set<{ readonly client: pg.PoolClient; readonly until: number }>()
  const looking = setInterval(
    () => {
      const now = performance.now()
      for (const statement of underWay) {
        if (statement.until > now) return
        underWay.delete(statement)
        giveUp(statement.client, `no answer within ${answerTimeoutMs} ms`)
      }
    },
    Math.min(1_000, answerTimeoutMs / 5),
  )
  looking.unref()

  const on: Statements['on'] = (client, query) =>
    new Promise((resolve, reject) => {
      const statement = { client, until: performance.now() + answerTimeoutMs }
      underWay.add(statement)
      client.query(query, (error: Error | null, result) => {
        underWay.delete(statement)
        if (error) reject(error)
        else resolve(result)
      })
    })

  /**
   * Without a listener a connection that breaks between two statements would end the process: it is there before
   * anything else happens, as the farewell of a server that stops may be in the packet that its welcome is in.
   */
  const taken = (onError: (error: Error) => void): Promise<pg.PoolClient> =>
    new Promise((resolve, reject) => {
      pool.connect((error, client) => {
        if (client === undefined) return reject(error)
        client.on('error', onError)
        resolve(client)
      })
    })

  const onConnection: Statements['onConnection'] = async (work) => {
    let broken: Error | undefined
    const onError = (error: Error): void => {
      broken = error
    }
    const client = await taken(onError)
    try {
      return await work(client)
    } catch (error) {
      if (!isUsableAfter(error)) broken ??= error as Error
      throw error
    } finally {
      client.off('error', onError)
      client.release(broken)
    }
  }

  return {
    query: (query) => onConnection((client) => on(client, query)),
    on,
    onConnection,
    stop: () => clearInterval(looking),
    abandon: () => {
      clearInterval(looking)
      for (const { client } of underWay) giveUp(client, 'nobody waits for the answer any more')
    },
  }
}
