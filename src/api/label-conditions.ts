/**
 * The conditions on labels of one text: `name=value`, or `name in (value,value)` for any of them, with commas between conditions. A value
 * stands in double quotes where it has commas, quotes or parentheses, with `\` before a quote or another `\`. Read once from left to right:
 * hostile text costs no more than other text.
 */
import type { LabelFilter } from '../../domain/ports/sessions.ts'

const SPACES = /\s*/uy
const NAME = /[^\s=,]+/uy
const AMONG = /\s+in\s+\(/uy
const UNTIL_COMMA = /[^,]*/uy
const LISTED = /[^(),]*/uy
/** Longer than any label's value. */
const QUOTED = /"((?:[^"\\]|\\.){0,1024})"/suy

/** null: it is not like that. */
export const labelConditions = (text: string): readonly LabelFilter[] | null => {
  let at = 0
  const read = (pattern: RegExp): RegExpExecArray | null => {
    pattern.lastIndex = at
    const found = pattern.exec(text)
    if (found !== null) at = pattern.lastIndex
    return found
  }
  const valueOr = (unquoted: RegExp): string | null => {
    if (text[at] !== '"') return read(unquoted)?.[0] ?? null
    return read(QUOTED)?.[1]?.replaceAll(/\\(.)/gsu, '$1') ?? null
  }
  const among = (name: string): LabelFilter | null => {
    const values: string[] = []
    for (;;) {
      read(SPACES)
      const isQuoted = text[at] === '"'
      const value = valueOr(LISTED)
      if (value === null) return null
      values.push(isQuoted ? value : value.trimEnd())
      read(SPACES)
      const next = text[at]
      at += 1
      if (next === ')') break
      if (next !== ',') return null
    }
    read(SPACES)
    const [first = '', ...more] = values
    return [name, first, ...more]
  }
  const condition = (): LabelFilter | null => {
    const from = at
    read(SPACES)
    const isIndented = at > from
    const name = read(NAME)?.[0]
    if (name === undefined) return null
    if (read(AMONG) !== null) return among(name)
    if (isIndented || text[at] !== '=') return null
    at += 1
    const value = valueOr(UNTIL_COMMA)
    return value === null ? null : [name, value]
  }
  const conditions: LabelFilter[] = []
  for (;;) {
    const next = condition()
    if (next === null) return null
    conditions.push(next)
    if (at >= text.length) return conditions
    if (text[at] !== ',') return null
    at += 1
  }
}

const NEEDS_QUOTES = /[,"()]|^\s|\s$/u

const quoted = (value: string): string => (NEEDS_QUOTES.test(value) ? `"${value.replaceAll(/["\\]/g, '\\$&')}"` : value)

/** As `labelConditions` reads it. */
export const labelText = ([name, ...values]: readonly string[]): string =>
  values.length === 1 ? `${name}=${quoted(values[0] ?? '')}` : `${name} in (${values.map(quoted).join(',')})`
