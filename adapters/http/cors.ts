/**
 * Which pages of other sites may use the API from a browser (https://fetch.spec.whatwg.org/#http-cors-protocol). Callers are known by a
 * header that no browser adds by itself, so there are no credentials to be let through.
 */
import cors from 'cors'
import type { RequestHandler } from 'express'

/** An answer's headers that are of use to a page. */
const EXPOSED = [
  'ETag',
  'Idempotency-Replayed',
  'Link',
  'Location',
  'RateLimit',
  'RateLimit-Policy',
  'Retry-After',
  'X-Request-Id',
]
const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE']
/** The longest that any browser remembers an answer. */
const MAX_AGE_SECONDS = 7_200

export type CorsOrigins = readonly string[] | '*'

/** What a preflight asks is answered by the path's own OPTIONS. */
export const allowOrigins = (origins: CorsOrigins): RequestHandler =>
  cors({
    origin: origins === '*' ? '*' : [...origins],
    methods: METHODS,
    exposedHeaders: EXPOSED,
    maxAge: MAX_AGE_SECONDS,
    preflightContinue: true,
  })
