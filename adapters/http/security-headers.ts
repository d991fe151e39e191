/**
 * What browsers are told about every answer. Which headers there are is helmet's to know; as they are the same for all answers,
 * it is asked once, and not again for each request.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import helmet, { type HelmetOptions } from 'helmet'

export type SecurityHeaders = { readonly [name: string]: string }

const YEAR_SECONDS = 31_536_000

const options = {
  // Problems and JSON are read by programs of any site that CORS lets in.
  crossOriginResourcePolicy: { policy: 'cross-origin' },
  frameguard: { action: 'deny' },
  referrerPolicy: { policy: 'no-referrer' },
} satisfies HelmetOptions

const settledOnce = (about: HelmetOptions): SecurityHeaders => {
  const headers: Record<string, string> = {}
  const setHeader = (name: string, value: string): void => {
    headers[name] = value
  }
  const recorder = { setHeader, removeHeader: () => {} }
  // It looks at nothing of a request, and calls back at once.
  helmet(about)({} as IncomingMessage, recorder as unknown as ServerResponse, (error) => {
    if (error !== undefined) throw error
  })
  return headers
}

type Csp = Exclude<HelmetOptions['contentSecurityPolicy'], boolean | undefined>
const policy = (directives: NonNullable<Csp['directives']>): Csp => ({ useDefaults: false, directives })

/** JSON is never to be taken for anything else, framed, or told to other sites. */
export const apiHeaders: SecurityHeaders = settledOnce({
  ...options,
  strictTransportSecurity: false,
  contentSecurityPolicy: policy({ 'default-src': ["'none'"], 'frame-ancestors': ["'none'"] }),
})

/** Swagger UI sets style attributes and has its icons as data: URLs. */
export const pageHeaders: SecurityHeaders = settledOnce({
  ...options,
  strictTransportSecurity: false,
  contentSecurityPolicy: policy({
    'default-src': ["'none'"],
    'script-src': ["'self'"],
    'style-src': ["'self'", "'unsafe-inline'"],
    'img-src': ["'self'", 'data:'],
    'connect-src': ["'self'"],
    'base-uri': ["'none'"],
    'form-action': ["'none'"],
    'frame-ancestors': ["'none'"],
  }),
})

/** Where people reach the server by https, browsers are to use nothing else; what else there is under the same domain is not ours to say. */
export const transportHeaders = (publicUrl: string | null): SecurityHeaders =>
  publicUrl?.startsWith('https://') === true ? { 'Strict-Transport-Security': `max-age=${YEAR_SECONDS}` } : {}
