/**
 * The part of a spec that is for containers, read and checked: what Docker and Kubernetes share. The server checks
 * templates too; an agent trusts nobody with its machine and says what it refuses.
 */
import type { Desired, WireSpec } from '../protocol.ts'
import { probeOf } from '../runtime/probe.ts'

export type Mount = { readonly hostPath: string; readonly path: string; readonly readOnly: boolean }

export type ContainerPort = { readonly name: string; readonly port: number; readonly protocol: string }

export type ContainerSpec = {
  readonly image: string
  readonly command: readonly string[] | null
  readonly args: readonly string[] | null
  /** null: the image's. */
  readonly user: number | null
  readonly env: { readonly [name: string]: string }
  readonly capabilities: readonly string[]
  readonly readOnlyRootFilesystem: boolean
  readonly mounts: readonly Mount[]
  readonly ports: readonly ContainerPort[]
  readonly home: { readonly path: string; readonly sizeMib: number }
}

export type Read = { readonly kind: 'spec'; readonly spec: ContainerSpec } | Refused
export type Refused = { readonly kind: 'refused'; readonly message: string }

export const DEFAULT_HOME = '/home/user'
const DEFAULT_HOME_MIB = 1_024
const MAX_ENVIRONMENT_BYTES = 1024 * 1024
const MAX_ENVIRONMENT_VALUES = 400

/**
 * A reference to an image as the distribution project spells it (distribution/reference, grammar): a registry, a
 * path in lower case, a tag, a digest.
 */
const IMAGE =
  /^(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::\d{1,5})?\/)?[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*(?::[A-Za-z0-9_][A-Za-z0-9._-]{0,127})?(?:@sha256:[0-9a-f]{64})?$/

/** capabilities(7), without those that make the container's boundary none. */
const capabilitiesKnown = new Set([
  'AUDIT_WRITE',
  'CHOWN',
  'DAC_OVERRIDE',
  'FOWNER',
  'FSETID',
  'IPC_LOCK',
  'KILL',
  'LEASE',
  'MKNOD',
  'NET_BIND_SERVICE',
  'NET_RAW',
  'SETFCAP',
  'SETGID',
  'SETPCAP',
  'SETUID',
  'SYS_CHROOT',
  'SYS_NICE',
])

type Unread = { readonly [name: string]: unknown }

const isText = (value: unknown): value is string => typeof value === 'string' && !value.includes('\0')
const isTexts = (value: unknown): value is readonly string[] => Array.isArray(value) && value.every(isText)
const isRecord = (value: unknown): value is Unread =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

class Refusal extends Error {}
const refuse = (message: string): never => {
  throw new Refusal(message)
}

/** An absolute path below the root, without `..`: also not one that names the root in another way. */
const pathOf = (what: string, value: unknown): string => {
  const parts = isText(value) ? value.split('/') : []
  const named = parts.filter((part) => part !== '' && part !== '.')
  if (!isText(value) || !value.startsWith('/') || value.length > 255 || named.length === 0 || named.includes('..'))
    return refuse(`${what} must be an absolute path below / without .., not ${JSON.stringify(value)}`)
  return `/${named.join('/')}`
}

const environmentOf = (what: string, value: unknown): { readonly [name: string]: string } => {
  if (value === undefined) return {}
  if (!isRecord(value)) return refuse(`${what} must be an object of texts`)
  for (const [name, text] of Object.entries(value)) {
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name))
      refuse(`${what}: ${JSON.stringify(name)} cannot be the name of an environment variable`)
    if (!isText(text)) refuse(`${what}.${name} must be a text without NUL`)
  }
  return value as { readonly [name: string]: string }
}

const portsOf = (spec: WireSpec): readonly ContainerPort[] => {
  const names = new Set<string>()
  return (spec.ports ?? []).map(({ name, port, protocol = 'tcp' }) => {
    if (port === undefined)
      return refuse(`port ${name} has no number: a container needs the port inside (spec.ports[].port)`)
    if (!Number.isInteger(port) || port < 1 || port > 65_535)
      return refuse(`port ${name} must be a number from 1 to 65535, not ${port}`)
    if (names.has(name)) return refuse(`two ports are called ${name}`)
    names.add(name)
    return { name, port, protocol }
  })
}

const capabilitiesOf = (value: unknown): readonly string[] => {
  if (value === undefined) return []
  if (!isTexts(value)) return refuse('container.security.capabilities must be a list of names')
  return value.map((given) => {
    const name = given.toUpperCase().replace(/^CAP_/, '')
    return capabilitiesKnown.has(name)
      ? name
      : refuse(
          `the capability ${JSON.stringify(given)} is not given to sessions; allowed: ${[...capabilitiesKnown].join(', ')}`,
        )
  })
}

const mountsOf = (value: unknown, allowed: readonly string[]): readonly Mount[] => {
  if (value === undefined) return []
  if (!Array.isArray(value)) return refuse('container.mounts must be a list')
  return value.map((mount: unknown) => {
    if (!isRecord(mount)) return refuse('container.mounts must be a list of {hostPath, path, readOnly}')
    const hostPath = pathOf('container.mounts[].hostPath', mount.hostPath)
    // Those themselves and nothing below: a session could make a link there that leads anywhere on the host.
    if (!allowed.includes(hostPath))
      refuse(
        `mounting ${hostPath} of the host is not allowed here${allowed.length === 0 ? '' : `; allowed: ${allowed.join(', ')}`}: ` +
          "the agent's setting STREAMSPACE_ALLOWED_MOUNTS names the paths that are",
      )
    return { hostPath, path: pathOf('container.mounts[].path', mount.path), readOnly: mount.readOnly === true }
  })
}

type Place = readonly [path: string, what: string]

/** Neither engine nor cluster mounts two things in one place. */
const eachPlaceOnce = ({ home, mounts, readOnlyRootFilesystem }: ContainerSpec): void => {
  const taken = new Map([[home.path, 'the home']])
  const tmp: readonly Place[] = readOnlyRootFilesystem ? [['/tmp', 'the /tmp beside a read-only root']] : []
  const mounted = mounts.map(({ hostPath, path }): Place => [path, `${hostPath} of the host`])
  for (const [path, what] of [...tmp, ...mounted]) {
    const other = taken.get(path)
    if (other !== undefined) refuse(`${other} and ${what} cannot both be at ${path}: mount one of them elsewhere`)
    taken.set(path, what)
  }
}

const boundedEnvironment = (environments: readonly { readonly [name: string]: string }[]): void => {
  const entries = environments.flatMap((one) => Object.entries(one))
  const bytes = entries.reduce((sum, [name, value]) => sum + Buffer.byteLength(name) + Buffer.byteLength(value) + 2, 0)
  if (bytes > MAX_ENVIRONMENT_BYTES)
    refuse(`the environment has ${bytes} bytes; a container can be given ${MAX_ENVIRONMENT_BYTES}`)
  if (entries.length > MAX_ENVIRONMENT_VALUES)
    refuse(`the environment has ${entries.length} values; a container can be given ${MAX_ENVIRONMENT_VALUES}`)
  // execve(2): one string may have 128 KiB, its end included.
  const long = entries.find(([name, value]) => Buffer.byteLength(name) + Buffer.byteLength(value) + 2 > 128 * 1024)
  if (long !== undefined)
    refuse(`the environment variable ${long[0]} is longer than the 128 KiB that a program can be given`)
}

const read = ({ spec }: Desired, allowedMounts: readonly string[]): ContainerSpec => {
  const { container } = spec
  if (!isRecord(container)) return refuse('the spec has no part for containers (spec.container)')
  const { image, command, args, user, security } = container
  if (!isText(image) || image.length > 512 || !IMAGE.test(image))
    return refuse(
      `container.image ${JSON.stringify(image)} is not the name of an image, such as docker.io/library/busybox:1.36`,
    )
  for (const [name, value] of Object.entries({ command, args }))
    if (value !== undefined && !isTexts(value)) refuse(`container.${name} must be a list of texts`)
  if (user !== undefined && (typeof user !== 'number' || !Number.isInteger(user) || user < 0 || user > 2_147_483_647))
    refuse('container.user must be the number of a user')
  if (security !== undefined && !isRecord(security)) refuse('container.security must be an object')
  const secured = isRecord(security) ? security : {}
  const env = environmentOf('container.env', container.env)
  boundedEnvironment([env, environmentOf('env', spec.env)])
  const probe = probeOf(spec)
  if (probe.type === 'invalid') refuse(probe.message)
  const result: ContainerSpec = {
    image,
    command: isTexts(command) ? command : null,
    args: isTexts(args) ? args : null,
    user: typeof user === 'number' ? user : null,
    env,
    capabilities: capabilitiesOf(secured.capabilities),
    readOnlyRootFilesystem: secured.readOnlyRootFilesystem === true,
    mounts: mountsOf(container.mounts, allowedMounts),
    ports: portsOf(spec),
    home: {
      path: spec.home?.path === undefined ? DEFAULT_HOME : pathOf('home.path', spec.home.path),
      sizeMib: spec.home?.sizeMib ?? DEFAULT_HOME_MIB,
    },
  }
  eachPlaceOnce(result)
  return result
}

/** `allowedMounts`: paths of the host that may be mounted. */
export const readContainerSpec = (desired: Desired, allowedMounts: readonly string[]): Read => {
  try {
    return { kind: 'spec', spec: read(desired, allowedMounts) }
  } catch (error) {
    if (error instanceof Refusal) return { kind: 'refused', message: error.message }
    throw error
  }
}
