/**
 * Settings from the environment (`docs/operations.md`). Every wrong one is named, all at once, before
 * anything is started.
 */
import { resolve } from 'node:path'
import type { JwtSettings } from '../../domain/ports/jwt.ts'
import { API_KEY } from '../../domain/ports/tokens.ts'
import type { Timeouts } from '../../domain/session/timeouts.ts'
import type { RetentionPeriods } from '../usecases/retention.ts'
import { type HttpSettings, httpSettings } from './http-settings.ts'
import { jwtSettings } from './jwt-settings.ts'
import { type Environment, LARGEST_AGE_MS, reader } from './setting-reader.ts'
import { type WebhookSettings, webhookSettings } from './webhook-settings.ts'

export type ServerSettings = {
  readonly databaseUrl: string
  /** For what needs a session of its own: LISTEN, migrations, advisory locks. */
  readonly directUrl: string
  readonly pooler: 'none' | 'transaction'
  readonly host: string
  readonly port: number
  readonly dataDir: string
  readonly secretKey: string | null
  /** What else may still be sealed under. */
  readonly previousSecretKeys: readonly string[]
  readonly adminKey: string | null
  readonly publicUrl: string | null
  readonly replicaUrl: string | null
  readonly logLevel: string
  readonly heartbeatIntervalMs: number
  readonly ackTimeoutMs: number
  readonly inventoryIntervalMs: number
  readonly timeouts: Timeouts
  readonly commandTtlMs: number
  readonly retention: RetentionPeriods
  readonly orphanGraceMs: number
  /** How often a stream of `GET /watch` says that it is still there, while nothing happens. */
  readonly watchHeartbeatMs: number
  /** Whether this replica drains its own agents at once, or only through pg-boss. */
  readonly nudge: 'on' | 'off'
  /** null: no JWTs are taken. */
  readonly jwt: JwtSettings | null
  readonly http: HttpSettings
  readonly webhooks: WebhookSettings
}

const DAY_MS = 86_400_000
const HTTP = ['http:', 'https:']

/** `defaults.databaseUrl`: what `npm start` runs on when DATABASE_URL is not set. */
export const serverSettings = (environment: Environment, defaults: ServerDefaults = {}): ServerSettings => {
  const read = reader(environment)
  const settings = serverSettingsIn(read, environment, defaults)
  read.done()
  return settings
}

/** What is set and read by nobody: for the log. */
export const unknownSettings = (environment: Environment): readonly string[] => {
  const read = reader(environment)
  serverSettingsIn(read, environment, {})
  return read.unknown()
}

type ServerDefaults = { readonly databaseUrl?: string; readonly logLevel?: string }

const serverSettingsIn = (
  read: ReturnType<typeof reader>,
  environment: Environment,
  defaults: ServerDefaults,
): ServerSettings => {
  const { databaseUrl } = defaults
  if (databaseUrl === undefined)
    read.require(
      'DATABASE_URL',
      'is not set: give the postgres:// URL of a PostgreSQL 15 or newer, or use `npm start`, which brings its own',
    )
  const url = databaseUrl ?? read.database('DATABASE_URL', '')
  const settings: ServerSettings = {
    databaseUrl: url,
    directUrl: read.database('STREAMSPACE_DATABASE_DIRECT_URL', url),
    pooler: read.oneOf('STREAMSPACE_DATABASE_POOLER', 'none', ['none', 'transaction']),
    host: read.checked(
      'HOST',
      '127.0.0.1',
      (text) => (/^[\w.:%-]+$/.test(text) ? text : null),
      'must be an address or a name of this machine, such as 0.0.0.0',
    ),
    port: read.integer('PORT', 8080, 0, 65_535),
    dataDir: dataDir(environment),
    ...secretKeysIn(read),
    adminKey: read.checked(
      'STREAMSPACE_ADMIN_KEY',
      null,
      (text) => (API_KEY.test(text) ? text : null),
      'must be ssk_ and 32 or more letters and digits',
    ),
    publicUrl: read.url('STREAMSPACE_PUBLIC_URL', null, HTTP),
    replicaUrl: read.url('STREAMSPACE_REPLICA_URL', null, HTTP),
    logLevel: read.logLevel(defaults.logLevel ?? 'info'),
    heartbeatIntervalMs: read.milliseconds('STREAMSPACE_HEARTBEAT_INTERVAL_MS', 10_000),
    ackTimeoutMs: read.milliseconds('STREAMSPACE_ACK_TIMEOUT_MS', 5_000),
    inventoryIntervalMs: read.milliseconds('STREAMSPACE_INVENTORY_INTERVAL_MS', 120_000),
    timeouts: {
      pendingMs: read.milliseconds('STREAMSPACE_PENDING_TIMEOUT_MS', 600_000),
      startMs: read.milliseconds('STREAMSPACE_START_TIMEOUT_MS', 300_000),
      stopMs: read.milliseconds('STREAMSPACE_STOP_TIMEOUT_MS', 60_000),
    },
    commandTtlMs: read.milliseconds('STREAMSPACE_COMMAND_TTL_MS', 86_400_000),
    retention: {
      commandsMs: read.age('STREAMSPACE_RETENTION_COMMANDS_MS', 7 * DAY_MS),
      eventsMs: read.age('STREAMSPACE_RETENTION_EVENTS_MS', 90 * DAY_MS),
      tombstonesMs: read.age('STREAMSPACE_RETENTION_TOMBSTONES_MS', 30 * DAY_MS),
      // The database itself keeps each for thirty days.
      auditMs: read.integer('STREAMSPACE_RETENTION_AUDIT_MS', 365 * DAY_MS, 30 * DAY_MS, LARGEST_AGE_MS),
    },
    orphanGraceMs: read.milliseconds('STREAMSPACE_ORPHAN_GRACE_MS', 600_000),
    watchHeartbeatMs: read.milliseconds('STREAMSPACE_WATCH_HEARTBEAT_MS', 15_000),
    nudge: read.oneOf('STREAMSPACE_NUDGE', 'on', ['on', 'off']),
    jwt: jwtSettings(read),
    http: httpSettings(read),
    webhooks: webhookSettings(read),
  }
  if (settings.pooler === 'transaction' && settings.directUrl === settings.databaseUrl)
    read.problem(
      'STREAMSPACE_DATABASE_DIRECT_URL must name the database itself when STREAMSPACE_DATABASE_POOLER is transaction: LISTEN and migrations cannot go through the pooler',
    )
  return settings
}

/** Of what is sealed in the database. */
const secretKeysIn = (read: ReturnType<typeof reader>): Pick<ServerSettings, 'secretKey' | 'previousSecretKeys'> => ({
  secretKey: read.checked(
    'STREAMSPACE_SECRET_KEY',
    null,
    (text) => (text.length >= 16 ? text : null),
    'must have at least 16 characters',
  ),
  previousSecretKeys: read.checked<readonly string[]>(
    'STREAMSPACE_SECRET_KEY_PREVIOUS',
    [],
    (text) => {
      const keys = text.split(',').map((key) => key.trim())
      return keys.every((key) => key.length >= 16) ? keys : null
    },
    'must be earlier keys of at least 16 characters, separated by commas',
  ),
})

/** For commands that open what is sealed without being a server. */
export const secretKeys = (
  environment: Environment,
): Pick<ServerSettings, 'secretKey' | 'previousSecretKeys' | 'dataDir'> => {
  const read = reader(environment)
  const keys = secretKeysIn(read)
  read.done()
  return { ...keys, dataDir: dataDir(environment) }
}

export const dataDir = (environment: Environment): string =>
  resolve(environment.STREAMSPACE_DATA_DIR?.trim() || '.streamspace')

/** Where `migrate` and `admin-key reset` work: the direct URL when a pooler is in between. */
export const databaseSettings = (environment: Environment): { readonly url: string } => {
  const read = reader(environment)
  read.require('DATABASE_URL', 'is not set: give the postgres:// URL of the database')
  const url = read.database('DATABASE_URL', '')
  const direct = read.database('STREAMSPACE_DATABASE_DIRECT_URL', url)
  read.done()
  return { url: direct }
}
