/**
 * Settings from the environment (`docs/operations.md`). Every wrong one is named, all at once, before
 * anything is started.
 */
import { resolve } from 'node:path'
import type { JwtSettings } from '../../adapters/jwt/settings.ts'
import { addressesOf, unfitTarget } from '../../domain/ports/database-url.ts'
import { API_KEY } from '../../domain/ports/tokens.ts'
import type { Timeouts } from '../../domain/session/timeouts.ts'
import type { RetentionPeriods } from '../usecases/retention.ts'
import { ExitError } from './exit-error.ts'
import { jwtSettings } from './jwt-settings.ts'

export type Environment = { readonly [name: string]: string | undefined }

export type ServerSettings = {
  readonly databaseUrl: string
  /** For what needs a session of its own: LISTEN, migrations, advisory locks. */
  readonly directUrl: string
  readonly pooler: 'none' | 'transaction'
  readonly host: string
  readonly port: number
  readonly dataDir: string
  readonly secretKey: string | null
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
  /** Whether this replica drains its own agents at once, or only through pg-boss. */
  readonly nudge: 'on' | 'off'
  /** null: no JWTs are taken. */
  readonly jwt: JwtSettings | null
}

const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']
const SMALLEST_MS = 100
/** The longest wait that a timer of Node can hold, about 24 days. */
const LARGEST_MS = 2_147_483_647
/** A hundred years: for ages that are compared with, never waited for. */
const LARGEST_AGE_MS = 3_155_760_000_000

/** Reads settings one by one and remembers what is wrong with each. */
export const reader = (environment: Environment) => {
  const problems: string[] = []
  const raw = (name: string): string | undefined => {
    const value = environment[name]?.trim()
    return value === '' ? undefined : value
  }
  const checked = <A>(name: string, fallback: A, parse: (text: string) => A | null, rule: string): A => {
    const text = raw(name)
    if (text === undefined) return fallback
    const value = parse(text)
    if (value !== null) return value
    problems.push(`${name} ${rule}`)
    return fallback
  }
  const whole = (minimum: number, maximum: number) => (text: string) => {
    const value = Number(text)
    return /^\d+$/.test(text) && value >= minimum && value <= maximum ? value : null
  }
  return {
    text: <F extends string | null>(name: string, fallback: F): string | F => raw(name) ?? fallback,
    checked,
    integer: <F extends number | null>(name: string, fallback: F, minimum: number, maximum: number): number | F =>
      checked<number | F>(
        name,
        fallback,
        whole(minimum, maximum),
        `must be a whole number from ${minimum} to ${maximum}`,
      ),
    milliseconds: (name: string, fallback: number): number =>
      checked(
        name,
        fallback,
        whole(SMALLEST_MS, LARGEST_MS),
        `must be a whole number of milliseconds, ${SMALLEST_MS} or more`,
      ),
    age: (name: string, fallback: number): number =>
      checked(
        name,
        fallback,
        whole(SMALLEST_MS, LARGEST_AGE_MS),
        `must be a whole number of milliseconds from ${SMALLEST_MS} to ${LARGEST_AGE_MS}`,
      ),
    oneOf: <V extends string>(name: string, fallback: V, values: readonly V[]): V =>
      checked(
        name,
        fallback,
        (text) => values.find((value) => value === text) ?? null,
        `must be one of: ${values.join(', ')}`,
      ),
    url: <F extends string | null>(name: string, fallback: F, protocols: readonly string[]): string | F =>
      checked<string | F>(
        name,
        fallback,
        (text) => urlOf(text, protocols),
        `must be a URL that begins with ${protocols.map((protocol) => `${protocol}//`).join(' or ')}`,
      ),
    database: (name: string, fallback: string): string => {
      const unfit = unfitTarget(raw(name) ?? '')
      if (unfit !== null)
        problems.push(`${name} asks for target_session_attrs=${unfit}: only read-write can be served, or leave it out`)
      return checked(
        name,
        fallback,
        (text) => (addressesOf(text) === null ? null : text),
        'must be a URL that begins with postgres:// or postgresql://, its hosts separated by commas',
      )
    },
    require: (name: string, why: string): string => {
      const value = raw(name)
      if (value === undefined) problems.push(`${name} ${why}`)
      return value ?? ''
    },
    logLevel: (fallback: string): string =>
      checked(
        'LOG_LEVEL',
        fallback,
        (text) => (LOG_LEVELS.includes(text) ? text : null),
        `must be one of: ${LOG_LEVELS.join(', ')}`,
      ),
    problem: (text: string): void => {
      problems.push(text)
    },
    /** Throws when anything was wrong: exit status 2, nothing started. */
    done: (): void => {
      if (problems.length === 0) return
      throw new ExitError(
        2,
        `these settings are wrong, nothing was started:\n${problems.map((problem) => `  ${problem}`).join('\n')}`,
      )
    },
  }
}

const urlOf = (text: string, protocols: readonly string[]): string | null => {
  try {
    return protocols.includes(new URL(text).protocol) ? text : null
  } catch {
    return null
  }
}

const DAY_MS = 86_400_000
const HTTP = ['http:', 'https:']

/** `defaults.databaseUrl`: what `npm start` runs on when DATABASE_URL is not set. */
export const serverSettings = (
  environment: Environment,
  defaults: { readonly databaseUrl?: string; readonly logLevel?: string } = {},
): ServerSettings => {
  const { databaseUrl } = defaults
  const read = reader(environment)
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
    host: read.text('HOST', '127.0.0.1'),
    port: read.integer('PORT', 8080, 0, 65_535),
    dataDir: dataDir(environment),
    secretKey: read.checked(
      'STREAMSPACE_SECRET_KEY',
      null,
      (text) => (text.length >= 16 ? text : null),
      'must have at least 16 characters',
    ),
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
    },
    orphanGraceMs: read.milliseconds('STREAMSPACE_ORPHAN_GRACE_MS', 600_000),
    nudge: read.oneOf('STREAMSPACE_NUDGE', 'on', ['on', 'off']),
    jwt: jwtSettings(read),
  }
  if (settings.pooler === 'transaction' && settings.directUrl === settings.databaseUrl)
    read.problem(
      'STREAMSPACE_DATABASE_DIRECT_URL must name the database itself when STREAMSPACE_DATABASE_POOLER is transaction: LISTEN and migrations cannot go through the pooler',
    )
  read.done()
  return settings
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
