/** Arguments and options as people write them. What is wrong with one ends the program with status 2. */
import { type Command, InvalidArgumentError, Option } from 'commander'
import { E } from '../../domain/fp.ts'
import { isUuid } from '../../domain/ids.ts'
import type { LabelFilter } from '../../domain/ports/sessions.ts'
import { labelFilters } from '../api/query.ts'

export const wholeNumber =
  (minimum: number, maximum: number = Number.MAX_SAFE_INTEGER) =>
  (text: string): number => {
    const value = Number(text)
    if (!/^\d+$/.test(text) || value < minimum || value > maximum)
      throw new InvalidArgumentError(
        maximum === Number.MAX_SAFE_INTEGER
          ? `It must be a whole number, ${minimum} or more.`
          : `It must be a whole number from ${minimum} to ${maximum}.`,
      )
    return value
  }

export const seconds = (text: string): number => {
  const value = Number(text)
  if (!/^\d+(\.\d+)?$/.test(text) || value <= 0)
    throw new InvalidArgumentError('It must be a number of seconds above 0.')
  return value
}

/** `a,b` or the option several times. */
export const words = (text: string, before: readonly string[] = []): readonly string[] => {
  const given = text.split(',').map((word) => word.trim())
  if (given.includes('')) throw new InvalidArgumentError('It must be one word, or several with commas between them.')
  return [...before, ...given]
}

export const wordsOf =
  <V extends string>(known: readonly V[]) =>
  (text: string, before: readonly V[] = []): readonly V[] =>
    words(text, before).map((word) => {
      const found = known.find((value) => value === word)
      if (found === undefined) throw new InvalidArgumentError(`It must be one of: ${known.join(', ')}.`)
      return found
    })

export const oneOf =
  <V extends string>(known: readonly V[]) =>
  (text: string): V => {
    const found = known.find((value) => value === text)
    if (found === undefined) throw new InvalidArgumentError(`It must be one of: ${known.join(', ')}.`)
    return found
  }

/** As the API takes them: the option several times, or several conditions with commas between them. */
export const labelFilter = (text: string, before: readonly LabelFilter[] = []): readonly LabelFilter[] => {
  const decoded = labelFilters.decode(text)
  if (E.isLeft(decoded)) throw new InvalidArgumentError('It must be name=value, or name in (value,value).')
  return [...before, ...decoded.right]
}

export type Pairs = { readonly [name: string]: string }

/** `name=value`, once for each name. The value may be empty and may have more `=` in it. */
export const pair = (text: string, before: Pairs = {}): Pairs => {
  const at = text.indexOf('=')
  if (at < 1) throw new InvalidArgumentError('It must be name=value.')
  const name = text.slice(0, at)
  if (Object.hasOwn(before, name)) throw new InvalidArgumentError(`${name} is given twice.`)
  return Object.fromEntries([...Object.entries(before), [name, text.slice(at + 1)]])
}

export const repeated = (text: string, before: readonly string[] = []): readonly string[] => [...before, text]

export const nonEmpty = (text: string): string => {
  if (text === '') throw new InvalidArgumentError('It must not be empty.')
  return text
}

export const uuid = (text: string): string => {
  if (!isUuid(text)) throw new InvalidArgumentError('It must be a UUID.')
  return text
}

export type JsonOption = { readonly json?: true }

export const jsonOption = (): Option => new Option('--json', "print the API's JSON instead")

export type ListOptions = JsonOption & { readonly limit?: number; readonly all?: true }

/** `defaultLimit` null: everything, unless a limit is given. */
export const withListOptions = (command: Command, defaultLimit: number | null): Command => {
  const limit = new Option(
    '--limit <n>',
    defaultLimit === null ? 'at most this many (default: all)' : 'at most this many',
  )
  limit.argParser(wholeNumber(1))
  // Before it is added: a default that comes later is not seen.
  if (defaultLimit !== null) limit.default(defaultLimit)
  return command.addOption(limit).addOption(new Option('--all', 'all of them, however many')).addOption(jsonOption())
}

export const limitOf = (options: ListOptions): number =>
  options.all || options.limit === undefined ? Number.POSITIVE_INFINITY : options.limit
