/** The template document (`docs/templates.md`) and the spec that a command carries, as codecs. */
import * as t from 'io-ts'
import * as c from '../codec/codec.ts'
import { E } from '../fp.ts'
import { DNS_LABEL, DNS_LABEL_IN_WORDS } from '../ids.ts'
import { strategies } from '../placement/refusal.ts'
import { ENV_NAME, ENV_VALUE_LENGTH, parameterCodec } from './parameter-codec.ts'

const PORT_NAME = '^[a-z]([-a-z0-9]{0,13}[a-z0-9])?$'

/** Environment variables, as a session, a template or a command names them. */
export const envCodec = c.record(c.string({ maxLength: ENV_VALUE_LENGTH }), {
  keyPattern: ENV_NAME,
  keyMessage: 'the name of an environment variable has letters, digits and _ only, and no digit first',
  maxProperties: 200,
})

const text = (maxLength: number) => c.string({ maxLength })
const argument = c.string({ maxLength: 8_192 })
const command = c.array(argument, { minItems: 1, maxItems: 200 })

export const resourcesCodec = c.object({
  cpuMillis: c.integer({ minimum: 1, maximum: 1_000_000, description: 'thousandths of a CPU core' }),
  memoryMib: c.integer({ minimum: 1, maximum: 16_777_216, description: 'MiB' }),
})

/** What a session asks for: either figure, or both; the rest comes from the template. */
export const partialResourcesCodec = c.object({}, resourcesCodec.required)

const portCodec = c.object(
  { name: c.string({ pattern: PORT_NAME, description: 'lower-case, at most 15 characters' }) },
  {
    port: c.integer({ minimum: 1, maximum: 65_535 }),
    protocol: c.oneOf(['http', 'tcp', 'vnc']),
  },
)

/** An absolute path without `..`, and not the root itself. */
const homePath = c.refined(c.string({ maxLength: 255, pattern: '^/' }), (path) =>
  path.split('/').includes('..') || path.replaceAll('/', '').replaceAll('.', '') === ''
    ? 'must be an absolute path below / without ..'
    : null,
)

const homeCodec = c.object({}, { path: homePath, sizeMib: c.integer({ minimum: 1, maximum: 16_777_216 }) })

const probeCodec = c.refined(
  c.object(
    { type: c.oneOf(['http', 'tcp', 'exec']) },
    {
      port: c.string({ pattern: PORT_NAME, description: "a port's name; default: the first" }),
      path: c.string({ maxLength: 1024, pattern: '^/' }),
      command,
      intervalMs: c.integer({ minimum: 50, maximum: 60_000 }),
      timeoutMs: c.integer({ minimum: 50, maximum: 60_000 }),
    },
  ),
  (probe) => (probe.type === 'exec' && probe.command === undefined ? 'an exec probe needs a command' : null),
)

const restartCodec = c.object(
  { policy: c.oneOf(['never', 'on-failure', 'always']) },
  { maxRetries: c.integer({ minimum: 0, maximum: 1000 }) },
)

const processCodec = c.object({ command }, { env: envCodec })

const mountCodec = c.object({ hostPath: homePath, path: homePath }, { readOnly: c.boolean })

const containerCodec = c.object(
  { image: c.string({ minLength: 1, maxLength: 512, pattern: '^[^\\s]+$' }) },
  {
    command,
    args: c.array(argument, { maxItems: 200 }),
    user: c.integer({ minimum: 0, maximum: 2_147_483_647 }),
    env: envCodec,
    security: c.object({}, { capabilities: c.array(text(64), { maxItems: 64 }), readOnlyRootFilesystem: c.boolean }),
    mounts: c.array(mountCodec, { maxItems: 32 }),
  },
)

const specFields = {
  process: processCodec,
  container: containerCodec,
  ports: c.refined(c.array(portCodec, { maxItems: 32 }), (ports) =>
    new Set(ports.map((port) => port.name)).size === ports.length ? null : 'names must be unique',
  ),
  home: homeCodec,
  probe: probeCodec,
  restart: restartCodec,
  startTimeoutSeconds: c.integer({ minimum: 1, maximum: 86_400 }),
  stopGraceSeconds: c.integer({ minimum: 0, maximum: 3_600 }),
  docker: c.anyObject,
  kubernetes: c.anyObject,
} as const

const knownSpec = c.object({}, specFields)
export type KnownSpec = c.TypeOf<typeof knownSpec>

/** The known fields, and one object a platform that this version does not know by name. */
export type TemplateSpec = KnownSpec & { readonly [platform: string]: unknown }

const platformName = new RegExp(DNS_LABEL, 'u')

/** Fields that a command's spec has beside the template's: no platform can be called so. */
const taken = ['resources', 'env']

const isPlatform = (name: string, value: unknown): boolean =>
  !Object.hasOwn(specFields, name) &&
  !taken.includes(name) &&
  platformName.test(name) &&
  typeof value === 'object' &&
  value !== null &&
  !Array.isArray(value)

/** Known fields decode strictly; anything else must be an object and is another platform's own part. */
export const specCodec: c.Codec<TemplateSpec> = c.codec<TemplateSpec>(
  'TemplateSpec',
  {
    ...knownSpec.schema,
    additionalProperties: { type: 'object', description: 'what another platform needs, by its name' },
  },
  (input, context) => {
    if (typeof input !== 'object' || input === null || Array.isArray(input)) return knownSpec.validate(input, context)
    const entries = Object.entries(input)
    const known = knownSpec.validate(Object.fromEntries(entries.filter((entry) => !isPlatform(...entry))), context)
    const errors: t.Errors = E.isLeft(known) ? [...known.left] : []
    const others: { [platform: string]: unknown } = {}
    for (const [name, value] of entries.filter((entry) => isPlatform(...entry))) {
      const decoded = c.anyObject.validate(value, t.appendContext(context, name, c.anyObject, value))
      if (E.isRight(decoded)) others[name] = decoded.right
      else errors.push(...decoded.left)
    }
    return E.isLeft(known) || errors.length > 0 ? t.failures(errors) : t.success({ ...known.right, ...others })
  },
)

/**
 * Platforms that a spec can run on. `process` and `container` say it for the platforms known by name;
 * `docker` and `kubernetes` only add to `container`; every other key names its own platform.
 */
export const platformsOf = (spec: TemplateSpec): readonly string[] => [
  ...(spec.process === undefined ? [] : ['process']),
  ...(spec.container === undefined ? [] : ['docker', 'kubernetes']),
  ...Object.keys(spec).filter((name) => !Object.hasOwn(specFields, name)),
]

/** Labels that a session's agent has to have. */
export const agentLabelsCodec = c.record(c.string({ maxLength: 256 }), {
  keyPattern: '^[^\\s=,\\p{Cc}]{1,63}$',
  keyMessage: 'the name of a label has 1–63 characters, no spaces, no = and no comma',
  maxProperties: 16,
  description: 'labels that the agent has to have, each with this value; at most 16',
})

/** Where its sessions go: for placement only, agents never see it. */
const placementCodec = c.object(
  {},
  {
    strategy: c.oneOf(strategies, {
      default: 'spread',
      description: '`spread` over all agents, or `pack` onto as few as hold them',
    }),
    agentLabels: agentLabelsCodec,
  },
)

const documentCodec = c.object(
  {
    name: c.string({ pattern: DNS_LABEL, means: DNS_LABEL_IN_WORDS, description: 'DNS label' }),
    displayName: c.string({ minLength: 1, maxLength: 100 }),
    spec: specCodec,
  },
  {
    description: text(2_000),
    category: text(100),
    icon: text(2_000),
    tags: c.array(text(64), { maxItems: 32 }),
    parameters: c.array(parameterCodec, { maxItems: 100 }),
    resources: partialResourcesCodec,
    placement: placementCodec,
  },
)

export type TemplateDocument = c.TypeOf<typeof documentCodec>

const probePortExists = ({ spec }: TemplateDocument): c.Complaint | null => {
  const name = spec.probe?.port
  return name === undefined || spec.ports?.some((port) => port.name === name)
    ? null
    : { field: ['spec', 'probe', 'port'], message: `names ${name}, which spec.ports has not` }
}

const duplicateParameter = ({ parameters = [] }: TemplateDocument): c.Complaint | null => {
  const names = parameters.map((parameter) => parameter.name)
  const twice = names.find((name, index) => names.indexOf(name) !== index)
  return twice === undefined ? null : { field: ['parameters'], message: `has ${twice} twice` }
}

const MAX_DOCUMENT_BYTES = 256 * 1024
const utf8 = new TextEncoder()

/** A whole document: also what no single field can tell. A command must fit one frame, so it is bounded. */
export const templateDocumentCodec: c.Codec<TemplateDocument> = c.refined(documentCodec, (document) => {
  if (platformsOf(document.spec).length === 0)
    return {
      field: ['spec'],
      message: 'must have process, container, or another platform by its name: nothing could run it',
    }
  if (utf8.encode(JSON.stringify(document)).length > MAX_DOCUMENT_BYTES)
    return `must be at most ${MAX_DOCUMENT_BYTES} bytes of JSON`
  return probePortExists(document) ?? duplicateParameter(document)
})
