/** Quotas of orgs: the installation sets them, an org's admins read their own. */
import { type ApplicationError, forbidden, notFound } from '../../domain/errors.ts'
import { E } from '../../domain/fp.ts'
import { type Caller, may, type Permission } from '../../domain/identity/caller.ts'
import type { OrgId } from '../../domain/ids.ts'
import type { OrgStore } from '../../domain/ports/orgs.ts'
import type { QuotaStore } from '../../domain/ports/quotas.ts'
import type { Application } from './application.ts'

export const quotaUseCases = (quotas: QuotaStore, orgs: Pick<OrgStore, 'get'>): Application['quotas'] => {
  /** Whether it is there is said first: another org's admin learns nothing. */
  const refusalOf = async (caller: Caller, id: OrgId, permission: Permission): Promise<ApplicationError | null> => {
    const isTheirs = id === caller.orgId || may(caller, 'administer_installation')
    if (!isTheirs || (await orgs.get(id)) === null) return notFound('org', id)
    return may(caller, permission) ? null : forbidden(permission)
  }

  return {
    get: (caller, id) => async () => {
      const refusal = await refusalOf(caller, id, 'administer')
      return refusal === null ? E.right(await quotas.get(id)) : E.left(refusal)
    },

    set: (caller, id, quota, ifMatch) => async () => {
      const refusal = await refusalOf(caller, id, 'administer_installation')
      if (refusal !== null) return E.left(refusal)
      const outcome = await quotas.set(id, quota, ifMatch)
      return outcome.kind === 'set'
        ? E.right({ quota, version: outcome.version })
        : E.left({ _tag: 'VersionMismatch', current: outcome.current })
    },

    usage: (caller, id, filter) => async () => {
      const refusal = await refusalOf(caller, id, 'administer')
      return refusal === null ? E.right(await quotas.usage(id, filter)) : E.left(refusal)
    },
  }
}
