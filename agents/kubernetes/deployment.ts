/**
 * A session's Deployment, as a pure function. Its pods fulfil the pod security standard `restricted`
 * (kubernetes.io/docs/concepts/security/pod-security-standards), but for mounts of the host where the agent's
 * settings allow them.
 */
import type {
  V1Container,
  V1Deployment,
  V1PodSpec,
  V1Probe,
  V1Toleration,
  V1Volume,
  V1VolumeMount,
} from '@kubernetes/client-node'
import type { WireSpec } from '../protocol.ts'
import { DEFAULT_TIMEOUT_MS, probeOf } from '../runtime/probe.ts'
import { GENERATION, INCARNATION, labelsOf, nameOf, SESSION_LABEL, STAMP, START } from './names.ts'
import { type Blueprint, metadataOf } from './parts.ts'

/** Sessions that people sit at are idle most of the time: the scheduler is asked for an eighth of what they may take. */
const CPU_OVERCOMMIT = 8

export const deploymentOf = (blueprint: Blueprint, replicas: 0 | 1, stamp: string): V1Deployment => {
  const { sessionId, settings, generation, start, desired } = blueprint
  const metadata = metadataOf(blueprint)
  return {
    metadata: {
      ...metadata,
      annotations: { ...metadata.annotations, [GENERATION]: String(generation), [STAMP]: stamp },
    },
    spec: {
      replicas,
      // Never two pods on one home.
      strategy: { type: 'Recreate' },
      revisionHistoryLimit: 0,
      selector: { matchLabels: { [SESSION_LABEL]: sessionId } },
      template: {
        metadata: {
          labels: labelsOf(sessionId, settings.agentId),
          annotations: { [START]: String(start), [INCARNATION]: String(desired.incarnation) },
        },
        spec: podSpecOf(blueprint),
      },
    },
  }
}

/** What of `spec.kubernetes` is understood; the rest is left out. */
type Particulars = {
  readonly nodeSelector?: { readonly [label: string]: string }
  readonly tolerations?: readonly V1Toleration[]
  readonly runtimeClassName?: string
  readonly priorityClassName?: string
  readonly imagePullSecrets?: readonly string[]
  readonly gpu?: number
  readonly gpuResource?: string
}

const podSpecOf = (blueprint: Blueprint): V1PodSpec => {
  const { container, desired, settings } = blueprint
  const own = (desired.spec.kubernetes ?? {}) as Particulars
  const pullSecrets = [...settings.imagePullSecrets, ...(own.imagePullSecrets ?? [])]
  return {
    automountServiceAccountToken: false,
    enableServiceLinks: false,
    // 0 would take the pod away before its processes are gone.
    terminationGracePeriodSeconds: Math.max(1, desired.spec.stopGraceSeconds ?? 10),
    securityContext: {
      runAsNonRoot: true,
      ...(container.user === null ? {} : { runAsUser: container.user, runAsGroup: container.user }),
      fsGroup: container.user ?? DEFAULT_GROUP,
      fsGroupChangePolicy: 'OnRootMismatch',
      seccompProfile: { type: 'RuntimeDefault' },
    },
    containers: [containerOf(blueprint)],
    volumes: volumesOf(blueprint),
    ...(pullSecrets.length === 0 ? {} : { imagePullSecrets: pullSecrets.map((name) => ({ name })) }),
    ...(own.nodeSelector === undefined ? {} : { nodeSelector: { ...own.nodeSelector } }),
    ...(own.tolerations === undefined ? {} : { tolerations: [...own.tolerations] }),
    ...(own.runtimeClassName === undefined ? {} : { runtimeClassName: own.runtimeClassName }),
    ...(own.priorityClassName === undefined ? {} : { priorityClassName: own.priorityClassName }),
  }
}

/** Of a home whose image says who its user is. */
const DEFAULT_GROUP = 1000

const containerOf = (blueprint: Blueprint): V1Container => {
  const { container, desired, sessionId } = blueprint
  const { spec } = desired
  const { gpu, gpuResource = 'nvidia.com/gpu' } = (spec.kubernetes ?? {}) as Particulars
  const memory = `${spec.resources.memoryMib}Mi`
  const probe = readinessOf(spec)
  return {
    name: 'session',
    image: container.image,
    imagePullPolicy: 'IfNotPresent',
    ...(container.command === null ? {} : { command: [...container.command] }),
    ...(container.args === null ? {} : { args: [...container.args] }),
    workingDir: container.home.path,
    envFrom: [{ secretRef: { name: nameOf(sessionId) } }],
    ports: container.ports.map(({ name, port }) => ({ name, containerPort: port, protocol: 'TCP' })),
    resources: {
      requests: { cpu: `${Math.max(1, Math.ceil(spec.resources.cpuMillis / CPU_OVERCOMMIT))}m`, memory },
      limits: {
        cpu: `${spec.resources.cpuMillis}m`,
        memory,
        ...(gpu === undefined ? {} : { [gpuResource]: String(gpu) }),
      },
    },
    ...(probe === null ? {} : { readinessProbe: probe }),
    // The end of the output of what ended badly comes with the pod's status.
    terminationMessagePolicy: 'FallbackToLogsOnError',
    securityContext: {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: container.readOnlyRootFilesystem,
      capabilities: {
        drop: ['ALL'],
        ...(container.capabilities.length === 0 ? {} : { add: [...container.capabilities] }),
      },
    },
    volumeMounts: mountsOf(blueprint),
  }
}

/** Kubernetes counts in seconds. */
const seconds = (ms: number): number => Math.max(1, Math.ceil(ms / 1000))

const readinessOf = (spec: WireSpec): V1Probe | null => {
  const probe = probeOf(spec)
  const { intervalMs = 1_000, timeoutMs = DEFAULT_TIMEOUT_MS } = spec.probe ?? {}
  const pace = { periodSeconds: seconds(intervalMs), timeoutSeconds: seconds(timeoutMs), failureThreshold: 3 }
  switch (probe.type) {
    case 'none':
    case 'invalid':
      return null
    case 'tcp':
      return { tcpSocket: { port: probe.portName }, ...pace }
    case 'http':
      return { httpGet: { path: probe.path, port: probe.portName }, ...pace }
    case 'exec':
      return { exec: { command: [...probe.command] }, ...pace }
  }
}

const volumesOf = ({ container, desired, sessionId }: Blueprint): V1Volume[] => [
  desired.persistentHome
    ? { name: 'home', persistentVolumeClaim: { claimName: nameOf(sessionId) } }
    : { name: 'home', emptyDir: { sizeLimit: `${container.home.sizeMib}Mi` } },
  ...(container.readOnlyRootFilesystem ? [{ name: 'tmp', emptyDir: {} }] : []),
  ...container.mounts.map(({ hostPath }, index) => ({ name: `mount-${index}`, hostPath: { path: hostPath } })),
]

const mountsOf = ({ container }: Blueprint): V1VolumeMount[] => [
  { name: 'home', mountPath: container.home.path },
  ...(container.readOnlyRootFilesystem ? [{ name: 'tmp', mountPath: '/tmp' }] : []),
  ...container.mounts.map(({ path, readOnly }, index) => ({ name: `mount-${index}`, mountPath: path, readOnly })),
]
