/** The typed inputs of a template, as codecs, and what values fit them. */
import * as t from 'io-ts'
import * as c from '../codec/codec.ts'
import { E } from '../fp.ts'

export const ENV_NAME = '^[A-Za-z_][A-Za-z0-9_]*$'
export const ENV_VALUE_LENGTH = 32_768

const text = (maxLength: number) => c.string({ maxLength })

const parameterBase = {
  name: c.string({ pattern: '^[A-Za-z][A-Za-z0-9_-]{0,62}$' }),
}
const parameterOptional = {
  required: c.boolean,
  description: text(1_000),
  env: c.string({ pattern: ENV_NAME, maxLength: 128 }),
}

const validPattern = c.refined(c.string({ maxLength: 500 }), (pattern) => {
  try {
    new RegExp(pattern, 'u')
    return null
  } catch {
    return 'must be a regular expression'
  }
})

const parameterCodecs = {
  string: c.object(
    { ...parameterBase, type: c.oneOf(['string']) },
    {
      ...parameterOptional,
      default: c.string({ maxLength: ENV_VALUE_LENGTH }),
      minLength: c.integer({ minimum: 0 }),
      maxLength: c.integer({ minimum: 0 }),
      pattern: validPattern,
    },
  ),
  secret: c.object(
    { ...parameterBase, type: c.oneOf(['secret']) },
    {
      ...parameterOptional,
      minLength: c.integer({ minimum: 0 }),
      maxLength: c.integer({ minimum: 0 }),
      pattern: validPattern,
    },
  ),
  integer: c.object(
    { ...parameterBase, type: c.oneOf(['integer']) },
    { ...parameterOptional, default: c.integer(), minimum: c.integer(), maximum: c.integer() },
  ),
  number: c.object(
    { ...parameterBase, type: c.oneOf(['number']) },
    { ...parameterOptional, default: c.number(), minimum: c.number(), maximum: c.number() },
  ),
  boolean: c.object({ ...parameterBase, type: c.oneOf(['boolean']) }, { ...parameterOptional, default: c.boolean }),
  enum: c.object(
    { ...parameterBase, type: c.oneOf(['enum']), options: c.array(text(200), { minItems: 1, maxItems: 200 }) },
    { ...parameterOptional, default: text(200) },
  ),
} as const

export type TemplateParameter = {
  readonly [T in keyof typeof parameterCodecs]: c.TypeOf<(typeof parameterCodecs)[T]>
}[keyof typeof parameterCodecs]

const parameterTypes = Object.keys(parameterCodecs) as (keyof typeof parameterCodecs)[]

export const parameterCodec: c.Codec<TemplateParameter> = c.codec<TemplateParameter>(
  'TemplateParameter',
  { oneOf: Object.values(parameterCodecs).map((one) => one.schema) },
  (input, context) => {
    const type = (input as { type?: unknown } | null)?.type
    const chosen = parameterTypes.find((name) => name === type)
    if (chosen === undefined)
      return c
        .object({ ...parameterBase, type: c.oneOf(parameterTypes) }, parameterOptional)
        .validate(input, context) as never
    const decoded = parameterCodecs[chosen].validate(input, context) as t.Validation<TemplateParameter>
    if (E.isLeft(decoded) || !('default' in decoded.right)) return decoded
    // A default is used without being looked at again by a person: it has to fit now. Its pattern is matched by the
    // use case, under a limit of time that nothing in here can set.
    const value = decoded.right.default
    const complaint = misfit(decoded.right, value, () => true)
    return complaint === null
      ? decoded
      : t.failure(value, t.appendContext(context, 'default', parameterCodecs[chosen], value), complaint)
  },
)

/** Whether a text matches a template's own regular expression. */
export type PatternMatch = (pattern: string, value: string) => boolean

/** Without a limit of time: for patterns that are trusted. */
export const plainMatch: PatternMatch = (pattern, value) => new RegExp(pattern, 'u').test(value)

/** Why this value does not fit, or null when it does. */
export const misfit = (parameter: TemplateParameter, value: unknown, matches: PatternMatch): string | null => {
  switch (parameter.type) {
    case 'string':
    case 'secret':
      return misfitText(parameter, value, matches)
    case 'integer':
      return Number.isSafeInteger(value) ? outOfRange(parameter, value as number) : 'must be a whole number'
    case 'number':
      return typeof value === 'number' && Number.isFinite(value) ? outOfRange(parameter, value) : 'must be a number'
    case 'boolean':
      return typeof value === 'boolean' ? null : 'must be true or false'
    case 'enum':
      return parameter.options.includes(value as string) ? null : `must be one of: ${parameter.options.join(', ')}`
  }
}

type TextRules = { readonly minLength?: number; readonly maxLength?: number; readonly pattern?: string }

const misfitText = (rules: TextRules, value: unknown, matches: PatternMatch): string | null => {
  if (typeof value !== 'string') return 'must be a string'
  if (value.includes('\u0000') || !value.isWellFormed()) return 'must not contain NUL characters or lone surrogates'
  const length = [...value].length
  const maximum = Math.min(rules.maxLength ?? ENV_VALUE_LENGTH, ENV_VALUE_LENGTH)
  if (length > maximum) return `must have at most ${maximum} characters`
  if (rules.minLength !== undefined && length < rules.minLength)
    return `must have at least ${rules.minLength} characters`
  if (rules.pattern !== undefined && !matches(rules.pattern, value)) return `must match ${rules.pattern}`
  return null
}

const outOfRange = (rules: { readonly minimum?: number; readonly maximum?: number }, value: number): string | null => {
  if (rules.minimum !== undefined && value < rules.minimum) return `must be at least ${rules.minimum}`
  if (rules.maximum !== undefined && value > rules.maximum) return `must be at most ${rules.maximum}`
  return null
}
