/** fast-check arbitraries from the JSON Schemas that our codecs carry: values that decode, or nearly always do. */
import fc from 'fast-check'
import type { JsonSchema } from '../../../domain/codec/codec.ts'

const MOST_ITEMS = 4

const text = (schema: JsonSchema): fc.Arbitrary<string> => {
  if (schema.format === 'uuid') return fc.uuid()
  if (schema.format === 'date-time')
    return fc
      .date({ min: new Date('2020-01-01'), max: new Date('2040-01-01'), noInvalidDate: true })
      .map((at) => at.toISOString())
  const minLength = Number(schema.minLength ?? 0)
  const maxLength = Math.min(Number(schema.maxLength ?? 40), 40)
  if (typeof schema.pattern === 'string') return fc.stringMatching(new RegExp(schema.pattern, 'u'), { size: '-1' })
  return fc.string({ minLength, maxLength: Math.max(minLength, maxLength), unit: 'grapheme' })
}

const number = (schema: JsonSchema): fc.Arbitrary<number> =>
  fc.integer({ min: Number(schema.minimum ?? 0), max: Math.min(Number(schema.maximum ?? 1_000), 2_147_483_647) })

const keys = (schema: JsonSchema): fc.Arbitrary<string> => {
  const pattern = (schema.propertyNames as JsonSchema | undefined)?.pattern
  return typeof pattern === 'string' ? text({ pattern }) : fc.string({ minLength: 1, maxLength: 20 })
}

const object = (schema: JsonSchema): fc.Arbitrary<unknown> => {
  const properties = Object.entries((schema.properties ?? {}) as { readonly [name: string]: JsonSchema })
  if (properties.length === 0)
    return typeof schema.additionalProperties === 'object'
      ? fc.dictionary(keys(schema), anyOfSchema(schema.additionalProperties as JsonSchema), { maxKeys: MOST_ITEMS })
      : fc.constant({})
  return fc.record(Object.fromEntries(properties.map(([name, inner]) => [name, anyOfSchema(inner)])), {
    requiredKeys: [...((schema.required ?? []) as readonly string[])],
  })
}

const alternativesOf = (schema: JsonSchema): readonly JsonSchema[] | undefined =>
  (schema.anyOf ?? schema.oneOf) as readonly JsonSchema[] | undefined

const byType = (type: unknown, schema: JsonSchema): fc.Arbitrary<unknown> => {
  switch (type) {
    case 'string':
      return text(schema)
    case 'integer':
    case 'number':
      return number(schema)
    case 'boolean':
      return fc.boolean()
    case 'null':
      return fc.constant(null)
    case 'array':
      return fc.array(anyOfSchema((schema.items ?? {}) as JsonSchema), {
        minLength: Number(schema.minItems ?? 0),
        maxLength: Math.max(MOST_ITEMS, Number(schema.minItems ?? 0)),
      })
    case 'object':
      return object(schema)
    default:
      return fc.jsonValue({ maxDepth: 2 })
  }
}

export const anyOfSchema = (schema: JsonSchema): fc.Arbitrary<unknown> => {
  if (Array.isArray(schema.enum)) return fc.constantFrom(...(schema.enum as readonly unknown[]))
  const alternatives = alternativesOf(schema)
  if (alternatives !== undefined) return fc.oneof(...alternatives.map(anyOfSchema))
  const types = [schema.type].flat()
  return types.length === 1 ? byType(types[0], schema) : fc.oneof(...types.map((type) => byType(type, schema)))
}

/** A query string as a client writes it: lists with commas, pairs one by one. */
export const queryOf = (schema: JsonSchema): fc.Arbitrary<string> =>
  fc
    .record(
      Object.fromEntries(
        Object.entries((schema.properties ?? {}) as { readonly [name: string]: JsonSchema }).map(([name, inner]) => [
          name,
          anyOfSchema(inner),
        ]),
      ),
      { requiredKeys: [] },
    )
    .map((values) => {
      const search = new URLSearchParams()
      // A made-up cursor is a 400: what edited ones do is another matter.
      for (const [name, value] of Object.entries(values))
        if (name !== 'cursor' && value !== undefined)
          search.append(name, Array.isArray(value) ? value.join(',') : String(value))
      const written = search.toString()
      return written === '' ? '' : `?${written}`
    })
