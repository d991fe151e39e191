/** What can be set of the Docker agent, its defaults, and how the environment says it. */
import { E } from '../../domain/fp.ts'
import { type Backoff, HEALTHY_AFTER_MS, RESTART_BACKOFF } from '../../domain/template/restart.ts'
import { type Environment, given, settingReader } from '../runtime/setting-reader.ts'
import { type Pool, parsePool } from './subnets.ts'

export type DockerSettings = {
  readonly agentId: string
  /** `unix:///path` or `tcp://host:port`. */
  readonly dockerHost?: string
  /** The address of the host on which ports of sessions are published. */
  readonly publishAddress?: string
  /** The host in `endpoint.url`. */
  readonly advertiseHost?: string
  /** Paths of the host that templates may mount: these, and none below them. */
  readonly allowedMounts?: readonly string[]
  /** Addresses from which each org gets a network. */
  readonly subnetPool?: Pool
  /** A file as `docker login` writes it (`config.json`), for pulling images. */
  readonly registryAuthFile?: string
  readonly pidsLimit?: number
  /** How many sessions are started at a time without being asked for. */
  readonly parallelRestarts?: number
  /** Sessions of several orgs where ports are published on more than the loopback address: see `sharing.ts`. */
  readonly allowShared?: boolean
  readonly maxSessions?: number
  readonly cpuMillis?: number
  readonly memoryMib?: number
  /** Waiting before a restart: doubled from `baseMs` each time, at most `capMs`. */
  readonly backoff?: Backoff
  /** After this long without trouble earlier restarts no longer count. */
  readonly healthyAfterMs?: number
}

export const defaults = {
  dockerHost: 'unix:///var/run/docker.sock',
  publishAddress: '127.0.0.1',
  allowedMounts: [] as readonly string[],
  subnetPool: { address: 0x0a_d5_00_00, prefix: 16 },
  pidsLimit: 512,
  parallelRestarts: 16,
  backoff: RESTART_BACKOFF,
  healthyAfterMs: HEALTHY_AFTER_MS,
} as const

export type Settings = DockerSettings & { readonly [K in keyof typeof defaults]: NonNullable<DockerSettings[K]> }

const paths = (text: string): readonly string[] | undefined => {
  const all = text.split(':').map((path) => path.replace(/\/+$/, ''))
  return all.every((path) => /^\/[^/]/.test(path) && !path.split('/').includes('..')) ? all : undefined
}

const engineHost = (text: string): string | undefined =>
  /^unix:\/\/\/./.test(text) || /^(tcp|https?):\/\/[^/]+\/?$/.test(text) ? text : undefined

const address = (text: string): string | undefined =>
  /^(\d{1,3}\.){3}\d{1,3}$|^[0-9a-f:]+$/i.test(text) ? text : undefined

/** `STREAMSPACE_DOCKER_*` and its like; each wrong one is named. */
export const dockerSettingsFrom = (
  environment: Environment,
  agentId: string,
): E.Either<readonly string[], DockerSettings> => {
  const { wrong, read, wholeNumber, yesOrNo, host } = settingReader(environment)
  const said = {
    dockerHost: read('DOCKER_HOST', engineHost, 'unix:///path or tcp://host:port'),
    publishAddress: read('STREAMSPACE_DOCKER_PUBLISH_ADDRESS', address, 'an address of this host'),
    advertiseHost: host('STREAMSPACE_DOCKER_ADVERTISE_HOST'),
    allowedMounts: read('STREAMSPACE_ALLOWED_MOUNTS', paths, 'absolute paths below / without .., between colons'),
    subnetPool: read(
      'STREAMSPACE_DOCKER_SUBNETS',
      parsePool,
      'a range of addresses such as 10.213.0.0/16, from /8 to /24',
    ),
    registryAuthFile: environment.STREAMSPACE_DOCKER_AUTH_FILE || undefined,
    allowShared: yesOrNo('STREAMSPACE_ALLOW_SHARED_DOCKER_AGENT'),
    pidsLimit: wholeNumber('STREAMSPACE_DOCKER_PIDS_LIMIT'),
    maxSessions: wholeNumber('STREAMSPACE_MAX_SESSIONS'),
    cpuMillis: wholeNumber('STREAMSPACE_CPU_MILLIS'),
    memoryMib: wholeNumber('STREAMSPACE_MEMORY_MIB'),
  }
  if (
    said.publishAddress !== undefined &&
    /^(0\.0\.0\.0|::)$/.test(said.publishAddress) &&
    said.advertiseHost === undefined
  )
    wrong.push(
      'STREAMSPACE_DOCKER_ADVERTISE_HOST must be set when ports are published on every address: endpoints need a host',
    )
  return wrong.length > 0 ? E.left(wrong) : E.right({ agentId, ...given(said) })
}
