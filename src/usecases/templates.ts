import { forbidden, notFound } from '../../domain/errors.ts'
import { E } from '../../domain/fp.ts'
import { type Caller, may } from '../../domain/identity/caller.ts'
import type { OrgId } from '../../domain/ids.ts'
import type { AccessStore } from '../../domain/ports/access.ts'
import { isMatch, mismatch } from '../../domain/ports/if-match.ts'
import type { TemplateStore } from '../../domain/ports/templates.ts'
import { type PatternMatch, plainMatch } from '../../domain/template/parameter-codec.ts'
import { misfitDefaults } from '../../domain/template/parameters.ts'
import type { Application } from './application.ts'

export const templateUseCases = (
  store: TemplateStore,
  access: Pick<AccessStore, 'orgExists'>,
  matches: PatternMatch = plainMatch,
): Application['templates'] => ({
  list: (caller, filter, page) => async () => E.right(await store.list(caller.orgId, filter, page)),

  get: (caller, name) => async () => {
    const template = await store.find(caller.orgId, name, null)
    return template === null ? E.left(notFound('template', name)) : E.right(template)
  },

  versions: (caller, name, page) => async () => {
    const versions = await store.versions(caller.orgId, name, page)
    return versions === null ? E.left(notFound('template', name)) : E.right(versions)
  },

  put: (caller, document, orgId, ifMatch) => async () => {
    if (!may(caller, 'operate')) return E.left(forbidden('operate'))
    const owner = orgId === undefined ? caller.orgId : orgId
    if (!mayOwn(caller, owner)) return E.left(forbidden('administer_installation'))
    if (owner !== null && owner !== caller.orgId && !(await access.orgExists(owner)))
      return E.left(notFound('org', owner))
    const errors = misfitDefaults(document.parameters ?? [], matches)
    if (errors.length > 0) return E.left({ _tag: 'InvalidParameters', errors })
    const put = await store.put(owner, document, ifMatch)
    if (put !== null) return E.right(put)
    return E.left(mismatch((await store.newest(owner, document.name))?.version ?? 0))
  },

  archive: (caller, name, ifMatch) => async () => {
    const template = await store.find(caller.orgId, name, null)
    if (template === null) return E.left(notFound('template', name))
    if (!may(caller, 'operate')) return E.left(forbidden('operate'))
    if (!mayOwn(caller, template.orgId)) return E.left(forbidden('administer_installation'))
    if (!isMatch(ifMatch, template.version)) return E.left(mismatch(template.version))
    if (await store.archive(template.orgId, name, ifMatch)) return E.right(undefined)
    const now = await store.find(caller.orgId, name, null)
    return E.left(now === null ? notFound('template', name) : mismatch(now.version))
  },
})

/** An org's own things are its operators'; shared ones and those of other orgs are the installation's. */
export const mayOwn = (caller: Caller, orgId: OrgId | null): boolean =>
  orgId === caller.orgId || may(caller, 'administer_installation')
