/**
 * io-ts codecs that carry their JSON Schema, so that the decoder of a request and its entry in the
 * OpenAPI document are one definition. Nothing else in the tree describes a JSON value twice.
 *
 * Objects either refuse unknown fields by name (the REST API: a misspelt field must not be dropped in
 * silence) or ignore them (agent frames: either side may be one version ahead).
 */
import * as t from 'io-ts'
import { E } from '../fp.ts'

export type JsonSchema = { readonly [key: string]: unknown }

export type Codec<A> = t.Type<A, unknown, unknown> & { readonly schema: JsonSchema }

// biome-ignore lint/suspicious/noExplicitAny: a codec's own type is all that matters where codecs are collected
export type AnyCodec = Codec<any>

export type TypeOf<C> = C extends Codec<infer A> ? A : never

/** Makes a codec from a decoder. Encoding is the identity: what was decoded is already JSON. */
export const codec = <A>(
  name: string,
  schema: JsonSchema,
  validate: (input: unknown, context: t.Context) => t.Validation<A>,
): Codec<A> =>
  Object.assign(
    new t.Type<A, unknown, unknown>(
      name,
      (input): input is A => E.isRight(validate(input, [])),
      validate,
      (value) => value,
    ),
    { schema },
  )

/** The same codec with a description (or other keywords) in its schema. */
export const described = <A>(inner: Codec<A>, keywords: JsonSchema | string): Codec<A> =>
  codec(
    inner.name,
    { ...inner.schema, ...(typeof keywords === 'string' ? { description: keywords } : keywords) },
    (input, context) => inner.validate(input, context),
  )

const fail = <A>(input: unknown, context: t.Context, message: string): t.Validation<A> =>
  t.failure(input, context, message)

/** What is wrong with a value, or with a field inside of it. */
export type Complaint = string | { readonly field: readonly string[]; readonly message: string }

/** A value that decodes only when `check` finds nothing to complain about. */
export const refined = <A>(inner: Codec<A>, check: (value: A) => Complaint | null, schema: JsonSchema = {}): Codec<A> =>
  codec(inner.name, { ...inner.schema, ...schema }, (input, context) => {
    const decoded = inner.validate(input, context)
    if (E.isLeft(decoded)) return decoded
    const complaint = check(decoded.right)
    if (complaint === null) return decoded
    if (typeof complaint === 'string') return fail(input, context, complaint)
    const inside = complaint.field.map((key) => ({ key, type: inner, actual: input }))
    return fail(input, [...context, ...inside], complaint.message)
  })

type StringRules = {
  minLength?: number
  maxLength?: number
  pattern?: string
  /** What matches the pattern, for a person: `must be …`. */
  means?: string
  format?: string
  description?: string
}

/** Text that PostgreSQL can hold: no NUL, no lone surrogates. Lengths count characters (code points). */
export const string = ({ means, ...rules }: StringRules = {}): Codec<string> => {
  const pattern = rules.pattern === undefined ? null : new RegExp(rules.pattern, 'u')
  return codec('string', { type: 'string', ...rules }, (input, context) => {
    if (typeof input !== 'string') return fail(input, context, 'must be a string')
    if (input.includes('\u0000') || !input.isWellFormed())
      return fail(input, context, 'must not contain NUL characters or lone surrogates')
    const { minLength, maxLength } = rules
    if (minLength !== undefined && (input.length < minLength || (minLength > 1 && [...input].length < minLength)))
      return fail(input, context, minLength === 1 ? 'must not be empty' : `must have at least ${minLength} characters`)
    if (maxLength !== undefined && input.length > maxLength && [...input].length > maxLength)
      return fail(input, context, `must have at most ${maxLength} characters`)
    if (pattern !== null && !pattern.test(input))
      return fail(input, context, means === undefined ? `must match ${rules.pattern}` : `must be ${means}`)
    return t.success(input)
  })
}

type NumberRules = { minimum?: number; maximum?: number; description?: string }

const bounded = (type: 'integer' | 'number', rules: NumberRules): Codec<number> =>
  codec(type, { type, ...rules }, (input, context) => {
    if (typeof input !== 'number' || !Number.isFinite(input)) return fail(input, context, 'must be a number')
    if (type === 'integer' && !Number.isSafeInteger(input)) return fail(input, context, 'must be a whole number')
    if (rules.minimum !== undefined && input < rules.minimum)
      return fail(input, context, `must be at least ${rules.minimum}`)
    if (rules.maximum !== undefined && input > rules.maximum)
      return fail(input, context, `must be at most ${rules.maximum}`)
    return t.success(input)
  })

/** A whole number, by default of PostgreSQL's `integer` range above zero. */
export const integer = (rules: NumberRules = {}): Codec<number> => bounded('integer', rules)
export const number = (rules: NumberRules = {}): Codec<number> => bounded('number', rules)

export const boolean: Codec<boolean> = codec('boolean', { type: 'boolean' }, (input, context) =>
  typeof input === 'boolean' ? t.success(input) : fail(input, context, 'must be true or false'),
)

export const oneOf = <const V extends readonly (string | number)[]>(
  values: V,
  keywords: JsonSchema = {},
): Codec<V[number]> =>
  codec(values.join(' | '), { enum: values, ...keywords }, (input, context) =>
    values.includes(input as V[number])
      ? t.success(input as V[number])
      : fail(input, context, `must be one of: ${values.join(', ')}`),
  )

export const nullable = <A>(inner: Codec<A>): Codec<A | null> =>
  codec(`${inner.name} | null`, nullableSchema(inner.schema), (input, context) =>
    input === null ? t.success(null) : inner.validate(input, context),
  )

const nullableSchema = (schema: JsonSchema): JsonSchema =>
  typeof schema.type === 'string' && schema.enum === undefined
    ? { ...schema, type: [schema.type, 'null'] }
    : { anyOf: [schema, { type: 'null' }] }

export const array = <A>(items: Codec<A>, rules: { minItems?: number; maxItems?: number } = {}): Codec<readonly A[]> =>
  codec(`array`, { type: 'array', items: items.schema, ...rules }, (input, context) => {
    if (!Array.isArray(input)) return fail(input, context, 'must be an array')
    if (rules.minItems !== undefined && input.length < rules.minItems)
      return fail(input, context, `must have at least ${rules.minItems} items`)
    if (rules.maxItems !== undefined && input.length > rules.maxItems)
      return fail(input, context, `must have at most ${rules.maxItems} items`)
    const out: A[] = []
    const errors: t.Errors = []
    input.forEach((item, index) => {
      const decoded = items.validate(item, t.appendContext(context, String(index), items, item))
      if (E.isRight(decoded)) out.push(decoded.right)
      else errors.push(...decoded.left)
    })
    return errors.length > 0 ? t.failures(errors) : t.success(out)
  })

const isRecord = (input: unknown): input is Record<string, unknown> =>
  typeof input === 'object' && input !== null && !Array.isArray(input)

type RecordRules = { keyPattern?: string; keyMessage?: string; maxProperties?: number; description?: string }

/** An object used as a map. Keys are data here, so `__proto__` is refused rather than assigned. */
export const record = <A>(values: Codec<A>, rules: RecordRules = {}): Codec<{ readonly [key: string]: A }> => {
  const pattern = rules.keyPattern === undefined ? null : new RegExp(rules.keyPattern, 'u')
  const schema: JsonSchema = {
    type: 'object',
    additionalProperties: values.schema,
    ...(rules.keyPattern === undefined ? {} : { propertyNames: { pattern: rules.keyPattern } }),
    ...(rules.maxProperties === undefined ? {} : { maxProperties: rules.maxProperties }),
    ...(rules.description === undefined ? {} : { description: rules.description }),
  }
  return codec('object', schema, (input, context) => {
    if (!isRecord(input)) return fail(input, context, 'must be an object')
    const entries = Object.entries(input)
    if (rules.maxProperties !== undefined && entries.length > rules.maxProperties)
      return fail(input, context, `must have at most ${rules.maxProperties} entries`)
    const out: Record<string, A> = {}
    const errors: t.Errors = []
    for (const [key, value] of entries) {
      const inside = t.appendContext(context, key, values, value)
      if (
        key === '__proto__' ||
        key.includes('\u0000') ||
        !key.isWellFormed() ||
        (pattern !== null && !pattern.test(key))
      ) {
        errors.push({
          value,
          context: inside,
          message: rules.keyMessage ?? `the name must match ${rules.keyPattern ?? 'plain text'}`,
        })
        continue
      }
      const decoded = values.validate(value, inside)
      if (E.isRight(decoded)) out[key] = decoded.right
      else errors.push(...decoded.left)
    }
    return errors.length > 0 ? t.failures(errors) : t.success(out)
  })
}

const MAX_DEPTH = 64

/** What is wrong with JSON that nobody looks into: text that PostgreSQL cannot hold, or nesting that no stack can. */
const unstorable = (root: unknown): string | null => {
  // No recursion: whatever came through JSON.parse can be deeper than the stack.
  const open: { readonly value: unknown; readonly depth: number }[] = [{ value: root, depth: 1 }]
  const isText = (text: string): boolean => !text.includes('\u0000') && text.isWellFormed()
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const { value, depth } = next
    if (typeof value === 'string' && !isText(value)) return 'must not contain NUL characters or lone surrogates'
    if (typeof value !== 'object' || value === null) continue
    if (depth > MAX_DEPTH) return `must not be nested deeper than ${MAX_DEPTH} levels`
    if (!Array.isArray(value)) {
      if (!Object.keys(value).every(isText)) return 'must not contain NUL characters or lone surrogates'
      if (Object.hasOwn(value, '__proto__')) return 'must not have a field __proto__'
    }
    for (const inner of Object.values(value)) open.push({ value: inner, depth: depth + 1 })
  }
  return null
}

/** Any JSON object that can be stored, kept as it is. */
export const anyObject: Codec<{ readonly [key: string]: unknown }> = codec(
  'object',
  { type: 'object' },
  (input, context) => {
    if (!isRecord(input)) return fail(input, context, 'must be an object')
    const complaint = unstorable(input)
    return complaint === null ? t.success(input) : fail(input, context, complaint)
  },
)

/** Any JSON that can be stored, kept as it is: what it has to be is known to somebody else. */
export const anyJson: Codec<unknown> = codec('any', {}, (input, context) => {
  const complaint = unstorable(input)
  return complaint === null ? t.success(input) : fail(input, context, complaint)
})

type Properties = { readonly [name: string]: AnyCodec }
type Required<P extends Properties> = { readonly [K in keyof P]: TypeOf<P[K]> }
type Optional<P extends Properties> = { readonly [K in keyof P]?: TypeOf<P[K]> }
type Flat<A> = { readonly [K in keyof A]: A[K] }

export type ObjectCodec<R extends Properties, O extends Properties> = Codec<Flat<Required<R> & Optional<O>>> & {
  readonly required: R
  readonly optional: O
}

const NO_CONTEXT: t.Context = []

const objectCodec = <R extends Properties, O extends Properties>(
  required: R,
  optional: O,
  unknownFields: 'refuse' | 'ignore',
): ObjectCodec<R, O> => {
  const properties: [string, AnyCodec, boolean][] = [
    ...Object.entries(required).map(([name, inner]): [string, AnyCodec, boolean] => [name, inner, true]),
    ...Object.entries(optional).map(([name, inner]): [string, AnyCodec, boolean] => [name, inner, false]),
  ]
  const known = new Set(properties.map(([name]) => name))
  const schema: JsonSchema = {
    type: 'object',
    properties: Object.fromEntries(properties.map(([name, inner]) => [name, inner.schema])),
    ...(Object.keys(required).length > 0 ? { required: Object.keys(required) } : {}),
    ...(unknownFields === 'refuse' ? { additionalProperties: false } : {}),
  }
  const made = codec<Flat<Required<R> & Optional<O>>>('object', schema, (input, context) => {
    if (!isRecord(input)) return fail(input, context, 'must be an object')
    const out: Record<string, unknown> = {}
    let errors: t.Errors | null = null
    for (const [name, inner, isRequired] of properties) {
      const value = Object.hasOwn(input, name) ? input[name] : undefined
      if (value === undefined) {
        if (!isRequired) continue
        errors ??= []
        errors.push({ value, context: t.appendContext(context, name, inner, value), message: 'is required' })
        continue
      }
      // Where it stands is only looked up for what is wrong: nearly nothing ever is.
      const decoded = inner.validate(value, NO_CONTEXT)
      if (E.isRight(decoded)) out[name] = decoded.right
      else {
        const here = t.appendContext(context, name, inner, value)
        errors ??= []
        for (const error of decoded.left) errors.push({ ...error, context: [...here, ...error.context] })
      }
    }
    if (unknownFields === 'refuse')
      for (const name of Object.keys(input))
        if (!known.has(name)) {
          errors ??= []
          errors.push({
            value: input[name],
            context: t.appendContext(context, name, made),
            message: 'is not a known field',
          })
        }
    return errors === null ? t.success(out as Flat<Required<R> & Optional<O>>) : t.failures(errors)
  })
  return Object.assign(made, { required, optional })
}

/** An object whose unknown fields are refused by name. */
export const object = <R extends Properties, O extends Properties = Record<never, never>>(
  required: R,
  optional?: O,
): ObjectCodec<R, O> => objectCodec(required, optional ?? ({} as O), 'refuse')

/** An object whose unknown fields are dropped: for frames and files of another version. */
export const openObject = <R extends Properties, O extends Properties = Record<never, never>>(
  required: R,
  optional?: O,
): ObjectCodec<R, O> => objectCodec(required, optional ?? ({} as O), 'ignore')
