import { expect } from 'chai'
import type { Role } from '../../domain/identity/caller.ts'
import type { OrgId } from '../../domain/ids.ts'
import type { TemplateStore } from '../../domain/ports/templates.ts'
import type { Template } from '../../domain/template/template.ts'
import { templateUseCases } from '../../src/usecases/templates.ts'
import { aCaller } from '../support/a-caller.ts'
import { aDocument, aTemplate } from '../support/a-template.ts'
import { leftOf, rightOf, templatesOf } from '../support/fake-ports.ts'

const using = (...templates: readonly Template[]) => {
  const changes: unknown[] = []
  const store: TemplateStore = {
    ...templatesOf(...templates),
    list: async () => ({ items: templates, nextCursor: null }),
    versions: async (_orgId, name) =>
      templates.some((one) => one.document.name === name) ? { items: templates, nextCursor: null } : null,
    put: async (orgId, document) => {
      changes.push(['put', orgId, document.name])
      return { template: aTemplate({ document, orgId }), created: true }
    },
    archive: async (orgId, name) => {
      changes.push(['archive', orgId, name])
      return true
    },
  }
  return { templates: templateUseCases(store, { orgExists: async (orgId) => orgId !== 'nowhere' }), changes }
}
const as = (role: Role) => aCaller({ role })
const page = { limit: 50, cursor: null }

describe('templates', () => {
  it('are read by everybody of the org', async () => {
    const { templates } = using(aTemplate())
    for (const role of ['viewer', 'user', 'operator', 'admin', 'installation'] as const) {
      expect(rightOf(await templates.list(as(role), {}, page)()).items).to.have.length(1)
      expect(rightOf(await templates.get(as(role), 'hello-web')()).document.name).to.equal('hello-web')
      expect(rightOf(await templates.versions(as(role), 'hello-web', page)()).items).to.have.length(1)
    }
  })

  it('that there are not are not found', async () => {
    const { templates } = using()
    const missing = { _tag: 'NotFound', what: 'template', id: 'nope' }
    expect(leftOf(await templates.get(as('viewer'), 'nope')())).to.deep.equal(missing)
    expect(leftOf(await templates.versions(as('viewer'), 'nope', page)())).to.deep.equal(missing)
    expect(leftOf(await templates.archive(as('viewer'), 'nope', null)())).to.deep.equal(missing)
  })

  it('are changed by operators of the org', async () => {
    for (const role of ['viewer', 'user'] as const) {
      const { templates, changes } = using(aTemplate())
      const forbidden = { _tag: 'Forbidden', permission: 'operate' }
      expect(leftOf(await templates.put(as(role), aDocument(), undefined, null)())).to.deep.equal(forbidden)
      expect(leftOf(await templates.archive(as(role), 'hello-web', null)())).to.deep.equal(forbidden)
      expect(changes).to.deep.equal([])
    }
    for (const role of ['operator', 'admin'] as const) {
      const { templates, changes } = using(aTemplate())
      expect(rightOf(await templates.put(as(role), aDocument(), undefined, null)()).created).to.equal(true)
      rightOf(await templates.archive(as(role), 'hello-web', null)())
      expect(changes).to.deep.equal([
        ['put', 'acme', 'hello-web'],
        ['archive', 'acme', 'hello-web'],
      ])
    }
  })

  it('that are public, or of another org, are the installation’s to change', async () => {
    const isPublic = aTemplate({ orgId: null })
    for (const orgId of [null, 'other' as OrgId]) {
      const { templates } = using(isPublic)
      expect(leftOf(await templates.put(as('admin'), aDocument(), orgId, null)())).to.deep.equal({
        _tag: 'Forbidden',
        permission: 'administer_installation',
      })
      rightOf(await templates.put(as('installation'), aDocument(), orgId, null)())
    }
    const { templates, changes } = using(isPublic)
    expect(leftOf(await templates.put(as('installation'), aDocument(), 'nowhere' as OrgId, null)())).to.deep.equal({
      _tag: 'NotFound',
      what: 'org',
      id: 'nowhere',
    })
    expect(leftOf(await templates.archive(as('admin'), 'hello-web', null)())._tag).to.equal('Forbidden')
    rightOf(await templates.archive(as('installation'), 'hello-web', null)())
    expect(changes).to.deep.equal([['archive', null, 'hello-web']])
  })
})
