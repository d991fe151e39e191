/** A Kubernetes platform in this process, in a namespace of its own, with a proxy that misbehaves between it and the API server. */
import type { V1ConfigMap, V1Deployment, V1Pod } from '@kubernetes/client-node'
import { type Kind, pathOf } from '../../agents/kubernetes/kinds.ts'
import { nameOf } from '../../agents/kubernetes/names.ts'
import { createKubernetesPlatform, type KubernetesPlatform } from '../../agents/kubernetes/platform.ts'
import type { KubernetesSettings } from '../../agents/kubernetes/settings.ts'
import { type WatchTimes, watchTimes } from '../../agents/kubernetes/watch.ts'
import type { InventoryItem, WireSpec } from '../../agents/protocol.ts'
import type { Log } from '../../agents/runtime/log.ts'
import type { Applied, PlatformReport, Target } from '../../agents/runtime/platform.ts'
import type { SessionId } from '../../domain/ids.ts'
import { eventually } from './eventually.ts'
import { type FaultyProxy, faultyProxy } from './faulty-proxy.ts'
import { BUSYBOX, type KubernetesCluster, kinds, type TestNamespace, testNamespace } from './kubernetes-cluster.ts'
import { aSessionId, target } from './process-agent.ts'

export type WatchedAgent = {
  readonly proxy: FaultyProxy
  readonly platform: KubernetesPlatform
  readonly namespace: TestNamespace
  readonly reports: PlatformReport[]
  readonly degraded: (string | null)[]
  readonly logged: string[]
  readonly apply: (target: Target) => Promise<Applied>
  readonly item: (sessionId: SessionId) => InventoryItem | undefined
  readonly running: (spec: Partial<WireSpec>) => Promise<SessionId>
  /** A session that came to its end at once, as it asks for more than there is: it needs no node. */
  readonly ended: () => Promise<SessionId>
  /** As `kubectl` would. */
  readonly get: <T = V1ConfigMap>(kind: Kind, name: string) => Promise<T>
  readonly patch: (kind: Kind, name: string, change: object) => Promise<void>
  readonly create: (kind: Kind, object: object) => Promise<void>
  readonly deployment: (sessionId: SessionId) => Promise<V1Deployment>
  readonly pods: (sessionId: SessionId) => Promise<readonly V1Pod[]>
  readonly close: () => Promise<void>
}

export type WatchedAgentOptions = Partial<KubernetesSettings> & {
  readonly times?: Partial<WatchTimes>
  /** Another agent's, to be in the same namespace. */
  readonly beside?: TestNamespace
}

/** Opened; its first lists have been answered. */
export const watchedAgent = async (
  cluster: KubernetesCluster,
  { times, beside, ...settings }: WatchedAgentOptions = {},
): Promise<WatchedAgent> => {
  const namespace = beside ?? (await testNamespace(cluster))
  const proxy = await faultyProxy(cluster.kubeconfig)
  const reports: PlatformReport[] = []
  const degraded: (string | null)[] = []
  const logged: string[] = []
  const note = ((_: object, message: string) => void logged.push(message)) as Log['info']
  const platform = createKubernetesPlatform(
    {
      agentId: 'watched',
      namespace: namespace.name,
      kubeconfig: proxy.kubeconfig,
      degradedAfterMs: 1_500,
      ...settings,
    },
    { debug: () => {}, info: note, warn: note, error: note },
    { watchTimes: { ...watchTimes, ...times } },
  )
  const { api } = cluster
  const apply = (about: Target): Promise<Applied> =>
    platform.apply(about, { signal: new AbortController().signal, progress: () => {} })
  await platform.open({
    report: (report) => void reports.push(report),
    activity: () => {},
    degraded: (why) => void degraded.push(why),
  })
  return {
    proxy,
    platform,
    namespace,
    reports,
    degraded,
    logged,
    apply,
    item: (sessionId) => platform.inventory().find((one) => one.sessionId === sessionId),
    running: async (spec) => {
      const id = aSessionId()
      const applied = await apply(target(id, spec))
      if (applied.kind !== 'applied' || applied.observed?.status !== 'running')
        throw new Error(`it does not run: ${JSON.stringify(applied)}`)
      return id
    },
    ended: async () => {
      const id = aSessionId()
      await apply(target(id, nowhere))
      return id
    },
    get: (kind, name) => api.call({ method: 'GET', path: pathOf(kind, namespace.name, name) }),
    patch: namespace.patch,
    create: namespace.create,
    deployment: (sessionId) =>
      api.call({ method: 'GET', path: pathOf(kinds.deployment, namespace.name, nameOf(sessionId)) }),
    pods: async (sessionId) =>
      (await namespace.list<V1Pod>(kinds.pod)).filter(({ metadata }) =>
        metadata?.name?.startsWith(`${nameOf(sessionId)}-`),
      ),
    close: async () => {
      proxy.reset()
      await platform.close()
      await proxy.close()
      if (beside === undefined) await namespace.close()
    },
  }
}

/** No node has so much memory. */
export const nowhere = {
  container: { image: BUSYBOX, user: 1000 },
  resources: { cpuMillis: 1, memoryMib: 16_000_000 },
  startTimeoutSeconds: 1,
}

/** Watches of all kinds are open. */
export const watching = (agent: WatchedAgent): Promise<void> =>
  eventually(() => {
    const open = agent.proxy.openWatches().map((path) => path.split('?')[0]?.split('/').at(-1))
    if (!WATCHED.every((plural) => open.includes(plural))) throw new Error(`open watches: ${open.join(', ')}`)
  })

/** Of what a session is known by. */
const WATCHED = ['configmaps', 'deployments', 'pods', 'events']
export const WATCHES = WATCHED.length
