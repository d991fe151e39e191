/** Typed inputs of a template: what a caller gives, checked and turned into environment variables. */
import type { FieldError } from '../codec/field-errors.ts'
import type { InvalidParameters } from '../errors.ts'
import { E } from '../fp.ts'
import type { TemplateParameter } from './template-codec.ts'

export type ResolvedParameters = {
  /** As shown: secrets are null. */
  readonly values: { readonly [name: string]: unknown }
  readonly env: { readonly [name: string]: string }
  /** Environment from secret parameters: sealed at rest, never shown again. */
  readonly secretEnv: { readonly [name: string]: string }
}

/** Refuses unknown names, missing required ones and values that do not fit; all of them at once. */
export const resolveParameters = (
  parameters: readonly TemplateParameter[],
  given: { readonly [name: string]: unknown },
): E.Either<InvalidParameters, ResolvedParameters> => {
  const errors: FieldError[] = []
  const values: Record<string, unknown> = {}
  const env: Record<string, string> = {}
  const secretEnv: Record<string, string> = {}

  for (const name of Object.keys(given))
    if (!parameters.some((parameter) => parameter.name === name))
      errors.push({
        field: `parameters.${name}`,
        message: `is not a parameter of this template${parameters.length === 0 ? ', which has none' : `; it has: ${parameters.map((parameter) => parameter.name).join(', ')}`}`,
      })

  for (const parameter of parameters) {
    const asked = Object.hasOwn(given, parameter.name) ? given[parameter.name] : undefined
    const value = asked ?? ('default' in parameter ? parameter.default : undefined)
    if (value === undefined) {
      if (parameter.required === true) errors.push({ field: `parameters.${parameter.name}`, message: 'is required' })
      continue
    }
    const complaint = misfit(parameter, value)
    if (complaint !== null) {
      errors.push({ field: `parameters.${parameter.name}`, message: complaint })
      continue
    }
    const secret = parameter.type === 'secret'
    values[parameter.name] = secret ? null : value
    if (parameter.env !== undefined) (secret ? secretEnv : env)[parameter.env] = String(value)
  }
  return errors.length > 0 ? E.left({ _tag: 'InvalidParameters', errors }) : E.right({ values, env, secretEnv })
}

const misfit = (parameter: TemplateParameter, value: unknown): string | null => {
  switch (parameter.type) {
    case 'string':
    case 'secret':
      return misfitText(parameter, value)
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
const MAX_TEXT = 32_768

const misfitText = (rules: TextRules, value: unknown): string | null => {
  if (typeof value !== 'string') return 'must be a string'
  if (value.includes('\u0000') || !value.isWellFormed()) return 'must not contain NUL characters or lone surrogates'
  const length = [...value].length
  const maximum = Math.min(rules.maxLength ?? MAX_TEXT, MAX_TEXT)
  if (length > maximum) return `must have at most ${maximum} characters`
  if (rules.minLength !== undefined && length < rules.minLength)
    return `must have at least ${rules.minLength} characters`
  if (rules.pattern !== undefined && !new RegExp(rules.pattern, 'u').test(value)) return `must match ${rules.pattern}`
  return null
}

const outOfRange = (rules: { readonly minimum?: number; readonly maximum?: number }, value: number): string | null => {
  if (rules.minimum !== undefined && value < rules.minimum) return `must be at least ${rules.minimum}`
  if (rules.maximum !== undefined && value > rules.maximum) return `must be at most ${rules.maximum}`
  return null
}
