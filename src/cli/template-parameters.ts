/**
 * `--param name=value`: text on a command line, made what the template's parameter of that name wants. What
 * does not look like it stays text: the server then says what is wrong with it, together with everything
 * else that is.
 */
import type { Template } from '../api/template.ts'
import type { Client } from '../client/client.ts'
import type { Pairs } from './options.ts'

export const parameterValues = (
  definitions: NonNullable<Template['parameters']>,
  given: Pairs,
): { readonly [name: string]: string | number | boolean } => {
  const typeOf = new Map(definitions.map(({ name, type }) => [name, type]))
  return Object.fromEntries(Object.entries(given).map(([name, text]) => [name, converted(typeOf.get(name), text)]))
}

const converted = (type: unknown, text: string): string | number | boolean => {
  switch (type) {
    case 'integer':
      return /^-?\d+$/.test(text) ? Number(text) : text
    case 'number':
      return /^-?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) ? Number(text) : text
    case 'boolean':
      return text === 'true' ? true : text === 'false' ? false : text
    default:
      return text
  }
}

/** The parameters of the version that the session is to be made from; none when there is no such version. */
export const definitionsOf = async (
  client: Pick<Client, 'templates'>,
  name: string,
  version: number | undefined,
): Promise<NonNullable<Template['parameters']>> => {
  const newest = await client.templates.get(name)
  if (version === undefined || newest.version === version) return newest.parameters ?? []
  const { items } = await client.templates.versions(name, Number.POSITIVE_INFINITY)
  return items.find((one) => one.version === version)?.parameters ?? []
}
