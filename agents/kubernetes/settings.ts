/** What can be set of the Kubernetes agent, its defaults, and how the environment says it. */
import { isIP } from 'node:net'
import { E } from '../../domain/fp.ts'
import { HEALTHY_AFTER_MS } from '../../domain/template/restart.ts'
import { type Environment, given, settingReader } from '../runtime/setting-reader.ts'

export type KubernetesSettings = {
  readonly agentId: string
  /** A file; without it the account of the pod that the agent runs in. */
  readonly kubeconfig?: string
  /** Where sessions live. */
  readonly namespace?: string
  /** For homes; the cluster's default when not set. */
  readonly storageClass?: string
  /** Such as `{session}.apps.example.org`: each session gets an Ingress, and its endpoint is there. */
  readonly ingressHost?: string
  readonly ingressClass?: string
  /** A certificate for those hosts, by the name of its Secret: endpoints are https. */
  readonly ingressTlsSecret?: string
  /** For the registry of images: names of Secrets in the namespace. */
  readonly imagePullSecrets?: readonly string[]
  /** Paths of nodes that templates may mount: these, and none below them. Pods that do are no longer `restricted`. */
  readonly allowedMounts?: readonly string[]
  /** Networks from which sessions are reached beside pods: of nodes, and of whatever else is no pod. */
  readonly allowedCidrs?: readonly string[]
  /** Whether replicas of this agent take turns: one works, the others wait. */
  readonly lease?: boolean
  /** Whether sessions and templates are shown as objects of the cluster, for people with kubectl. */
  readonly projection?: boolean
  readonly maxSessions?: number
  readonly cpuMillis?: number
  readonly memoryMib?: number
  /** After this long without trouble earlier restarts no longer count. */
  readonly healthyAfterMs?: number
  /** How long the API server may be away before the agent says so. */
  readonly degradedAfterMs?: number
}

export const defaults = {
  namespace: 'streamspace',
  imagePullSecrets: [] as readonly string[],
  allowedMounts: [] as readonly string[],
  allowedCidrs: [] as readonly string[],
  lease: true,
  projection: false,
  healthyAfterMs: HEALTHY_AFTER_MS,
  degradedAfterMs: 5_000,
} as const

export type Settings = KubernetesSettings & {
  readonly [K in keyof typeof defaults]: NonNullable<KubernetesSettings[K]>
}

const LABEL = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/
const NAME = /^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/
export const SESSION_IN_HOST = '{session}'

const matching =
  (pattern: RegExp) =>
  (text: string): string | undefined =>
    pattern.test(text) ? text : undefined

const hostPattern = (text: string): string | undefined => {
  const parts = text.split(SESSION_IN_HOST)
  // A label of a host has 63 characters at most, and a session's id has 36.
  return parts.length === 2 && NAME.test(parts.join('x'.repeat(36))) && /^[^.]{0,27}\./.test(parts.join(''))
    ? text
    : undefined
}

const names = (text: string): readonly string[] | undefined => {
  const all = text.split(',').map((name) => name.trim())
  return all.every((name) => NAME.test(name)) ? all : undefined
}

const paths = (text: string): readonly string[] | undefined => {
  const all = text.split(':').map((path) => path.replace(/\/+$/, ''))
  return all.every((path) => /^\/[^/]/.test(path) && !path.split('/').includes('..')) ? all : undefined
}

/** An address and how many of its bits count, of either family, as the API server takes them. */
const isCidr = (text: string): boolean => {
  const [, address = '', bits] = /^([^/%]+)\/(0|[1-9]\d{0,2})$/.exec(text) ?? []
  const family = isIP(address)
  return family !== 0 && Number(bits) <= (family === 4 ? 32 : 128)
}

const cidrs = (text: string): readonly string[] | undefined => {
  const all = text.split(',').map((cidr) => cidr.trim())
  return all.every(isCidr) ? all : undefined
}

/** `KUBECONFIG`, `STREAMSPACE_NAMESPACE` and their like; each wrong one is named. */
export const kubernetesSettingsFrom = (
  environment: Environment,
  agentId: string,
): E.Either<readonly string[], KubernetesSettings> => {
  const { wrong, read, wholeNumber, yesOrNo } = settingReader(environment)
  const said = {
    kubeconfig: read(
      'KUBECONFIG',
      (text) => (text.includes(':') ? undefined : text),
      'the path of one file: name the one whose current context this agent is to use',
    ),
    namespace: read('STREAMSPACE_NAMESPACE', matching(LABEL), 'the name of a namespace'),
    storageClass: read('STREAMSPACE_STORAGE_CLASS', matching(NAME), 'the name of a StorageClass'),
    ingressHost: read(
      'STREAMSPACE_INGRESS_HOST',
      hostPattern,
      `a host with ${SESSION_IN_HOST} once in its first label, such as ${SESSION_IN_HOST}.apps.example.org`,
    ),
    ingressClass: read('STREAMSPACE_INGRESS_CLASS', matching(NAME), 'the name of an IngressClass'),
    ingressTlsSecret: read('STREAMSPACE_INGRESS_TLS_SECRET', matching(NAME), 'the name of a Secret'),
    imagePullSecrets: read('STREAMSPACE_IMAGE_PULL_SECRETS', names, 'names of Secrets, between commas'),
    allowedMounts: read('STREAMSPACE_ALLOWED_MOUNTS', paths, 'absolute paths below / without .., between colons'),
    allowedCidrs: read(
      'STREAMSPACE_ALLOWED_CIDRS',
      cidrs,
      'networks between commas, such as 10.0.0.0/16,2001:db8::/64: an address, a slash and how many bits of it count',
    ),
    lease: yesOrNo('STREAMSPACE_LEASE'),
    projection: yesOrNo('STREAMSPACE_PROJECTION'),
    maxSessions: wholeNumber('STREAMSPACE_MAX_SESSIONS'),
    cpuMillis: wholeNumber('STREAMSPACE_CPU_MILLIS'),
    memoryMib: wholeNumber('STREAMSPACE_MEMORY_MIB'),
  }
  if (said.kubeconfig === undefined && !environment.KUBERNETES_SERVICE_HOST)
    wrong.push('KUBECONFIG must be set outside of a cluster: the path of a kubeconfig file')
  return wrong.length > 0 ? E.left(wrong) : E.right({ agentId, ...given(said) })
}
