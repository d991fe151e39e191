/** Orgs, for the installation: an org's own callers see none but theirs, and have no need to. */
import { forbidden, notFound } from '../../domain/errors.ts'
import { E } from '../../domain/fp.ts'
import { type Caller, may } from '../../domain/identity/caller.ts'
import { isMatch, mismatch } from '../../domain/ports/if-match.ts'
import { ORG_REVISION, type OrgStore } from '../../domain/ports/orgs.ts'
import type { Application } from './application.ts'

const refused = E.left(forbidden('administer_installation'))
const isInstallation = (caller: Caller): boolean => may(caller, 'administer_installation')

/** `ended`: the keys of one are good no more. */
export const orgUseCases = (orgs: OrgStore, ended: () => void = () => {}): Application['orgs'] => ({
  list: (caller, page) => async () => (isInstallation(caller) ? E.right(await orgs.list(page)) : refused),

  create: (caller, request) => async () => {
    if (!isInstallation(caller)) return refused
    const org = await orgs.add({ id: request.id, name: request.name ?? request.id })
    return org === null ? E.left({ _tag: 'OrgExists', orgId: request.id }) : E.right(org)
  },

  get: (caller, id) => async () => {
    const org = isInstallation(caller) || id === caller.orgId ? await orgs.get(id) : null
    if (org === null) return E.left(notFound('org', id))
    return may(caller, 'administer') ? E.right(org) : E.left(forbidden('administer'))
  },

  remove: (caller, id, ifMatch) => async () => {
    if (!isInstallation(caller)) return refused
    if (!isMatch(ifMatch, ORG_REVISION) && (await orgs.get(id)) !== null) return E.left(mismatch(ORG_REVISION))
    const held = await orgs.remove(id)
    if (held === null) return E.left(notFound('org', id))
    if (held.sessions + held.agents > 0) return E.left({ _tag: 'OrgInUse', orgId: id, ...held })
    ended()
    return E.right(undefined)
  },
})
