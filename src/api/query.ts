/**
 * Query strings. A parameter that nobody knows, or that is given twice, is refused by its name: a filter
 * that was misspelt and dropped would answer a question that nobody asked.
 */
import type * as t from 'io-ts'
import * as c from '../../domain/codec/codec.ts'
import { E } from '../../domain/fp.ts'
import type { PageRequest } from '../../domain/ports/page.ts'
import type { LabelFilter } from '../../domain/ports/sessions.ts'
import { wordsOf } from '../../domain/session/name-words.ts'
import { labelConditions } from './label-conditions.ts'

/** A query string as parsed: a name that is given several times has several values. */
export type RawQuery = { readonly [name: string]: string | readonly string[] | undefined }

type Parameters = { readonly [name: string]: c.AnyCodec }
type Decoded<P extends Parameters> = { readonly [K in keyof P]?: c.TypeOf<P[K]> }

export type QueryCodec<P extends Parameters> = c.Codec<Decoded<P>> & { readonly parameters: P }

const appended = (context: t.Context, name: string, actual: unknown): t.Context => [
  ...context,
  { key: name, type: anyText, actual },
]
const anyText = c.string()

const complaint = (value: unknown, context: t.Context, message: string): t.ValidationError => ({
  value,
  context,
  message,
})

export const query = <const P extends Parameters>(parameters: P): QueryCodec<P> => {
  const codec = c.codec<Decoded<P>>(
    'query',
    {
      type: 'object',
      properties: Object.fromEntries(Object.entries(parameters).map(([name, inner]) => [name, inner.schema])),
      additionalProperties: false,
    },
    (input, context) => {
      const out: Record<string, unknown> = {}
      const errors: t.ValidationError[] = []
      for (const [name, value] of Object.entries(input as RawQuery)) {
        if (value === undefined) continue
        const inside = appended(context, name, value)
        const inner = Object.hasOwn(parameters, name) ? parameters[name] : undefined
        if (inner === undefined) {
          const known = Object.keys(parameters)
          errors.push(
            complaint(
              value,
              inside,
              known.length === 0
                ? 'is not a known parameter: there are none here'
                : `is not a known parameter; known: ${known.join(', ')}`,
            ),
          )
          continue
        }
        if (typeof value !== 'string' && inner.schema['x-repeatable'] !== true) {
          errors.push(complaint(value, inside, 'is given more than once'))
          continue
        }
        const decoded = inner.validate(value, inside)
        if (E.isRight(decoded)) out[name] = decoded.right
        // What is wrong inside a list is told of the parameter: it has no fields of its own.
        else errors.push(...decoded.left.map((error) => ({ ...error, context: inside })))
      }
      return errors.length === 0 ? E.right(out as Decoded<P>) : E.left(errors)
    },
  )
  return Object.assign(codec, { parameters })
}

/**
 * The same filters in a body: each the text that a query string has, or an array of such texts where several may be meant. What
 * is inside is checked by the filter itself.
 */
export const jsonFilters = <P extends Parameters>({ parameters, validate }: QueryCodec<P>): c.Codec<Decoded<P>> =>
  c.codec<Decoded<P>>(
    'filter',
    {
      type: 'object',
      properties: Object.fromEntries(Object.entries(parameters).map(([name, { schema }]) => [name, inBody(schema)])),
      additionalProperties: false,
    },
    (input, context) => {
      if (typeof input !== 'object' || input === null || Array.isArray(input))
        return E.left([complaint(input, context, 'must be an object')])
      const raw: Record<string, string | readonly string[]> = {}
      const errors: t.ValidationError[] = []
      for (const [name, value] of Object.entries(input)) {
        const schema = Object.hasOwn(parameters, name) ? parameters[name]?.schema : undefined
        const text = asInQuery(value, schema)
        if (text === null)
          errors.push(
            complaint(
              value,
              appended(context, name, value),
              'must be text as in a query string, or an array of texts without commas',
            ),
          )
        else raw[name] = text
      }
      return errors.length === 0 ? validate(raw, context) : E.left(errors)
    },
  )

const inBody = (schema: c.JsonSchema): c.JsonSchema =>
  schema.type === 'array' ? { anyOf: [schema, { type: 'string', description: 'with commas between them' }] } : schema

/** A comma inside of one of several would be read as the end of it. */
const asInQuery = (value: unknown, schema: c.JsonSchema | undefined): string | readonly string[] | null => {
  if (typeof value === 'string') return value
  if (!Array.isArray(value) || value.length === 0 || schema?.type !== 'array') return null
  if (!value.every((one): one is string => typeof one === 'string')) return null
  if (schema['x-repeatable'] === true) return value
  return value.some((one) => one.includes(',')) ? null : value.join(',')
}

/** Text of at least one character: `?q=` asks for nothing and is a mistake. */
export const text = (maxLength: number, description?: string): c.Codec<string> =>
  c.string({ minLength: 1, maxLength, ...(description === undefined ? {} : { description }) })

export const flag: c.Codec<boolean> = c.codec('boolean', { type: 'boolean' }, (input, context) =>
  input === 'true' || input === 'false'
    ? E.right(input === 'true')
    : E.left([complaint(input, context, 'must be true or false')]),
)

export const wholeNumber = (minimum: number, maximum: number, keywords: c.JsonSchema = {}): c.Codec<number> =>
  c.codec('integer', { type: 'integer', minimum, maximum, ...keywords }, (input, context) => {
    const value = typeof input === 'string' && /^-?\d{1,15}$/.test(input) ? Number(input) : Number.NaN
    return value >= minimum && value <= maximum
      ? E.right(value)
      : E.left([complaint(input, context, `must be a whole number from ${minimum} to ${maximum}`)])
  })

const MAX_LIST = 100

/** Values with commas between them; any of them matches. */
export const commaList = <A>(items: c.Codec<A>, description?: string): c.Codec<readonly A[]> => {
  const inner = c.array(items, { maxItems: MAX_LIST })
  return c.codec(
    'list',
    { ...inner.schema, minItems: 1, ...(description === undefined ? {} : { description }) },
    (input, context) =>
      typeof input === 'string'
        ? inner.validate(input.split(','), context)
        : E.left([complaint(input, context, 'must be text')]),
  )
}

const RFC3339 = /^(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(\.\d{1,9})?([Zz]|[+\- ]\d\d:\d\d)$/

/** RFC 3339, section 5.6. A `+` that was not escaped arrives as a space and is still meant as a plus. */
export const timestamp: c.Codec<Date> = c.codec(
  'date-time',
  { type: 'string', format: 'date-time' },
  (input, context) => {
    const parsed = typeof input === 'string' ? parseTimestamp(input) : null
    return parsed === null
      ? E.left([complaint(input, context, 'must be an RFC 3339 time, such as 2026-01-31T12:00:00Z')])
      : E.right(parsed)
  },
)

const parseTimestamp = (input: string): Date | null => {
  const match = RFC3339.exec(input)
  if (match === null) return null
  const [, year, month, day, hour, minute, second, fraction = '', zone = 'Z'] = match
  const date = new Date(
    `${year}-${month}-${day}T${hour}:${minute}:${second}${fraction}${zone.toUpperCase().replace(' ', '+')}`,
  )
  if (Number.isNaN(date.getTime())) return null
  // Date takes the 30th of February for the 1st or 2nd of March.
  const lastDay = new Date(Date.UTC(Number(year), Number(month), 0)).getUTCDate()
  return Number(day) <= lastDay ? date : null
}

const MAX_LABELS = 64

/** `label=team=web,tier in (1,2)`, or `label` several times: all of them have to match. */
export const labelFilters: c.Codec<readonly LabelFilter[]> = c.codec(
  'labels',
  {
    type: 'array',
    items: { type: 'string', pattern: '^[^\\s=,]+(=| in \\()' },
    minItems: 1,
    maxItems: MAX_LABELS,
    description:
      '`name=value`, or `name in (value,value)` for any of them; several, with commas or the parameter again, all have to match. A value with commas, quotes or parentheses stands in double quotes',
    'x-repeatable': true,
  },
  (input, context) => {
    const refused = (message: string) => E.left([complaint(input, context, message)])
    const given = typeof input === 'string' ? [input] : (input as readonly string[])
    if (given.some((one) => one.includes('\u0000') || !one.isWellFormed()))
      return refused('must not contain NUL characters or lone surrogates')
    const filters: LabelFilter[] = []
    for (const text of given) {
      const conditions = labelConditions(text)
      if (conditions === null)
        return refused('must be name=value, or name in (value,value); values with commas in quotes')
      if (conditions.some(({ length }) => length > MAX_LIST))
        return refused(`must have at most ${MAX_LIST - 1} values for a name`)
      filters.push(...conditions)
    }
    return filters.length > MAX_LABELS
      ? refused(`must have at most ${MAX_LABELS} labels`)
      : E.right(filters as readonly LabelFilter[])
  },
)

/** Which fields a row is to have, by name. */
export const fieldList = <const F extends string>(known: readonly F[]): c.Codec<readonly F[]> =>
  c.codec(
    'fields',
    {
      type: 'array',
      items: { enum: known },
      minItems: 1,
      description: 'only these fields of each item, which is then smaller and found sooner',
    },
    (input, context) => {
      const names = String(input).split(',')
      const unknown = names.find((name) => !known.includes(name as F))
      return unknown === undefined
        ? E.right([...new Set(names)] as F[])
        : E.left([
            complaint(input, context, `there is no field ${JSON.stringify(unknown)}; there are: ${known.join(', ')}`),
          ])
    },
  )

const MAX_WORDS = 8

/** Each word is a condition of its own: not so many that to find a plan takes longer than to search. */
export const searchedName: c.Codec<string> = c.refined(
  text(80, `words with which words of the name begin, in any case; at most ${MAX_WORDS}`),
  (q) => (wordsOf(q).length > MAX_WORDS ? `must have at most ${MAX_WORDS} words` : null),
)

export const DEFAULT_LIMIT = 50
export const MAX_LIMIT = 500

/** What every list takes. */
export const paging = {
  limit: wholeNumber(1, MAX_LIMIT, { default: DEFAULT_LIMIT }),
  cursor: text(1_024, '`nextCursor` of the page before'),
} as const

/** In which orders a list can be had: those that indexes have. The first is how it goes by itself. */
export const sorting = <const S extends string>(sorts: readonly [S, ...S[]]) => ({
  sort: c.oneOf(sorts, { default: sorts[0], description: '`-`: descending' }),
})

export const pageRequest = <S extends string = never>(
  limit: number = DEFAULT_LIMIT,
  cursor: string | null = null,
  sort?: S,
): PageRequest<S> => ({ limit, cursor, ...(sort === undefined ? {} : { sort }) })
