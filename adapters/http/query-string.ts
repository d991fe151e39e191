/** The query string of a request, as names and values: strictly, so that nothing is asked that nobody wrote. */
import { parse } from 'node:querystring'
import type { FieldError } from '../../domain/codec/field-errors.ts'
import { E } from '../../domain/fp.ts'
import type { RawQuery } from '../../src/api/query.ts'

/** More than any operation takes, each of them several times. */
export const MAX_PARAMETERS = 200

const noQuery = {}

export const queryOf = (url: string): E.Either<readonly FieldError[], RawQuery> => {
  const start = url.indexOf('?')
  if (start === -1) return E.right(noQuery)
  const text = url.slice(start + 1)
  const pairs = text.split('&', MAX_PARAMETERS + 1)
  if (pairs.length > MAX_PARAMETERS)
    return E.left([{ field: 'query', message: `must have at most ${MAX_PARAMETERS} parameters` }])
  const errors = text.includes('%') ? pairs.flatMap(undecodable) : []
  return errors.length > 0 ? E.left(errors) : E.right(parse(text, '&', '=', { maxKeys: 0 }))
}

/** Bytes that are no UTF-8 would else be replaced by others in silence. */
const undecodable = (pair: string): readonly FieldError[] => {
  try {
    decodeURIComponent(pair)
    return []
  } catch {
    const [name = ''] = pair.split('=', 1)
    return [{ field: name.slice(0, 100), message: 'is not percent-encoded UTF-8' }]
  }
}
