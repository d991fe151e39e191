import { expect } from 'chai'
import fc from 'fast-check'
import { canonicalJson, DEFAULT_RESOURCES, resourcesFor } from '../../../domain/template/template.ts'
import { aDocument, aTemplate } from '../../support/a-template.ts'

/** The same value with the keys of every object in the opposite order. */
const reversed = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(reversed)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([key, inner]) => [key, reversed(inner)]),
  )
}

describe('canonical JSON', () => {
  it('is one spelling for equal contents, whatever the order of keys', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 3 }), (value) => {
        expect(canonicalJson(reversed(value))).to.equal(canonicalJson(value))
        expect(JSON.parse(canonicalJson(value))).to.deep.equal(JSON.parse(JSON.stringify(value)))
      }),
      { numRuns: 100 },
    )
  })

  it('is another for other contents: the order of an array counts, and what is undefined is not there', () => {
    expect(canonicalJson([1, 2])).not.to.equal(canonicalJson([2, 1]))
    expect(canonicalJson({ b: 1, a: undefined })).to.equal('{"b":1}')
  })
})

describe('the resources of a session', () => {
  it('are what it asks, then what its template says, then the default', () => {
    const template = aTemplate({ document: aDocument({ resources: { memoryMib: 64 } }) })
    expect(resourcesFor(template, {})).to.deep.equal({ ...DEFAULT_RESOURCES, memoryMib: 64 })
    expect(resourcesFor(template, { cpuMillis: 1, memoryMib: 2 })).to.deep.equal({ cpuMillis: 1, memoryMib: 2 })
    expect(resourcesFor(aTemplate(), {})).to.deep.equal(DEFAULT_RESOURCES)
  })
})
