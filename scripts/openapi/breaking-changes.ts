/** What a client that was written for one OpenAPI document finds broken under another: one line each. */
import { narrowing, type Schema } from './schema-narrowing.ts'

type Reference = { readonly $ref?: string }
type Parameter = Reference & {
  readonly name: string
  readonly in: string
  readonly required?: boolean
  readonly schema: Schema
}
type Content = { readonly [mediaType: string]: { readonly schema?: Schema } }
type Response = {
  readonly headers?: { readonly [name: string]: Reference & { readonly required?: boolean } }
  readonly content?: Content
}
type Operation = {
  readonly operationId?: string
  readonly security?: readonly object[]
  readonly parameters?: readonly Parameter[]
  readonly requestBody?: { readonly required?: boolean; readonly content: Content }
  readonly responses: { readonly [status: string]: Response }
}
export type OpenApi = {
  readonly paths: { readonly [path: string]: { readonly [method: string]: Operation } }
  readonly components?: { readonly [kind: string]: { readonly [name: string]: unknown } }
}

const resolver = (document: OpenApi) => {
  const resolve = <A extends object>(value: A): A => {
    const reference = (value as Reference).$ref
    if (reference === undefined) return value
    const [, , kind = '', name = ''] = reference.split('/')
    const found = document.components?.[kind]?.[name]
    if (found === undefined) throw new Error(`${reference} is not in the document`)
    return resolve(found as A)
  }
  return resolve
}

export const breakingChanges = (before: OpenApi, after: OpenApi): readonly string[] => {
  const [wasResolved, isResolved] = [resolver(before), resolver(after)]
  // References are to one document each; both are looked up by the schema's own object.
  const origin = new WeakMap<object, 'before' | 'after'>()
  const mark = (value: unknown, whose: 'before' | 'after'): void => {
    if (typeof value !== 'object' || value === null) return
    origin.set(value, whose)
    for (const inner of Object.values(value)) mark(inner, whose)
  }
  mark(before, 'before')
  mark(after, 'after')
  const resolve = (schema: Schema): Schema =>
    origin.get(schema) === 'before' ? wasResolved(schema) : isResolved(schema)

  const asked = (was: Schema, is: Schema, where: string): readonly string[] =>
    narrowing(resolve, { limits: true })(was, is, where).map((line) => `no longer taken: ${line} now`)
  const answered = (was: Schema, is: Schema, where: string): readonly string[] => [
    ...narrowing(resolve, { limits: false })(is, was, where).map((line) => `may now be answered: ${line} before`),
    ...vanished(was, is, where, new Set()),
  ]

  /** A field that was optional may be missed all the same. */
  const vanished = (was_: Schema, is_: Schema, where: string, visited: Set<string>): readonly string[] => {
    if (was_.$ref !== undefined) {
      if (visited.has(String(was_.$ref))) return []
      visited.add(String(was_.$ref))
    }
    const [was, is] = [resolve(was_), resolve(is_)]
    const now = (is.properties ?? {}) as { readonly [name: string]: Schema }
    const required = (was.required ?? []) as readonly string[]
    const fields = Object.entries((was.properties ?? {}) as { readonly [name: string]: Schema }).flatMap(
      ([name, schema]) => {
        const other = now[name]
        if (other !== undefined) return vanished(schema, other, `${where}.${name}`, visited)
        return required.includes(name) ? [] : [`no longer answered: ${where}.${name}`]
      },
    )
    const [items, nowItems] = [was.items, is.items] as readonly (Schema | undefined)[]
    return items !== undefined && nowItems !== undefined
      ? [...fields, ...vanished(items, nowItems, `${where}[]`, visited)]
      : fields
  }

  const parameters = (was: Operation, is: Operation, where: string): readonly string[] => {
    const list = (operation: Operation, resolved: <A extends object>(value: A) => A) =>
      new Map((operation.parameters ?? []).map(resolved).map((one) => [`${one.in} ${one.name.toLowerCase()}`, one]))
    const [old, current] = [list(was, wasResolved), list(is, isResolved)]
    const complaints: string[] = []
    for (const [key, parameter] of old) {
      const other = current.get(key)
      if (other === undefined) complaints.push(`${where}: the parameter ${parameter.name} (${parameter.in}) is gone`)
      else complaints.push(...asked(parameter.schema, other.schema, `${where}: ${parameter.name}`))
    }
    for (const [key, { name, in: place, required }] of current)
      if (required === true && old.get(key)?.required !== true)
        complaints.push(`${where}: the parameter ${name} (${place}) is required now`)
    return complaints
  }

  const body = (was: Operation, is: Operation, where: string): readonly string[] => {
    if (is.requestBody?.required === true && was.requestBody?.required !== true)
      return [`${where}: a body is required now`]
    return Object.entries(was.requestBody?.content ?? {}).flatMap(([mediaType, { schema }]) => {
      const other = is.requestBody?.content[mediaType]
      if (other === undefined) return [`${where}: a body of ${mediaType} is no longer taken`]
      return schema === undefined || other.schema === undefined ? [] : asked(schema, other.schema, `${where}: body`)
    })
  }

  const responses = (was: Operation, is: Operation, where: string): readonly string[] => {
    const complaints: string[] = []
    const isAnswer = (status: string): boolean => status.startsWith('2')
    for (const status of Object.keys(is.responses).filter(isAnswer))
      if (was.responses[status] === undefined) complaints.push(`${where}: may now be answered ${status}`)
    for (const [status, old] of Object.entries(was.responses).filter(([code]) => isAnswer(code))) {
      const current = is.responses[status]
      if (current === undefined) {
        complaints.push(`${where}: is no longer answered ${status}`)
        continue
      }
      for (const [name, header] of Object.entries(old.headers ?? {})) {
        const other = current.headers?.[name]
        if (other === undefined) complaints.push(`${where}: ${status} has no header ${name} any more`)
        else if (wasResolved(header).required === true && isResolved(other).required !== true)
          complaints.push(`${where}: ${status} may come without the header ${name}`)
      }
      for (const [mediaType, { schema }] of Object.entries(old.content ?? {})) {
        const other = current.content?.[mediaType]
        if (other === undefined) complaints.push(`${where}: ${status} is no longer ${mediaType}`)
        else if (schema !== undefined && other.schema !== undefined)
          complaints.push(...answered(schema, other.schema, `${where}: ${status}`))
      }
    }
    return complaints
  }

  const operations = Object.entries(before.paths).flatMap(([path, methods]) =>
    Object.entries(methods).flatMap(([method, was]) => {
      const where = `${method.toUpperCase()} ${path}`
      const is = after.paths[path]?.[method]
      if (is === undefined) return [`${where}: is gone`]
      return [
        // Generated clients call their functions so.
        ...(is.operationId === was.operationId ? [] : [`${where}: is called ${is.operationId} now`]),
        ...(was.security?.length === 0 && is.security?.length !== 0 ? [`${where}: needs a key now`] : []),
        ...parameters(was, is, where),
        ...body(was, is, where),
        ...responses(was, is, where),
      ]
    }),
  )
  return [...new Set(operations)]
}
