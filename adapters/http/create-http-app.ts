/** The REST API as an express application: the route table, bound to use cases. */
import express, { type ErrorRequestHandler, type Express, type RequestHandler } from 'express'
import type { Logger } from 'pino'
import type { Route } from '../../src/api/route.ts'
import { type OperationId, routes } from '../../src/api/routes.ts'
import type { Application } from '../../src/usecases/application.ts'
import { createAdmission, REQUESTS_AT_ONCE } from './admission.ts'
import { agentHandlers } from './agents.ts'
import { apiKeyHandlers } from './api-keys.ts'
import type { NoteAudit } from './audit.ts'
import { auditHandlers } from './audit-trail.ts'
import { commandHandlers } from './commands.ts'
import { allowOrigins, type CorsOrigins } from './cors.ts'
import { docs } from './docs.ts'
import { endpoint, type Handlers } from './endpoint.ts'
import { begin, fail, pathOf, refuse } from './exchange.ts'
import type { Idempotency } from './idempotency.ts'
import { jobHandlers } from './jobs.ts'
import { type Limits, noLimits } from './limits.ts'
import { orgHandlers } from './orgs.ts'
import { orphanHandlers } from './orphans.ts'
import { createPlaces, PLACES, type PlaceSettings } from './places.ts'
import { quotaHandlers } from './quotas.ts'
import { transportHeaders } from './security-headers.ts'
import { serverHandlers } from './server.ts'
import { sessionHandlers } from './sessions.ts'
import { templateHandlers } from './templates.ts'
import type { Watches } from './watches.ts'
import { webhookHandlers } from './webhooks.ts'

export type HttpOptions = {
  readonly log: Logger
  /** The program's, for the OpenAPI document. */
  readonly version: string
  readonly requestsAtOnce?: number
  /** What each org has of what this replica does at once. */
  readonly placesOf?: PlaceSettings
  readonly idempotency: Idempotency
  readonly watches: Watches
  /** Whose pages may use the API from a browser. Left out: nobody's. */
  readonly corsOrigins?: CorsOrigins
  /** Where people reach it. */
  readonly publicUrl?: string | null
  /** Left out: nobody is limited. */
  readonly limits?: Limits
  /** Left out: nothing is told of what was refused. */
  readonly noteAudit?: NoteAudit
}

export const createHttpApp = (
  app: Application,
  {
    log,
    version,
    idempotency,
    watches,
    requestsAtOnce = REQUESTS_AT_ONCE,
    placesOf = PLACES,
    corsOrigins = [],
    publicUrl = null,
    limits = noLimits(),
    noteAudit = () => {},
  }: HttpOptions,
): Express => {
  const admitted = createAdmission(requestsAtOnce, (refused) =>
    log.warn({ refused, requestsAtOnce, msg: 'more requests than this replica can answer in time: some were refused' }),
  )
  const places = createPlaces(placesOf, (refused, last) =>
    log.warn({
      refused,
      last: last === '' ? 'the installation' : last,
      msg: 'more requests of an org than its share of this replica can answer in time: some were refused',
    }),
  )
  const surroundings = { app, log, admitted, places, idempotency, limits, noteAudit }
  const handlers: Handlers<OperationId> = {
    ...sessionHandlers(app, watches),
    ...templateHandlers(app),
    ...agentHandlers(app),
    ...orphanHandlers(app),
    ...commandHandlers(app),
    ...jobHandlers(app),
    ...orgHandlers(app),
    ...quotaHandlers(app),
    ...apiKeyHandlers(app),
    ...webhookHandlers(app),
    ...auditHandlers(app),
    ...serverHandlers(app, version),
  }
  const http = express()
  http.disable('x-powered-by')
  http.disable('etag')
  http.enable('case sensitive routing')
  // `/sessions/` is a session without an id, and no list.
  http.enable('strict routing')
  // Every handler parses its own query string, strictly.
  http.set('query parser', false)

  // There is no middleware, but of what a setting asks for: what every request needs is done once, in endpoint.ts.
  if (corsOrigins.length > 0) http.use(allowOrigins(corsOrigins))
  const always = Object.entries(transportHeaders(publicUrl))
  if (always.length > 0)
    http.use((_request, response, next) => {
      for (const [name, value] of always) response.setHeader(name, value)
      next()
    })
  const byPath = Map.groupBy(Object.entries(routes) as [OperationId, Route][], ([, route]) => route.path)
  for (const [path, operations] of specificFirst(byPath)) {
    const registered = http.route(path.replaceAll(/\{(\w+)\}/g, ':$1'))
    for (const [operationId, route] of operations)
      registered[route.method](endpoint(operationId, route, handlers[operationId] as never, surroundings))
    registered.all(
      otherMethod(
        operations.map(([, route]) => route.method.toUpperCase()),
        log,
      ),
    )
  }
  for (const [path, handler] of Object.entries(docs))
    http
      .route(path)
      .get(handler)
      .all(otherMethod(['GET'], log))

  http.use(unknownPath(log))
  http.use(whatIsLeft(log))
  return http
}

/** `/sessions/summary` before `/sessions/{id}`, which would take it for an id. */
const specificFirst = <A>(byPath: ReadonlyMap<string, A>): readonly (readonly [string, A])[] =>
  [...byPath].sort(([a], [b]) => Number(a.endsWith('}')) - Number(b.endsWith('}')))

const otherMethod = (methods: readonly string[], log: Logger): RequestHandler => {
  const allow = [...methods, ...(methods.includes('GET') ? ['HEAD'] : []), 'OPTIONS'].join(', ')
  return (request, response) => {
    const exchange = begin(request, response, log)
    if (request.method === 'OPTIONS')
      response.writeHead(204, { Allow: allow, 'X-Request-Id': exchange.requestId }).end()
    else refuse(exchange, { _tag: 'MethodNotAllowed', method: request.method, allow })
  }
}

const unknownPath =
  (log: Logger): RequestHandler =>
  (request, response) =>
    refuse(begin(request, response, log), { _tag: 'UnknownPath', path: pathOf(request) })

/** What express itself refuses: a path that cannot be decoded names nothing. Express knows this handler by its four arguments. */
const whatIsLeft =
  (log: Logger): ErrorRequestHandler =>
  (thrown: unknown, request, response, _next) => {
    const exchange = begin(request, response, log)
    if (thrown instanceof URIError) refuse(exchange, { _tag: 'UnknownPath', path: pathOf(request) })
    else fail(exchange, thrown)
  }
