/** API keys of an org, for its admins. A key is shown once, by whoever makes it; what is kept is its hash. */
import { type ApplicationError, forbidden, notFound } from '../../domain/errors.ts'
import { E } from '../../domain/fp.ts'
import { type Caller, may, type Role } from '../../domain/identity/caller.ts'
import type { ApiKeyId, OrgId } from '../../domain/ids.ts'
import type { AccessStore } from '../../domain/ports/access.ts'
import type { ApiKeyStore, ApiKeyView, NewApiKey } from '../../domain/ports/api-keys.ts'
import type { Clock, Ids } from '../../domain/ports/clock.ts'
import { type IfMatch, isMatch, mismatch } from '../../domain/ports/if-match.ts'
import { KEY_PREFIX_LENGTH, type Tokens } from '../../domain/ports/tokens.ts'
import type { Application } from './application.ts'
import { mayOwn } from './templates.ts'

export type ApiKeyDeps = {
  readonly keys: ApiKeyStore
  readonly access: Pick<AccessStore, 'orgExists'>
  readonly tokens: Tokens
  readonly clock: Clock
  readonly ids: Ids
  /** One of them may be good no more. */
  readonly ended?: () => void
}

/** Whoever may deal with keys of this role: nobody hands out, or takes over, more than their own. */
const mayHandOut = (caller: Caller, role: Role): boolean =>
  may(caller, role === 'installation' ? 'administer_installation' : 'administer')

export const apiKeyUseCases = (deps: ApiKeyDeps): Application['apiKeys'] => {
  const made = (
    about: Omit<NewApiKey, 'id' | 'prefix' | 'hash'>,
  ): { readonly key: string; readonly record: NewApiKey } => {
    const key = deps.tokens.apiKey()
    const record = {
      ...about,
      id: deps.ids.apiKey(),
      prefix: key.slice(0, KEY_PREFIX_LENGTH),
      hash: deps.tokens.hash(key),
    }
    return { key, record }
  }
  const isPast = (at: Date | null | undefined): boolean => at !== null && at !== undefined && at <= deps.clock.now()

  /** One that this caller may deal with, at a revision that they accept. */
  const changed = async (
    caller: Caller,
    id: ApiKeyId,
    ifMatch: IfMatch,
  ): Promise<E.Either<ApplicationError, ApiKeyView>> => {
    const key = await deps.keys.get(caller.orgId, id)
    if (key === null) return E.left(notFound('api_key', id))
    if (!may(caller, 'administer')) return E.left(forbidden('administer'))
    if (!mayHandOut(caller, key.role)) return E.left(forbidden('administer_installation'))
    return isMatch(ifMatch, key.revision) ? E.right(key) : E.left(mismatch(key.revision))
  }

  return {
    list: (caller, page) => async () =>
      may(caller, 'administer') ? E.right(await deps.keys.list(caller.orgId, page)) : E.left(forbidden('administer')),

    create: (caller, request) => async () => {
      if (!may(caller, 'administer')) return E.left(forbidden('administer'))
      if (!mayHandOut(caller, request.role)) return E.left(forbidden('administer_installation'))
      const orgId: OrgId = request.orgId ?? caller.orgId
      if (!mayOwn(caller, orgId)) return E.left(forbidden('administer_installation'))
      if (orgId !== caller.orgId && !(await deps.access.orgExists(orgId))) return E.left(notFound('org', orgId))
      if (isPast(request.expiresAt)) return E.left({ _tag: 'InvalidParameters', errors: [EXPIRED] })
      const { key, record } = made({
        orgId,
        userId: request.userId ?? caller.userId,
        role: request.role,
        name: request.name ?? request.role,
        expiresAt: request.expiresAt ?? null,
      })
      return E.right({ apiKey: await deps.keys.add(record), key })
    },

    get: (caller, id) => async () => {
      const key = await deps.keys.get(caller.orgId, id)
      if (key === null) return E.left(notFound('api_key', id))
      return may(caller, 'administer') ? E.right(key) : E.left(forbidden('administer'))
    },

    rotate: (caller, id, overlapSeconds, ifMatch) => async () => {
      const old = await changed(caller, id, ifMatch)
      if (E.isLeft(old)) return old
      const { orgId, userId, role, name, expiresAt } = old.right
      const { key, record } = made({ orgId, userId, role, name, expiresAt })
      const replaced = await deps.keys.replace(caller.orgId, id, record, overlapSeconds, ifMatch)
      if (replaced !== null) {
        deps.ended?.()
        return E.right({ apiKey: replaced, key })
      }
      const now = await changed(caller, id, ifMatch)
      return E.isLeft(now) ? now : E.left({ _tag: 'ApiKeyOver', apiKeyId: id })
    },

    revoke: (caller, id, ifMatch) => async () => {
      const old = await changed(caller, id, ifMatch)
      if (E.isLeft(old)) return old
      if (await deps.keys.revoke(caller.orgId, id, ifMatch)) {
        deps.ended?.()
        return E.right(undefined)
      }
      const now = await changed(caller, id, ifMatch)
      return E.isLeft(now) ? now : E.left(notFound('api_key', id))
    },
  }
}

const EXPIRED = { field: 'expiresAt', message: 'must be in the future' }
