/**
 * The database as pg-boss uses it: statements, and one connection that listens. pg-boss could open both itself, but
 * not to a database with several hosts.
 */
import pg from 'pg'
import { type Connector, connectorTo } from './connector.ts'
import { becoming, ROLES } from './identity.ts'
import { isReadOnly } from './lost-connection.ts'
import { MIGRATION_LOCK } from './migrate.ts'
import type { Row } from './pool.ts'
import { createStatements } from './statements.ts'

export type JobsDatabase = {
  readonly executeSql: (text: string, values?: unknown[]) => Promise<{ rows: Row[] }>
  /**
   * Hears of notifications until it is closed, over a new connection whenever the last one is lost; `onReconnect` after
   * each, as what was said in between was not heard. Rejects when the first connection cannot be made.
   */
  readonly listen: (
    channel: string,
    onNotification: (payload: string) => void,
    onReconnect: () => void,
  ) => Promise<{ close: () => Promise<void> }>
  /** Hears what `listen` hears too, whoever called that; null: something may have been missed. Ends when the result is called. */
  readonly overhear: (onNotification: (payload: string | null) => void) => () => void
  readonly close: () => Promise<void>
}

const CONNECT_TIMEOUT_MS = 10_000
/** A text that was seen so often will come again. Of other texts no more than so many are remembered. */
const NAMED_AFTER = 500
const MAX_NAMES = 500
/** Upkeep of a large installation may take its time; longer than this it is not coming back. */
const ANSWER_TIMEOUT_MS = 120_000
/** What takes milliseconds is not coming back after this either; whoever waits for wakes must not wait for it. */
const QUICK_ANSWER_TIMEOUT_MS = 5_000
/** A connection that only listens does not notice by itself that nobody speaks any more. */
const LOOK_EVERY_MS = 5_000
const LOOK_TIMEOUT_MS = 5_000
/**
 * No job's commit waits for the disk. What a crash of PostgreSQL can undo, the last moments, is a job that was just sent or
 * finished: a hint that is lost, or a duty that runs once more.
 */
const SETTINGS = 'SET synchronous_commit = off'
const identityOf = (as: 'login' | undefined): string => becoming(as ?? 'system', 'connection') ?? 'SELECT'
const AGAIN_AFTER_MS = { first: 250, most: 1_000 }

export const openJobsDatabase = (settings: {
  readonly url: string
  readonly maxConnections?: number
  /** `login`: as whoever the address names, to make the schema. */
  readonly as?: 'login'
  /** Statements that are short whatever the size of the installation: an answer that is late has been lost. */
  readonly isQuick?: (text: string, values: readonly unknown[]) => boolean
  readonly quickAnswerTimeoutMs?: number
  readonly onError?: (error: Error) => void
}): JobsDatabase => {
  const connector = connectorTo(settings.url)
  let closing = false
  const onError = (error: Error): void => {
    if (!closing) settings.onError?.(error)
  }
  const pool = new pg.Pool({
    ...connector.config,
    Client: connector.Client as unknown as new () => pg.ClientBase,
    application_name: 'streamspace jobs',
    max: settings.maxConnections ?? 4,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    idleTimeoutMillis: 0,
    keepAlive: true,
    // Before anybody has the connection: no statement is ever sent by one that could not become who it should be.
    onConnect: async (client) => {
      const text = `${identityOf(settings.as)}; ${SETTINGS}`
      await client.query({ text, query_timeout: CONNECT_TIMEOUT_MS } as pg.QueryConfig)
    },
  })
  pool.on('error', onError)
  const statements = createStatements(pool, ANSWER_TIMEOUT_MS)
  const quick = createStatements(pool, settings.quickAnswerTimeoutMs ?? QUICK_ANSWER_TIMEOUT_MS)
  const { isQuick = () => false } = settings
  const named = createNames()
  const eavesdroppers = new Set<(payload: string | null) => void>()
  const overheard = (payload: string | null): void => {
    for (const told of eavesdroppers) told(payload)
  }
  return {
    executeSql: async (text, values) => {
      try {
        const { query } = isQuick(text, values ?? []) ? quick : statements
        return await query({ ...named(text, values), text, ...(values === undefined ? {} : { values }) })
      } catch (error) {
        if (isReadOnly(error)) connector.refusesWrites()
        throw error
      }
    },
    listen: (channel, onNotification, onReconnect) =>
      listening({
        connector,
        identity: identityOf(settings.as),
        channel,
        onNotification: (payload) => {
          overheard(payload)
          onNotification(payload)
        },
        onReconnect: () => {
          overheard(null)
          onReconnect()
        },
        onError,
      }),
    overhear: (onNotification) => {
      eavesdroppers.add(onNotification)
      return () => eavesdroppers.delete(onNotification)
    },
    close: () => {
      closing = true
      // Or the end of the pool would wait for an answer that a network has swallowed.
      statements.abandon()
      quick.abandon()
      return pool.end()
    },
  }
}

/**
 * What pg-boss' schema, made by whoever migrates, has to allow the role that servers take. One transaction, as PostgreSQL refuses
 * grants that others make at the same moment.
 */
const GRANTS = `
SELECT pg_advisory_xact_lock(${MIGRATION_LOCK});
GRANT USAGE ON SCHEMA pgboss TO ${ROLES.system};
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA pgboss TO ${ROLES.system};
GRANT USAGE ON ALL SEQUENCES IN SCHEMA pgboss TO ${ROLES.system};
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA pgboss TO ${ROLES.system}`

export const grantJobs = async (database: JobsDatabase): Promise<void> => {
  await database.executeSql(GRANTS)
}

/**
 * pg-boss names no statement, and PostgreSQL spends longer on planning its fetch than on running it. Those that come
 * again get a name, so that each connection plans them once; and with ten times as many a new name, because the plan that was
 * best when there was hardly a job reads through all of them when there are thousands.
 */
const createNames = (): ((text: string, values?: readonly unknown[]) => { readonly name?: string }) => {
  const seen = new Map<string, { times: number; readonly name: string }>()
  return (text, values = []) => {
    // Several statements in one cannot be prepared.
    if (values.length === 0 && text.includes(';')) return {}
    const known = seen.get(text) ?? { times: 0, name: `jobs_${seen.size}` }
    if (known.times === 0 && seen.size >= MAX_NAMES) return {}
    known.times += 1
    seen.set(text, known)
    return known.times > NAMED_AFTER ? { name: `${known.name}_${String(known.times).length}` } : {}
  }
}

type Listening = {
  readonly connector: Connector
  readonly identity: string
  readonly channel: string
  readonly onNotification: (payload: string) => void
  readonly onReconnect: () => void
  readonly onError: (error: Error) => void
}

const listening = async (what: Listening): Promise<{ close: () => Promise<void> }> => {
  let current: pg.Client | null = null
  let timer: NodeJS.Timeout | null = null
  let failures = 0
  let closed = false

  const after = (ms: number, act: () => Promise<void>): void => {
    if (closed) return
    timer = setTimeout(() => void act(), ms)
    timer.unref()
  }
  const lost = (client: pg.Client, error: Error): void => {
    if (client !== current) return
    current = null
    if (timer !== null) clearTimeout(timer)
    client.end().catch(() => {})
    what.onError(error)
    again()
  }
  const again = (): void => after(Math.min(AGAIN_AFTER_MS.first * 2 ** failures++, AGAIN_AFTER_MS.most), reconnect)
  const reconnect = (): Promise<void> => connect().catch(again)
  const look = async (client: pg.Client): Promise<void> => {
    try {
      // Behind a pooler the answer would be another session's, which does not listen.
      const { rows } = await client.query('SELECT $1 = ANY (ARRAY (SELECT pg_listening_channels())) AS listens', [
        what.channel,
      ])
      if (rows[0]?.listens !== true) throw new Error('the database does not know any more that it is listened to')
      if (client === current) after(LOOK_EVERY_MS, () => look(client))
    } catch (error) {
      lost(client, error as Error)
    }
  }
  const connect = async (): Promise<void> => {
    const client = await listener(what, lost)
    if (closed) return void client.end().catch(() => {})
    current = client
    failures = 0
    after(LOOK_EVERY_MS, () => look(client))
    what.onReconnect()
  }

  await connect()
  return {
    close: async () => {
      closed = true
      if (timer !== null) clearTimeout(timer)
      const client = current
      current = null
      await client?.end().catch(() => {})
    },
  }
}

const listener = async (
  { connector, identity, channel, onNotification }: Listening,
  lost: (client: pg.Client, error: Error) => void,
): Promise<pg.Client> => {
  const client = new connector.Client({
    ...connector.config,
    application_name: 'streamspace listen',
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    query_timeout: LOOK_TIMEOUT_MS,
    keepAlive: true,
  })
  client.on('error', (error) => lost(client, error))
  client.on('end', () => lost(client, new Error('the connection that listens has ended')))
  client.on('notification', ({ payload }) => {
    if (payload !== undefined) onNotification(payload)
  })
  try {
    await client.connect()
    await client.query(identity)
    await client.query(`LISTEN ${client.escapeIdentifier(channel)}`)
    return client
  } catch (error) {
    client.end().catch(() => {})
    throw error
  }
}
