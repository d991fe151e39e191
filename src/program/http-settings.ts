/** Who may come to the API from where, and how often. None of it is limited unless a setting says so. */
import { isIP } from 'node:net'

export type NetworkSetting = { readonly address: string; readonly family: 'ipv4' | 'ipv6'; readonly bits: number }
export type RateLimitSetting = { readonly count: number; readonly seconds: number }

export type HttpSettings = {
  readonly corsOrigins: readonly string[] | '*'
  readonly trustedProxies: readonly NetworkSetting[]
  readonly rateLimitPerKey: RateLimitSetting | null
  readonly failedLoginLimit: RateLimitSetting | null
}

const items = (text: string): readonly string[] =>
  text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '')

/** RFC 6454, section 7: scheme, host and port, and no path. */
const isOrigin = (text: string): boolean => {
  try {
    const { origin, protocol } = new URL(text)
    return origin === text.toLowerCase() && (protocol === 'http:' || protocol === 'https:')
  } catch {
    return false
  }
}

const originsIn = (text: string): readonly string[] | '*' | null => {
  if (text === '*') return '*'
  const origins = items(text)
  return origins.length > 0 && origins.every(isOrigin) ? origins.map((origin) => origin.toLowerCase()) : null
}

/** An address, or a network such as `10.0.0.0/8`. */
const networkIn = (text: string): NetworkSetting | null => {
  const [address = '', prefix, ...more] = text.split('/')
  const version = isIP(address)
  if (version === 0 || more.length > 0) return null
  const most = version === 4 ? 32 : 128
  const bits = prefix === undefined ? most : /^\d{1,3}$/.test(prefix) ? Number(prefix) : most + 1
  return bits > most ? null : { address, family: version === 4 ? 'ipv4' : 'ipv6', bits }
}

const networksIn = (text: string): readonly NetworkSetting[] | null => {
  const networks = items(text).map(networkIn)
  return networks.length > 0 && networks.every((network) => network !== null) ? networks : null
}

const UNITS = { s: 1, m: 60, h: 3_600 } as const
const LIMIT = /^([1-9]\d{0,8})\/(\d{0,4})([smh])$/

/** `100/s`, `20/10m`. */
const limitIn = (text: string): RateLimitSetting | null => {
  const [, count, times, unit] = LIMIT.exec(text) ?? []
  const seconds = Number(times || 1) * UNITS[(unit ?? 's') as keyof typeof UNITS]
  return count === undefined || seconds === 0 ? null : { count: Number(count), seconds }
}

const LIMIT_RULE = 'must be a number of requests and a time, such as 100/s, 600/m or 20/10m'

/** Of what `settings.ts` reads with. */
type Read = {
  readonly checked: <A>(name: string, fallback: A, parse: (text: string) => A | null, rule: string) => A
}

export const httpSettings = (read: Read): HttpSettings => ({
  corsOrigins: read.checked(
    'STREAMSPACE_CORS_ORIGINS',
    [] as HttpSettings['corsOrigins'],
    originsIn,
    'must be * or origins such as https://app.example.org, without a path, separated by commas',
  ),
  trustedProxies: read.checked(
    'STREAMSPACE_TRUSTED_PROXIES',
    [] as HttpSettings['trustedProxies'],
    networksIn,
    'must be addresses or networks such as 10.0.0.0/8, separated by commas',
  ),
  rateLimitPerKey: read.checked<RateLimitSetting | null>('STREAMSPACE_RATE_LIMIT_PER_KEY', null, limitIn, LIMIT_RULE),
  failedLoginLimit: read.checked<RateLimitSetting | null>('STREAMSPACE_FAILED_LOGIN_LIMIT', null, limitIn, LIMIT_RULE),
})
