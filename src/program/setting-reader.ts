/** Reads settings from the environment one by one and remembers what is wrong with each. */
import { addressesOf, unfitTarget } from '../../domain/ports/database-url.ts'
import { ExitError } from './exit-error.ts'

export type Environment = { readonly [name: string]: string | undefined }

const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']
const SMALLEST_MS = 100
/** The longest wait that a timer of Node can hold, about 24 days. */
const LARGEST_MS = 2_147_483_647
/** A hundred years: for ages that are compared with, never waited for. */
export const LARGEST_AGE_MS = 3_155_760_000_000

/** Of agents, the client, and sessions. */
const OF_OTHERS =
  /^STREAMSPACE_(ACCESS_TOKEN|AGENT|ALLOW|API_KEY|CPU_MILLIS|DATA_DIR|DOCKER|IMAGE_PULL|INGRESS|LEASE|MAX_SESSIONS|MEMORY_MIB|NAMESPACE|ORG$|PROCESS|PROJECTION|RECONNECT|REGION|SESSION_ID|STORAGE_CLASS|TEST|URL|USER)/

export const reader = (environment: Environment) => {
  const problems: string[] = []
  const asked = new Set<string>()
  const raw = (name: string): string | undefined => {
    asked.add(name)
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
    /** Names that look like settings of the server and are none: most are misspelt. */
    unknown: (): readonly string[] =>
      Object.keys(environment).filter(
        (name) => name.startsWith('STREAMSPACE_') && !asked.has(name) && !OF_OTHERS.test(name),
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

export type SettingReader = ReturnType<typeof reader>
