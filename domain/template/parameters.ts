/** Typed inputs of a template: what a caller gives, checked and turned into environment variables. */
import type { FieldError } from '../codec/field-errors.ts'
import type { InvalidParameters } from '../errors.ts'
import { E } from '../fp.ts'
import { misfit, type PatternMatch, plainMatch, type TemplateParameter } from './parameter-codec.ts'

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
  matches: PatternMatch = plainMatch,
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
    const complaint = misfit(parameter, value, matches)
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

/** Defaults that do not fit their own rules, patterns included. */
export const misfitDefaults = (
  parameters: readonly TemplateParameter[],
  matches: PatternMatch,
): readonly FieldError[] =>
  parameters.flatMap((parameter, index) => {
    const value = 'default' in parameter ? parameter.default : undefined
    const complaint = value === undefined ? null : misfit(parameter, value, matches)
    return complaint === null ? [] : [{ field: `parameters[${index}].default`, message: complaint }]
  })
