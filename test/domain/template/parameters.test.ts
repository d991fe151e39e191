import { expect } from 'chai'
import fc from 'fast-check'
import { E } from '../../../domain/fp.ts'
import type { TemplateParameter } from '../../../domain/template/parameter-codec.ts'
import { resolveParameters } from '../../../domain/template/parameters.ts'

const resolved = (parameters: readonly TemplateParameter[], given: { readonly [name: string]: unknown }) => {
  const result = resolveParameters(parameters, given)
  return E.isRight(result) ? result.right : expect.fail(JSON.stringify(result.left))
}
const complaints = (parameters: readonly TemplateParameter[], given: { readonly [name: string]: unknown }) => {
  const result = resolveParameters(parameters, given)
  return E.isLeft(result) ? result.left.errors.map(({ field, message }) => `${field}: ${message}`) : []
}
const complaint = (rules: TemplateParameter, value: unknown): string | undefined =>
  complaints([rules], { [rules.name]: value })[0]?.replace(`parameters.${rules.name}: `, '')

describe('parameters', () => {
  const title: TemplateParameter = { name: 'title', type: 'string', default: 'Home', env: 'TITLE' }
  const count: TemplateParameter = { name: 'count', type: 'integer', env: 'COUNT' }
  const password: TemplateParameter = { name: 'password', type: 'secret', env: 'PASSWORD', required: true }

  it('become values to show and environment variables', () => {
    const flag: TemplateParameter = { name: 'flag', type: 'boolean', env: 'FLAG' }
    const share: TemplateParameter = { name: 'share', type: 'number', env: 'SHARE' }
    const note: TemplateParameter = { name: 'note', type: 'string' }
    expect(
      resolved([title, count, flag, share, note], { title: 'x', count: 7, flag: false, share: 0.5, note: 'n' }),
    ).to.deep.equal({
      values: { title: 'x', count: 7, flag: false, share: 0.5, note: 'n' },
      env: { TITLE: 'x', COUNT: '7', FLAG: 'false', SHARE: '0.5' },
      secretEnv: {},
    })
  })

  it('that are not given have their default, or are not there', () => {
    for (const given of [{}, { title: null, count: null }])
      expect(resolved([title, count], given)).to.deep.equal({
        values: { title: 'Home' },
        env: { TITLE: 'Home' },
        secretEnv: {},
      })
  })

  it('that are secret are shown as null, and their values go where secrets go', () => {
    expect(resolved([password], { password: 'hunter2' })).to.deep.equal({
      values: { password: null },
      env: {},
      secretEnv: { PASSWORD: 'hunter2' },
    })
  })

  it('that are required have to be given', () => {
    expect(complaints([password], {})).to.deep.equal(['parameters.password: is required'])
    expect(complaints([password], { password: null })).to.deep.equal(['parameters.password: is required'])
    expect(complaints([{ ...title, required: true }], {}), 'a default will do').to.deep.equal([])
  })

  it('that the template does not have are refused by name', () => {
    expect(complaints([title, count], { colour: 1 })).to.deep.equal([
      'parameters.colour: is not a parameter of this template; it has: title, count',
    ])
    expect(complaints([], { toString: 1 })[0]).to.match(/parameters\.toString: .* has none/)
    expect(complaints([], JSON.parse('{"__proto__": 1}'))).to.have.length(1)
  })

  it('that are called as something every object has are not there unless they are given', () => {
    const odd: TemplateParameter = { name: 'constructor', type: 'string', required: true }
    expect(complaints([odd], {})).to.deep.equal(['parameters.constructor: is required'])
    expect(resolved([odd], { constructor: 'x' }).values).to.deep.equal({ constructor: 'x' })
  })

  it('are complained of all at once', () => {
    expect(complaints([count, password], { count: 'x', other: 1 })).to.have.length(3)
  })

  it('of each type take what fits and refuse the rest', () => {
    const text = { name: 'x', type: 'string', minLength: 2, maxLength: 3, pattern: '^a' } as const
    for (const value of ['ab', 'a😀', 'a😀😀']) expect(complaint(text, value), value).to.equal(undefined)
    expect(complaint(text, 'a')).to.match(/at least 2/)
    expect(complaint(text, '😀'), 'characters are counted, not their halves').to.match(/at least 2/)
    expect(complaint(text, 'a😀😀😀')).to.match(/at most 3/)
    expect(complaint(text, 'ba')).to.equal('must match ^a')
    for (const value of ['a\u0000', 'a\ud800']) expect(complaint(text, value)).to.match(/NUL/)
    for (const value of [7, true, [], {}]) expect(complaint(text, value)).to.equal('must be a string')
    expect(complaint({ name: 'x', type: 'secret' }, 'x'.repeat(32_769))).to.match(/at most 32768/)
    expect(complaint({ name: 'x', type: 'secret', pattern: '^s' }, 'x')).to.match(/must match/)

    const whole = { name: 'x', type: 'integer', minimum: -1, maximum: 5 } as const
    for (const value of [-1, 0, 5]) expect(complaint(whole, value)).to.equal(undefined)
    for (const value of [1.5, '1', Number.NaN, 2 ** 53]) expect(complaint(whole, value)).to.match(/whole number/)
    expect(complaint(whole, -2)).to.match(/at least -1/)
    expect(complaint(whole, 6)).to.match(/at most 5/)

    const real = { name: 'x', type: 'number', minimum: 0.5 } as const
    expect(complaint(real, 0.75)).to.equal(undefined)
    expect(complaint(real, 0.25)).to.match(/at least 0.5/)
    for (const value of ['1', Number.POSITIVE_INFINITY]) expect(complaint(real, value)).to.match(/must be a number/)

    for (const value of ['true', 0, 1])
      expect(complaint({ name: 'x', type: 'boolean' }, value)).to.match(/true or false/)
    const choice = { name: 'x', type: 'enum', options: ['a', 'b'] } as const
    expect(complaint(choice, 'b')).to.equal(undefined)
    for (const value of ['c', ['a'], 0]) expect(complaint(choice, value)).to.equal('must be one of: a, b')
  })

  it('never make anything but strings of the environment, and never throw', () => {
    fc.assert(
      fc.property(
        fc.jsonValue({ maxDepth: 2 }),
        fc.jsonValue({ maxDepth: 2 }),
        fc.jsonValue({ maxDepth: 2 }),
        (a, b, c) => {
          const result = resolveParameters([title, count, password], { title: a, count: b, password: c } as never)
          if (E.isLeft(result)) return
          for (const value of [...Object.values(result.right.env), ...Object.values(result.right.secretEnv)])
            expect(value).to.be.a('string')
          expect(result.right.values.password).to.equal(null)
        },
      ),
      { numRuns: 100 },
    )
  })
})
