/** What an audit entry keeps of a change: what became different, without secrets. Pure. */
import type { Changed } from '../ports/audit.ts'
import { withoutSecrets } from './secrets.ts'

type Json = { readonly [name: string]: unknown }

/** Shown once, or handed over to be used: an entry is kept for a year, and read by more people. */
const SECRET = /^(key|token|secret|password|hash|authorization)$|(token|secret|password|hash)$/i
export const REDACTED = '[redacted]'

/** Environment is where secrets are put: which variables there are is all that is kept. */
const OPAQUE = 'env'

/** What a session's program has printed: whatever it was given may be in it, and nothing of it was changed by whoever asked. */
const PRINTED = 'lastOutput'

const MAX_DEPTH = 8
/** In characters of JSON, of each of the two. */
const MOST = 16_384

const isObject = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value)

const redacted = (value: unknown, depth = 0): unknown => {
  if (depth > MAX_DEPTH) return '…'
  if (typeof value === 'string') return withoutSecrets(value)
  if (Array.isArray(value)) return value.map((item) => redacted(item, depth + 1))
  if (!isObject(value)) return value
  return Object.fromEntries(
    Object.entries(value).map(([name, inner]) => [
      name,
      (SECRET.test(name) || name === PRINTED) && inner !== null ? REDACTED : shown(name, inner, depth),
    ]),
  )
}

const shown = (name: string, value: unknown, depth: number): unknown =>
  name === OPAQUE && isObject(value)
    ? Object.fromEntries(Object.keys(value).map((variable) => [variable, REDACTED]))
    : redacted(value, depth + 1)

const isSame = (a: unknown, b: unknown): boolean => a === b || JSON.stringify(a) === JSON.stringify(b)

/** Every change raises them; that there was one the entry itself says. */
const ALWAYS = new Set(['version', 'revision', 'updatedAt', 'generation'])

const within = (value: Json): Json => {
  const length = JSON.stringify(value).length
  return length <= MOST ? value : { tooLarge: length, fields: Object.keys(value).slice(0, 100).join(', ') }
}

const withoutNulls = (value: Json): Json =>
  Object.fromEntries(Object.entries(value).filter(([, inner]) => inner !== null && inner !== undefined))

/** As JSON has it: dates are text. */
const plain = (value: object): Json => JSON.parse(JSON.stringify(value))

/** Of something new all that is known of it; of a change the fields that became different. */
export const changed = (before: object | null | undefined, after: object | null | undefined): Changed => {
  if (before === null || before === undefined)
    return { before: null, after: after === null || after === undefined ? null : within(withoutNulls(of(after))) }
  if (after === null || after === undefined) return { before: within(withoutNulls(of(before))), after: null }
  const [was, is] = [plain(before), plain(after)]
  const names = [...new Set([...Object.keys(was), ...Object.keys(is)])].filter(
    (name) => !ALWAYS.has(name) && !isSame(was[name] ?? null, is[name] ?? null),
  )
  const only = (value: Json): Json => Object.fromEntries(names.map((name) => [name, value[name] ?? null]))
  return { before: within(redacted(only(was)) as Json), after: within(redacted(only(is)) as Json) }
}

const of = (value: object): Json => redacted(plain(value)) as Json
