import type { Errors } from 'io-ts'
import { E } from '../fp.ts'
import type { Codec } from './codec.ts'

export type FieldError = { readonly field: string; readonly message: string }

/** Where it went wrong, as a person writes it: `spec.ports[0].port`. Empty for the whole value. */
const fieldOf = (keys: readonly string[]): string =>
  keys.reduce((path, key) => (/^\d+$/.test(key) ? `${path}[${key}]` : path === '' ? key : `${path}.${key}`), '')

export const fieldErrors = (errors: Errors, prefix = ''): readonly FieldError[] =>
  errors.map((error) => ({
    field: fieldOf([prefix, ...error.context.map((entry) => entry.key)].filter((key) => key !== '')),
    message: error.message ?? 'is not valid',
  }))

/** Decodes, with every failing field named. `prefix` is put before each field's path. */
export const decode = <A>(codec: Codec<A>, input: unknown, prefix = ''): E.Either<readonly FieldError[], A> => {
  const decoded = codec.validate(input, [])
  return E.isRight(decoded) ? decoded : E.left(fieldErrors(decoded.left, prefix))
}
