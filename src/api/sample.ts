/**
 * Examples for the OpenAPI document, written from a schema: what a field is called says what stands in it, the schema says
 * what may. That an example decodes is tested, so a field that needs more says it itself, by `examples` in its codec.
 */
import type { JsonSchema } from '../../domain/codec/codec.ts'

const ID = '01890a5d-ac96-774b-bcce-b302099a8057'
const AT = '2026-01-31T12:00:00.000Z'

/** By the name of a field. Where one does not fit (a name that means several things) the next that is made up does. */
const words: { readonly [field: string]: unknown } = {
  action: 'stop',
  actor: 'user:ada',
  agentId: 'edge-1',
  createdBy: 'ada',
  cpuMillis: 500,
  cursor: 'eyJhZnRlciI6Imhlcm9uIn0',
  data: {},
  description: 'A page of one’s own',
  detail: 'there is no session "01890a5d-ac96-774b-bcce-b302099a8057" that you can see',
  displayName: 'Hello, web',
  endpoint: null,
  env: { LANG: 'C.UTF-8' },
  generation: 1,
  host: '127.0.0.1',
  id: ID,
  image: 'registry.example/team/desktop:1',
  key: 'ssk_3kTqX0pYbW7nR2mVfZ9cLdJ5gHs8aUeK4iOwNyB6',
  label: ['team=web'],
  labels: { team: 'web' },
  lastError: null,
  memoryMib: 512,
  name: 'research',
  nextCursor: null,
  nextAttemptAt: null,
  orgId: 'acme',
  output: {},
  parameter: { name: 'depth', type: 'integer', minimum: 1, maximum: 9, default: 3 },
  parameters: {},
  path: '/home/user',
  platform: 'process',
  platforms: ['process'],
  port: 8080,
  prefix: 'ssk_3kTqX0pY',
  protocol: 'http',
  q: 'research',
  queue: 'duty.sweep',
  region: 'eu-west',
  replicaId: ID,
  requestId: '7f1e0f0a-3c0e-4c55-8c1c-6b0a4d1f8a52',
  sort: '-createdAt',
  status: 'running',
  statusReason: null,
  spec: { process: { command: ['node', 'hello.mjs'] }, ports: [{ name: 'http' }] },
  template: 'hello-web',
  'template.name': 'hello-web',
  token: 'ssa_Zq3b6kXw9TnV1yR5uJ8sLdM2gHc7aPfE0iOtWxK4',
  url: 'https://sessions.example/hook',
  userId: 'ada',
}

const byFormat: { readonly [format: string]: string } = { uuid: ID, 'date-time': AT, uri: 'https://sessions.example/' }

/** Whether a made-up value may stand there, as far as can be told without a validator. */
const mayStand = (value: unknown, schema: JsonSchema): boolean => {
  const types = [schema.type].flat()
  const type = value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value
  const isType = schema.type === undefined || types.includes(type) || (type === 'number' && types.includes('integer'))
  if (!isType) return false
  if (Array.isArray(schema.enum)) return schema.enum.includes(value)
  if (Array.isArray(schema.anyOf)) return schema.anyOf.some((one) => mayStand(value, one as JsonSchema))
  if (typeof value === 'number')
    return value >= Number(schema.minimum ?? value) && value <= Number(schema.maximum ?? value)
  if (type === 'object') return schema.properties === undefined || 'process' in (value as object)
  if (typeof value !== 'string') return true
  if (typeof schema.format === 'string' && byFormat[schema.format] !== undefined)
    return schema.format === 'uuid' ? value === ID : schema.format === 'uri'
  return typeof schema.pattern !== 'string' || new RegExp(schema.pattern, 'u').test(value)
}

const text = (schema: JsonSchema): string => {
  const made = byFormat[String(schema.format)]
  if (made !== undefined) return made
  const fits = ['http', 'edge-1', 'PORT', '/home', 'a'].find((word) => mayStand(word, schema))
  return typeof schema.pattern === 'string' ? (fits ?? '') : 'text'
}

const isNullable = ({ type, anyOf }: JsonSchema): boolean =>
  [type].flat().includes('null') || (Array.isArray(anyOf) && anyOf.some((one) => (one as JsonSchema).type === 'null'))

const first = (schema: JsonSchema, keyword: string): JsonSchema | undefined => (schema[keyword] as JsonSchema[])?.[0]

/** The fields of all alternatives but the first. */
const ofOthers = ({ oneOf }: JsonSchema): readonly string[] =>
  ((oneOf ?? []) as readonly { readonly required?: readonly string[] }[])
    .slice(1)
    .flatMap(({ required }) => required ?? [])

/** A value that decodes, for people to read. `name`: of the field it is for. */
export const sampleOf = (schema: JsonSchema, name = '', inside = ''): unknown => {
  if (Array.isArray(schema.examples)) return schema.examples[0]
  const word = words[`${inside}.${name}`] ?? words[name]
  if (word !== undefined && mayStand(word, schema)) return word
  if (schema.default !== undefined) return schema.default
  if ('const' in schema) return schema.const
  if (Array.isArray(schema.enum)) return schema.enum[0]
  if (isNullable(schema)) return null
  const alternative = schema.properties === undefined ? (first(schema, 'anyOf') ?? first(schema, 'oneOf')) : undefined
  if (alternative !== undefined) return sampleOf(alternative, name)
  switch ([schema.type].flat()[0]) {
    case 'string':
      return text(schema)
    case 'integer':
    case 'number':
      return Math.max(Number(schema.minimum ?? 1), 1)
    case 'boolean':
      return false
    case 'array':
      return [sampleOf((schema.items ?? {}) as JsonSchema, singular(name))]
    case 'object':
      return Object.fromEntries(
        Object.entries((schema.properties ?? {}) as { readonly [field: string]: JsonSchema })
          .filter(([field]) => !ofOthers(schema).includes(field))
          .map(([field, inner]) => [field, sampleOf(inner, field, name)]),
      )
    default:
      return {}
  }
}

const singular = (name: string): string => name.replace(/s$/, '')
