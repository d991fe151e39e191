import { expect } from 'chai'
import { decode } from '../../../domain/codec/field-errors.ts'
import { E } from '../../../domain/fp.ts'
import { changeSessionCodec, createSessionCodec, sessionCodec } from '../../../src/api/session.ts'
import { putTemplateCodec, templateCodec, templateRepresentation } from '../../../src/api/template.ts'
import { aSessionView, aTemplate } from '../../adapters/http/fake-application.ts'

const onTheWire = (value: unknown): unknown => JSON.parse(JSON.stringify(value))
const failing = (result: E.Either<readonly { readonly field: string }[], unknown>) =>
  E.isLeft(result) ? result.left.map(({ field }) => field) : []

describe('representations', () => {
  it('what the server writes of a session is what the client reads', () => {
    const wire = onTheWire(aSessionView())
    expect(decode(sessionCodec, wire)).to.deep.equal(E.right(wire))
  })

  it('a client reads the answers of a newer server', () => {
    const wire = { ...(onTheWire(aSessionView()) as object), statusReason: 'brand_new_reason', newField: 1 }
    const decoded = decode(sessionCodec, wire)
    expect(E.isRight(decoded) && decoded.right.statusReason).to.equal('brand_new_reason')
    const template = onTheWire({
      ...templateRepresentation(aTemplate),
      newField: 1,
      spec: { process: { newField: 1 } },
    })
    expect(failing(decode(templateCodec, template))).to.deep.equal([])
  })

  it('a name has 1 to 80 characters, however many bytes, and no control characters', () => {
    const named = (name: unknown) => failing(decode(createSessionCodec, { template: 't', name }))
    for (const name of ['x', '😀'.repeat(80), 'ü'.repeat(80), ' ']) expect(named(name), name).to.deep.equal([])
    for (const name of ['', 'x'.repeat(81), '😀'.repeat(81), 'a\tb', 'a\u0000', 'a\u0085b', '\ud800', 7, null])
      expect(named(name), String(name)).to.deep.equal(['name'])
  })

  it('labels are bounded in number, name and value', () => {
    const labelled = (labels: unknown) => failing(decode(changeSessionCodec, { labels }))
    const many = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`l${i}`, 'x']))
    expect(labelled({ 'app.example.com/team': 'web', ['k'.repeat(63)]: 'v'.repeat(256) })).to.deep.equal([])
    expect(labelled(many(64))).to.deep.equal([])
    expect(labelled(many(65))).to.deep.equal(['labels'])
    expect(labelled({ 'a=b': 'x', 'a,b': 'x', 'a b': 'x', '': 'x', ok: 'v'.repeat(257) })).to.have.length(5)
    expect(labelled(JSON.parse('{"__proto__": "x"}'))).to.deep.equal(['labels.__proto__'])
    expect(labelled({ a: 1 })).to.deep.equal(['labels.a'])
  })

  it('timeouts are whole seconds that fit the database, or null for none', () => {
    const timed = (idleTimeoutSeconds: unknown) => failing(decode(changeSessionCodec, { idleTimeoutSeconds }))
    for (const value of [1, 2_147_483_647, null]) expect(timed(value)).to.deep.equal([])
    for (const value of [0, -1, 1.5, 2_147_483_648, '60']) expect(timed(value)).to.deep.equal(['idleTimeoutSeconds'])
  })

  it('a template is decoded with whose it is to be', () => {
    expect(decode(putTemplateCodec, { ...aTemplate.document, orgId: null })).to.deep.equal(
      E.right({ document: aTemplate.document, orgId: null }),
    )
    expect(decode(putTemplateCodec, aTemplate.document)).to.deep.equal(
      E.right({ document: aTemplate.document, orgId: undefined }),
    )
    expect(failing(decode(putTemplateCodec, 'x'))).to.deep.equal([''])
    expect(failing(decode(putTemplateCodec, { orgId: 1 })))
      .to.include('orgId')
      .and.include('spec')
  })
})
