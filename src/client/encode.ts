/** Requests as they are written on the wire. */
import { labelText } from '../api/label-conditions.ts'

/** `/api/v1/sessions/{id}` with its parameters in place. */
export const fillPath = (path: string, params: { readonly [name: string]: string }): string =>
  path.replaceAll(/\{([^}]+)\}/g, (_, name: string) => encodeURIComponent(params[name] ?? ''))

/** A list is written with commas; labels as one parameter each, as `name=value` or `name in (value,value)`. What is undefined is left out. */
export const encodeQuery = (query: { readonly [name: string]: unknown }): string => {
  const search = new URLSearchParams()
  for (const [name, value] of Object.entries(query)) {
    if (value === undefined) continue
    if (!Array.isArray(value)) search.append(name, String(value))
    else if (value.some(Array.isArray)) for (const label of value) search.append(name, labelText(label))
    else if (value.length > 0) search.append(name, value.join(','))
    else throw new TypeError(`${name}: an empty list would ask for everything; leave it out, if that is meant`)
  }
  const text = search.toString()
  return text === '' ? '' : `?${text}`
}

/** The filters of a list as a body has them (`jsonFilters` in the contract). */
export const filterInBody = (filter: {
  readonly [name: string]: unknown
}): { readonly [name: string]: string | readonly string[] } =>
  Object.fromEntries(
    Object.entries(filter).flatMap(([name, value]): [string, string | readonly string[]][] => {
      if (value === undefined) return []
      if (!Array.isArray(value)) return [[name, String(value)]]
      return [[name, value.map((one) => (Array.isArray(one) ? labelText(one) : String(one)))]]
    }),
  )
