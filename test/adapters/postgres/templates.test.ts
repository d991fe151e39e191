import { expect } from 'chai'
import type { OrgId } from '../../../domain/ids.ts'
import { BadCursorError } from '../../../domain/ports/sessions.ts'
import type { TemplateDocument } from '../../../domain/template/template-codec.ts'
import { ACME, GLOBEX, openStores, type Stores } from '../../support/rows.ts'

const aDocument = (name: string, overrides: object = {}): TemplateDocument =>
  ({
    name,
    displayName: `The ${name}`,
    spec: { process: { command: ['node', 'server.js'] } },
    ...overrides,
  }) as TemplateDocument

describe('templates', () => {
  let stores: Stores
  beforeEach(async () => {
    stores = await openStores()
  })
  afterEach(() => stores.close())

  const put = async (document: TemplateDocument, orgId: OrgId | null = ACME, guard?: readonly number[]) => {
    const done = await stores.templates.put(orgId, document, guard)
    if (done === null) throw new Error('another version')
    return done
  }
  const firstPage = { limit: 50, cursor: null }
  const namesOf = async (filter = {}, orgId = ACME) =>
    (await stores.templates.list(orgId, filter, firstPage)).items.map(({ document }) => document.name)

  it('get a version with each new content, and none with the same', async () => {
    const first = await put(aDocument('web', { description: 'one' }))
    expect([first.template.version, first.created]).to.deep.equal([1, true])
    // The same content, its fields in another order.
    const again = await put(
      Object.fromEntries(Object.entries(aDocument('web', { description: 'one' })).reverse()) as never,
    )
    expect(again).to.deep.equal({ template: first.template, created: false })
    const second = await put(aDocument('web', { description: 'two' }))
    expect([second.template.version, second.created]).to.deep.equal([2, true])
    const back = await put(aDocument('web', { description: 'one' }))
    expect([back.template.version, back.created]).to.deep.equal([3, true])
  })

  it('read back as they were put', async () => {
    const document = aDocument('web', { tags: ['a', 'b'], parameters: [{ name: 'size', type: 'integer' }] })
    const { template } = await put(document)
    expect(template).to.deep.include({ orgId: ACME, version: 1, platforms: ['process'], document, archivedAt: null })
    expect(await stores.templates.find(ACME, 'web', null)).to.deep.equal(template)
  })

  it('are numbered without a gap or a repeat when many are put at once', async () => {
    const answers = await Promise.all(
      Array.from({ length: 10 }, (_, n) => put(aDocument('busy', { description: `${n}` }))),
    )
    const versions = answers.map(({ template }) => template.version).toSorted((a, b) => a - b)
    expect(versions).to.deep.equal(Array.from({ length: 10 }, (_, index) => index + 1))
  })

  it('of the same content put by many at once are one version', async () => {
    const answers = await Promise.all(Array.from({ length: 10 }, () => put(aDocument('same'))))
    expect(answers.filter(({ created }) => created)).to.have.length(1)
    expect(new Set(answers.map(({ template }) => template.id)).size).to.equal(1)
  })

  it('of an org come before public ones of the same name', async () => {
    await put(aDocument('web', { description: 'public' }), null)
    await put(aDocument('web', { description: 'public, newer' }), null)
    const found = async (orgId: OrgId, version: number | null = null) =>
      (await stores.templates.find(orgId, 'web', version))?.document.description
    expect(await found(ACME)).to.equal('public, newer')
    await put(aDocument('web', { description: 'own' }))
    expect(await found(ACME)).to.equal('own')
    expect(await found(ACME, 1)).to.equal('own')
    expect(await found(GLOBEX)).to.equal('public, newer')
    expect(await found(GLOBEX, 1)).to.equal('public')
    expect(await found(GLOBEX, 7)).to.equal(undefined)
    expect((await stores.templates.list(ACME, {}, firstPage)).items.map(({ orgId }) => orgId)).to.deep.equal([ACME])
    await stores.templates.archive(ACME, 'web')
    expect(await found(ACME)).to.equal('public, newer')
  })

  it('that are archived are found by their version only, and come back with the next put', async () => {
    await put(aDocument('web'))
    expect(await stores.templates.isArchived(ACME, 'web')).to.equal(false)
    expect(await stores.templates.archive(ACME, 'web')).to.equal(true)
    expect(await stores.templates.archive(ACME, 'web')).to.equal(false)
    expect(await stores.templates.isArchived(ACME, 'web')).to.equal(true)
    expect(await stores.templates.isArchived(ACME, 'unknown')).to.equal(false)
    expect(await stores.templates.find(ACME, 'web', null)).to.equal(null)
    expect((await stores.templates.find(ACME, 'web', 1))?.archivedAt).to.be.an.instanceOf(Date)
    expect(await namesOf()).to.deep.equal([])

    const back = await put(aDocument('web'))
    expect([back.template.version, back.created]).to.deep.equal([2, true])
    expect(await stores.templates.isArchived(ACME, 'web')).to.equal(false)
    expect((await stores.templates.find(ACME, 'web', null))?.version).to.equal(2)
    expect((await stores.templates.find(ACME, 'web', 1))?.archivedAt).to.be.an.instanceOf(Date)
  })

  it('are listed once each, at their newest version, page by page and by filter', async () => {
    await put(aDocument('c', { category: 'tools', tags: ['x', 'y'] }))
    await put(aDocument('a', { displayName: 'Anything', tags: ['y'] }))
    await put(aDocument('b', { spec: { container: { image: 'i' } } }), null)
    await put(aDocument('a', { displayName: 'Something', tags: ['y'] }))
    await put(aDocument('theirs'), GLOBEX)
    expect(await namesOf()).to.deep.equal(['a', 'b', 'c'])
    expect(await namesOf({ category: ['tools'] })).to.deep.equal(['c'])
    expect(await namesOf({ tag: ['x'] })).to.deep.equal(['c'])
    expect(await namesOf({ tag: ['x', 'y'] })).to.deep.equal(['a', 'c'])
    expect(await namesOf({ platform: ['process'] })).to.deep.equal(['a', 'c'])
    expect(await namesOf({ q: 'SOMEthing' })).to.deep.equal(['a'])
    expect(await namesOf({ q: 'anything' })).to.deep.equal([])
    expect(await namesOf({ q: '%' })).to.deep.equal([])
    const first = await stores.templates.list(ACME, {}, { limit: 2, cursor: null })
    const second = await stores.templates.list(ACME, {}, { limit: 2, cursor: first.nextCursor })
    expect([first.items.length, second.items.length, second.nextCursor]).to.deep.equal([2, 1, null])
    const error = await stores.templates
      .versions(ACME, 'a', { limit: 2, cursor: first.nextCursor })
      .catch((e: unknown) => e)
    expect(error).to.be.an.instanceOf(BadCursorError)
  })

  it('show their versions, newest first, archived ones too', async () => {
    for (const description of ['one', 'two', 'three']) await put(aDocument('web', { description }))
    await stores.templates.archive(ACME, 'web')
    const first = await stores.templates.versions(ACME, 'web', { limit: 2, cursor: null })
    const second = await stores.templates.versions(ACME, 'web', { limit: 2, cursor: first!.nextCursor })
    expect([...first!.items, ...second!.items].map(({ version }) => version)).to.deep.equal([3, 2, 1])
    expect(second!.nextCursor).to.equal(null)
    expect(await stores.templates.versions(GLOBEX, 'web', firstPage)).to.equal(null)
  })
})
