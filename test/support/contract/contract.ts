/**
 * What the server says, held against what its OpenAPI document says that it says: the operation, the status, the media type,
 * the headers, the code of a problem, and the body by its JSON Schema.
 */
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'
import addFormats from 'ajv-formats'

export type Said = {
  readonly method: string
  /** As asked, with its query string. */
  readonly url: string
  readonly status: number
  readonly headers: { readonly [name: string]: string }
  /** null: not looked at, as that of a stream, which has no end. */
  readonly body: string | null
}

export type Document = {
  readonly paths: { readonly [path: string]: { readonly [method: string]: Operation } }
  readonly components: { readonly [kind: string]: { readonly [name: string]: unknown } }
}
type Reference = { readonly $ref: string }
type Header = { readonly required?: boolean; readonly schema: object }
type Media = { readonly schema: object; readonly examples?: { readonly [name: string]: unknown } }
type Response = {
  readonly headers?: { readonly [name: string]: Header | Reference }
  readonly content?: { readonly [mediaType: string]: Media }
}
type Operation = { readonly operationId: string; readonly responses: { readonly [status: string]: Response } }

const PROBLEM = 'application/problem+json'
/** One value; `application/x-ndjson` has one in every line. */
const JSON_TYPE = /^application\/(.+\+)?json$/

/** Headers that say something of the operation: one that the document does not name is a promise that nobody has read. */
const TELLING =
  /^(etag|location|retry-after|idempotency-replayed|www-authenticate|allow|deprecation|sunset|link|ratelimit.*)$/

/** What every path answers that there is not, or that has no such method. */
const elsewhere: { readonly [status: string]: readonly string[] } = {
  400: ['malformed_request'],
  404: ['not_found'],
  405: ['method_not_allowed'],
}

export const createContract = (document: Document) => {
  const ajv = new Ajv2020({ strict: false, allErrors: true, validateFormats: true, addUsedSchema: false })
  addFormats.default(ajv)
  const root = 'streamspace:document'
  ajv.addSchema({ $id: root, components: document.components }, root)

  /** References are into the document, whichever part of it they stand in. */
  const rooted = (schema: unknown): unknown =>
    Array.isArray(schema)
      ? schema.map(rooted)
      : typeof schema === 'object' && schema !== null
        ? Object.fromEntries(
            Object.entries(schema).map(([key, inner]) => [
              key,
              key === '$ref' && typeof inner === 'string' ? `${root}${inner}` : rooted(inner),
            ]),
          )
        : schema

  const compiled = new Map<object, ValidateFunction>()
  const complaintsOf = (schema: object, value: unknown, what: string): readonly string[] => {
    let validate = compiled.get(schema)
    if (validate === undefined) {
      validate = ajv.compile(rooted(schema) as object)
      compiled.set(schema, validate)
    }
    return validate(value)
      ? []
      : (validate.errors ?? []).map(
          ({ instancePath, message, params }) => `${what}${instancePath} ${message} ${JSON.stringify(params)}`,
        )
  }

  const resolved = <A>(value: A | Reference): A => {
    if (typeof value !== 'object' || value === null || !('$ref' in value)) return value as A
    const [, , kind = '', name = ''] = value.$ref.split('/')
    return document.components[kind]?.[name] as A
  }

  const paths = Object.entries(document.paths)
    .map(([path, operations]) => ({
      pattern: new RegExp(`^${path.replaceAll(/[.]/g, '\\.').replaceAll(/\{[^}]+\}/g, '[^/]+')}$`),
      operations,
      parameters: path.split('{').length,
    }))
    // `/sessions/summary` is no session.
    .sort((a, b) => a.parameters - b.parameters)

  const operationOf = (method: string, path: string): Operation | undefined => {
    const name = method === 'HEAD' ? 'get' : method.toLowerCase()
    return paths.find(({ pattern }) => pattern.test(path))?.operations[name]
  }

  const headerComplaints = (headers: Said['headers'], documented: Response['headers'] = {}): readonly string[] => {
    const complaints: string[] = []
    const known = new Set<string>()
    for (const [name, documentedHeader] of Object.entries(documented)) {
      const { required, schema } = resolved<Header>(documentedHeader)
      known.add(name.toLowerCase())
      const value = headers[name.toLowerCase()]
      if (value === undefined) {
        if (required) complaints.push(`header ${name} is missing`)
        continue
      }
      const type = (schema as { type?: string }).type
      complaints.push(...complaintsOf(schema, type === 'integer' ? Number(value) : value, `header ${name}`))
    }
    for (const name of Object.keys(headers))
      if (TELLING.test(name) && !known.has(name)) complaints.push(`header ${name} is not documented`)
    return complaints
  }

  const codeComplaints = (body: string, codes: readonly string[]): readonly string[] => {
    const code = (parsed(body) as { code?: unknown } | undefined)?.code
    return codes.includes(String(code)) ? [] : [`code ${String(code)} is not documented here: ${codes.join(', ')}`]
  }

  const bodyComplaints = ({ method, status, headers, body }: Said, content: Response['content']): readonly string[] => {
    const type = (headers['content-type'] ?? '').split(';')[0]?.trim() ?? ''
    if (content === undefined)
      return type === '' && !body ? [] : [`a body of ${type || 'no type'}, where there is none`]
    const media = content[type]
    if (media === undefined)
      return [`media type ${type || 'none'} is not documented: ${Object.keys(content).join(', ')}`]
    if (body === null || method === 'HEAD' || !JSON_TYPE.test(type)) return []
    const json = parsed(body)
    if (json === undefined) return ['the body is not JSON']
    const statusIs = (json as { status?: unknown }).status
    return [
      ...complaintsOf(media.schema, json, 'body'),
      ...(type !== PROBLEM ? [] : codeComplaints(body, Object.keys(media.examples ?? {}))),
      ...(type === PROBLEM && statusIs !== status ? [`the problem says status ${String(statusIs)}`] : []),
    ]
  }

  /** What is not as documented; empty: nothing. */
  const check = (said: Said): readonly string[] => {
    const { method, url, status, headers, body } = said
    const path = url.split('?')[0] ?? ''
    const operation = operationOf(method, path)
    if (operation === undefined) {
      if (method === 'OPTIONS' && status === 204) return []
      // Pages for people are no operations.
      if (/^\/($|docs)/.test(path) && status < 400) return []
      const codes = elsewhere[status]
      if (codes === undefined) return [`there is no such operation, and status ${status}`]
      if (body === null || method === 'HEAD') return []
      const problem = { $ref: '#/components/schemas/Problem' }
      return [...complaintsOf(problemSchema(problem), parsed(body), 'body'), ...codeComplaints(body, codes)]
    }
    const response = operation.responses[status]
    if (response === undefined) return [`status ${status} is not documented for ${operation.operationId}`]
    return [...headerComplaints(headers, response.headers), ...bodyComplaints(said, response.content)]
  }

  let problem: object | undefined
  const problemSchema = (schema: object): object => {
    problem ??= schema
    return problem
  }

  return { check, complaintsOf, resolved }
}

export type Contract = ReturnType<typeof createContract>

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
