/**
 * What a request leaves in the audit trail. Of what was changed the entry goes along with the change, to be written with it; of
 * what changed nothing it is written beside, a moment later. Reading leaves nothing, but where it was refused.
 */
import type { IncomingMessage } from 'node:http'
import { changed } from '../../domain/audit/difference.ts'
import { withoutSecrets } from '../../domain/audit/secrets.ts'
import type { Caller } from '../../domain/identity/caller.ts'
import type { OrgId } from '../../domain/ids.ts'
import type { AuditEntry, AuditOutcome } from '../../domain/ports/audit.ts'
import type { Route } from '../../src/api/route.ts'
import { type OperationId, routes } from '../../src/api/routes.ts'
import { reachedBy } from './audit-reach.ts'
import type { Exchange, Reply } from './exchange.ts'

/** Takes what is written beside; never throws, never waits. */
export type NoteAudit = (entry: AuditEntry) => void

/** One request, as far as it is known who asks for what. */
export type Asked = {
  readonly operationId: string
  readonly route: Route
  readonly exchange: Exchange
  readonly caller: Caller | null
  readonly params: { readonly [name: string]: unknown }
}

/** Keep-alive: one for every session in every minute, and nothing is changed that anybody asked for. A plan changes nothing. */
const NOT_AUDITED = new Set(['touchSession', 'planSession'])
/** Reading that is told: who took all of it away. */
const READS_AUDITED = new Set(['exportAudit'])
/** Nothing was done, and about nobody in particular: who asks too much is not helped by being written down as often. */
const NOT_TOLD = new Set([429, 503])

const resources: { readonly [T in Route['tag']]: string } = {
  Sessions: 'session',
  Templates: 'template',
  Agents: 'agent',
  Commands: 'command',
  Jobs: 'job',
  Orgs: 'org',
  'API keys': 'api_key',
  Webhooks: 'webhook',
  Audit: 'audit',
  Server: 'server',
}

/** What an operation is done to; null: there is no such operation. */
export const resourceOf = (operationId: string): string | null => {
  const route = Object.hasOwn(routes, operationId) ? routes[operationId as OperationId] : null
  return route === null ? null : resources[route.tag]
}

export const isAudited = (operationId: string, { method }: Route): boolean =>
  (method !== 'get' && !NOT_AUDITED.has(operationId)) || READS_AUDITED.has(operationId)

/** Whoever sent no key at all has tried none. */
const isLogin = ({ exchange }: Asked): boolean => exchange.request.headers.authorization !== undefined

export const isTold = (asked: Asked, status: number): boolean => {
  if (status === 401) return isLogin(asked)
  return !NOT_TOLD.has(status) && (isAudited(asked.operationId, asked.route) || status === 403)
}

/** Of which what is kept is made: a secret at its end would be cut, and not known for one. */
const LOOKED_THROUGH = 2_000

/** What PostgreSQL would not take, and what no screen shows, is nothing of an id. */
const sane = (text: string): string =>
  withoutSecrets(text.slice(0, LOOKED_THROUGH))
    .slice(0, 300)
    // Last: a cut may go through the middle of a character.
    .toWellFormed()
    .replaceAll(/\p{Cc}/gu, '\ufffd')

const userAgentOf = ({ headers }: IncomingMessage): string | null =>
  headers['user-agent'] === undefined ? null : sane(headers['user-agent'])

/** What the path names; of what is new, what the answer calls it. */
const resourceIdOf = ({ params }: Asked, body: unknown): string | null => {
  const named = Object.values(params)
  if (named.length > 0) return sane(named.map(String).join('/'))
  const made = body as { readonly id?: unknown; readonly name?: unknown } | null | undefined
  const id = made?.id ?? made?.name
  return typeof id === 'string' ? sane(id) : null
}

const entryOf = (
  asked: Asked,
  about: { readonly outcome: AuditOutcome; readonly status: number; readonly code: string | null },
  body: unknown,
  before: object | null | undefined,
  after: object | null,
): AuditEntry => {
  const { caller, exchange, operationId, route } = asked
  return {
    orgId: caller?.orgId ?? null,
    userId: caller?.userId ?? null,
    role: caller?.role ?? null,
    keyId: caller?.keyId ?? null,
    action: operationId,
    resource: resources[route.tag],
    resourceId: resourceIdOf(asked, body),
    ...about,
    requestId: sane(exchange.requestId),
    ip: exchange.address,
    userAgent: userAgentOf(exchange.request),
    ...changed(before, after),
  }
}

/** Of what was done, in the trail of its caller's org. What was removed has become nothing. */
export const doneEntry = (asked: Asked, reply: Reply, before?: object): AuditEntry => ({
  ...entryOfDone(asked, reply, before),
  orgId: trailOf(asked, reply),
})

/**
 * What an installation key does to another org than that in which it happens to act is nothing of this one's: it is told where the key
 * comes from.
 */
const trailOf = ({ caller, operationId, params }: Asked, reply: Reply): OrgId | null => {
  if (caller === null) return null
  const isElsewhere = reachedBy(operationId, { params, reply }).some(({ orgId }) => orgId !== caller.orgId)
  return isElsewhere ? (caller.comesFrom ?? caller.orgId) : caller.orgId
}

/** Who runs the installation, and from where, is nothing that an org is told. */
const THE_INSTALLATION = { userId: null, role: 'installation', keyId: null, ip: '', userAgent: null } as const

/** The same in the trails of those other orgs to whose things it was done. `done`: as its caller's org is told. */
export const entriesElsewhere = (
  { operationId, params }: Asked,
  reply: Reply,
  done: AuditEntry,
): readonly AuditEntry[] =>
  reachedBy(operationId, { params, reply })
    .filter(({ orgId }) => orgId !== done.orgId)
    .map(({ orgId, before, after }) => ({
      ...done,
      ...THE_INSTALLATION,
      orgId,
      ...(after === undefined ? {} : changed(before, after)),
    }))

const entryOfDone = (asked: Asked, { status, body, told }: Reply, before?: object): AuditEntry => {
  if (told !== undefined) return entryOf(asked, { outcome: 'succeeded', status, code: null }, null, before, told.after)
  const isGone = asked.route.method === 'delete' && asked.route.tag !== 'Sessions'
  const after = typeof body === 'object' && body !== null && !Array.isArray(body) && !isGone ? body : null
  return entryOf(asked, { outcome: 'succeeded', status, code: null }, body, before, after)
}

/** Found by the id of each, and by what was done with it. */
export const partEntries = (asked: Asked, { told }: Reply): readonly AuditEntry[] =>
  (told?.parts ?? []).map(({ operationId, id, status, code, before, after }) =>
    entryOf(
      { ...asked, operationId, params: { id } },
      { outcome: code === null ? 'succeeded' : 'refused', status, code },
      null,
      before,
      after,
    ),
  )

export const refusedEntry = (asked: Asked, status: number, code: string): AuditEntry => ({
  ...entryOf(asked, { outcome: status >= 500 ? 'failed' : 'refused', status, code }, null, null, null),
  orgId: trailOf(asked, { status }),
})
