import { expect } from 'chai'
import fc from 'fast-check'
import * as c from '../../../domain/codec/codec.ts'
import { decode } from '../../../domain/codec/field-errors.ts'
import { E } from '../../../domain/fp.ts'
import { anyCharacter } from '../../support/any-text.ts'

const errors = (codec: c.AnyCodec, input: unknown, prefix?: string): readonly string[] => {
  const decoded = decode(codec, input, prefix)
  return E.isLeft(decoded) ? decoded.left.map(({ field, message }) => `${field}: ${message}`) : []
}
const accepts = (codec: c.AnyCodec, input: unknown): boolean => E.isRight(decode(codec, input))

describe('a codec of text', () => {
  it('counts characters, not their halves', () => {
    const text = c.string({ minLength: 2, maxLength: 3 })
    for (const value of ['ab', '😀😀', '😀😀😀']) expect(accepts(text, value), value).to.equal(true)
    for (const value of ['a', '😀', 'abcd', '😀😀😀😀']) expect(accepts(text, value), value).to.equal(false)
    expect(errors(c.string({ minLength: 1 }), '')).to.deep.equal([': must not be empty'])
  })

  it('refuses what PostgreSQL cannot hold', () => {
    for (const value of ['a\u0000', '\ud800', 'x\udc00y']) expect(errors(c.string(), value)[0]).to.match(/NUL/)
    expect(accepts(c.string(), 'fine\u0001😀')).to.equal(true)
  })

  it('matches its pattern as a whole word of Unicode', () => {
    const one = c.string({ pattern: '^.$' })
    expect(accepts(one, '😀')).to.equal(true)
    expect(errors(one, 'ab')).to.deep.equal([': must match ^.$'])
  })

  it('takes nothing but text', () => {
    for (const value of [1, true, null, [], {}]) expect(errors(c.string(), value)).to.deep.equal([': must be a string'])
  })
})

describe('a codec of numbers', () => {
  it('keeps within its bounds', () => {
    const whole = c.integer({ minimum: 1, maximum: 3 })
    for (const value of [1, 3]) expect(accepts(whole, value)).to.equal(true)
    expect([0, 4, 1.5, 2 ** 53, '1', Number.NaN].map((value) => errors(whole, value)[0])).to.deep.equal([
      ': must be at least 1',
      ': must be at most 3',
      ': must be a whole number',
      ': must be a whole number',
      ': must be a number',
      ': must be a number',
    ])
    expect(accepts(c.number({ minimum: 0 }), 0.5)).to.equal(true)
    expect(accepts(c.number(), Number.POSITIVE_INFINITY)).to.equal(false)
  })
})

describe('a codec of choices', () => {
  it('names what can be chosen', () => {
    expect(errors(c.oneOf(['a', 'b']), 'c')).to.deep.equal([': must be one of: a, b'])
    expect(accepts(c.oneOf([1, 2]), 2)).to.equal(true)
    expect(accepts(c.oneOf(['a']), ['a'])).to.equal(false)
    expect(errors(c.boolean, 'true')).to.deep.equal([': must be true or false'])
  })

  it('may allow null, and says so in its schema', () => {
    expect(accepts(c.nullable(c.string()), null)).to.equal(true)
    expect(c.nullable(c.string()).schema).to.deep.equal({ type: ['string', 'null'] })
    expect(c.nullable(c.oneOf(['a'])).schema).to.deep.equal({ anyOf: [{ enum: ['a'] }, { type: 'null' }] })
  })
})

describe('a codec of objects', () => {
  const port = c.object({ port: c.integer() }, { name: c.string() })
  const spec = c.object({ spec: c.object({ ports: c.array(port) }, { env: c.record(c.string()) }) })

  it('names each field that fails by its path, as a person writes it', () => {
    expect(
      errors(spec, { spec: { ports: [{ port: 1 }, { port: 'x', name: 7 }], env: { A: 1 } }, other: 1 }),
    ).to.have.members([
      'spec.ports[1].port: must be a number',
      'spec.ports[1].name: must be a string',
      'spec.env.A: must be a string',
      'other: is not a known field',
    ])
    expect(errors(port, {}, 'query')).to.deep.equal(['query.port: is required'])
    expect(errors(port, [], 'query')).to.deep.equal(['query: must be an object'])
  })

  it('refuses unknown fields by name, or drops them where the other side may be newer', () => {
    expect(errors(port, { port: 1, extra: 1 })).to.deep.equal(['extra: is not a known field'])
    expect(decode(c.openObject({ port: c.integer() }), { port: 1, extra: 1 })).to.deep.equal(E.right({ port: 1 }))
  })

  it('is not fooled by what every object has', () => {
    const odd = c.object({}, { constructor: c.string(), toString: c.string() })
    expect(decode(odd, {})).to.deep.equal(E.right({}))
    expect(errors(c.object({ valueOf: c.string() }), {})).to.deep.equal(['valueOf: is required'])
  })

  it('neither takes nor assigns __proto__', () => {
    const poisoned = JSON.parse('{"port": 1, "__proto__": {"name": "x"}}')
    expect(errors(port, poisoned)).to.deep.equal(['__proto__: is not a known field'])
    const open = decode(c.openObject({ port: c.integer() }, { name: c.string() }), poisoned)
    expect(open).to.deep.equal(E.right({ port: 1 }))
    expect(errors(c.record(c.integer()), JSON.parse('{"__proto__": 1}'))[0]).to.match(/^__proto__: the name must match/)
    expect(({} as { name?: unknown }).name).to.equal(undefined)
  })

  it('what is undefined is not there', () => {
    expect(decode(port, { port: 1, name: undefined })).to.deep.equal(E.right({ port: 1 }))
  })
})

describe('a codec of maps and arrays', () => {
  it('bounds how many, and looks at every name', () => {
    const map = c.record(c.integer(), { keyPattern: '^[a-z]+$', keyMessage: 'small letters', maxProperties: 2 })
    expect(accepts(map, { a: 1, b: 2 })).to.equal(true)
    expect(errors(map, { a: 1, b: 2, c: 3 })).to.deep.equal([': must have at most 2 entries'])
    expect(errors(map, { A: 1, b: 'x' })).to.deep.equal(['A: small letters', 'b: must be a number'])
    for (const key of ['a\u0000', '\ud800']) expect(errors(c.record(c.integer()), { [key]: 1 })).to.have.length(1)
    const list = c.array(c.integer(), { minItems: 1, maxItems: 2 })
    expect(errors(list, [])).to.deep.equal([': must have at least 1 items'])
    expect(errors(list, [1, 2, 3])).to.deep.equal([': must have at most 2 items'])
    expect(errors(list, { 0: 1 })).to.deep.equal([': must be an array'])
  })
})

describe('a codec of any object', () => {
  it('keeps it as it is', () => {
    const value = { a: [1, { b: null }], constructor: {} }
    expect(decode(c.anyObject, value)).to.deep.equal(E.right(value))
    for (const other of [[], null, 'x', 1]) expect(accepts(c.anyObject, other)).to.equal(false)
  })

  it('refuses, however deep, text that cannot be stored', () => {
    for (const value of [{ a: 'x\u0000' }, { a: [['\udfff']] }, { a: { 'b\u0000': 1 } }, { '\ud800': 1 }])
      expect(errors(c.anyObject, value)[0]).to.match(/NUL characters or lone surrogates/)
  })

  it('refuses nesting that would break whoever looks into it', () => {
    const nested = (levels: number) => JSON.parse(`${'{"a":'.repeat(levels)}1${'}'.repeat(levels)}`)
    expect(accepts(c.anyObject, nested(64))).to.equal(true)
    expect(errors(c.anyObject, nested(65))).to.deep.equal([': must not be nested deeper than 64 levels'])
    expect(accepts(c.anyObject, nested(50_000))).to.equal(false)
  })
})

describe('a refined or described codec', () => {
  it('complains at the value itself, after what is inside it', () => {
    const even = c.refined(c.integer(), (value) => (value % 2 === 0 ? null : 'must be even'), { multipleOf: 2 })
    const both = c.object({ n: even })
    expect(errors(both, { n: 3 })).to.deep.equal(['n: must be even'])
    expect(errors(both, { n: 'x' })).to.deep.equal(['n: must be a number'])
    expect(even.schema).to.deep.equal({ type: 'integer', multipleOf: 2 })
  })

  it('has what is said of it in its schema, and decodes as before', () => {
    const named = c.described(c.string({ maxLength: 2 }), 'a name')
    expect(named.schema).to.deep.equal({ type: 'string', maxLength: 2, description: 'a name' })
    expect(accepts(named, 'abc')).to.equal(false)
    expect(named.is('ab')).to.equal(true)
  })
})

describe('what a codec accepts', () => {
  type Case = { readonly codec: c.AnyCodec; readonly values: fc.Arbitrary<unknown> }
  const text = fc.string({ unit: anyCharacter }).map((value) => value.toWellFormed().replaceAll('\u0000', ''))
  const leaves: readonly Case[] = [
    { codec: c.string(), values: text },
    { codec: c.integer(), values: fc.maxSafeInteger() },
    { codec: c.number(), values: fc.double({ noNaN: true, noDefaultInfinity: true }).map((n) => (n === 0 ? 0 : n)) },
    { codec: c.boolean, values: fc.boolean() },
    { codec: c.oneOf(['a', 'b']), values: fc.constantFrom('a', 'b') },
  ]
  const shapes: fc.Arbitrary<Case> = fc.letrec<{ shape: Case }>((tie) => ({
    shape: fc.oneof(
      { maxDepth: 3, withCrossShrink: true },
      fc.constantFrom(...leaves),
      tie('shape').map(({ codec, values }) => ({ codec: c.nullable(codec), values: fc.option(values) })),
      tie('shape').map(({ codec, values }) => ({ codec: c.array(codec), values: fc.array(values, { maxLength: 3 }) })),
      tie('shape').map(({ codec, values }) => ({
        codec: c.record(codec),
        values: fc.dictionary(
          fc.string({ maxLength: 3 }).filter((key) => key !== '__proto__'),
          values,
          {
            maxKeys: 3,
            noNullPrototype: true,
          },
        ),
      })),
      fc.tuple(tie('shape'), tie('shape')).map(([a, b]) => ({
        codec: c.object({ a: a.codec }, { b: b.codec }),
        values: fc.record({ a: a.values, b: b.values }, { requiredKeys: ['a'], noNullPrototype: true }),
      })),
    ),
  })).shape

  it('is the same again after a journey as JSON', () => {
    fc.assert(
      fc.property(
        shapes.chain(({ codec, values }) => values.map((value) => ({ codec, value }))),
        ({ codec, value }) => {
          expect(decode(codec, JSON.parse(JSON.stringify(value)))).to.deep.equal(E.right(value))
        },
      ),
      { numRuns: 150 },
    )
  })

  it('is decided without an exception, whatever is given', () => {
    fc.assert(
      fc.property(shapes, fc.anything(), ({ codec }, value) => {
        const decoded = decode(codec, value)
        if (E.isLeft(decoded)) for (const { message } of decoded.left) expect(message).to.match(/^(must|is|the name) /)
      }),
      { numRuns: 150 },
    )
  })
})
