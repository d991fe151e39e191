/** The Kubernetes platform for the conformance suite. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type {
  KubernetesObject,
  V1ConfigMap,
  V1Deployment,
  V1PersistentVolume,
  V1PersistentVolumeClaim,
} from '@kubernetes/client-node'
import { AGENT_LABEL } from '../../../agents/kubernetes/names.ts'
import { steps } from '../../../agents/kubernetes/session-life.ts'
import type { WireSpec } from '../../../agents/protocol.ts'
import { AgentProcess } from '../../support/agent-process.ts'
import {
  BUSYBOX,
  type KubernetesCluster,
  kinds,
  kubernetesCluster,
  needsKubernetes,
  START_MS,
  type TestNamespace,
  testNamespace,
} from '../../support/kubernetes-cluster.ts'
import type { Place, PlatformUnderTest } from './platform-under-test.ts'

/** A home that the test cluster's provisioner has made is opened in a moment (`open-homes.ts`). */
const WHEN_OPEN = 'until [ -w "$HOME" ]; do sleep 0.1; done; '

/** Ends at once when it is asked to. */
export const IDLE = "trap 'exit 0' TERM; sleep 1000 & wait"

export const program = (script: string): Partial<WireSpec> => ({
  container: { image: BUSYBOX, command: ['sh', '-c'], args: [`${WHEN_OPEN}${script}`], user: 1000 },
  // Of the kubelet's own pace, and of a machine that does other things beside: how long a start may take is tested where it is short.
  startTimeoutSeconds: 180,
})

const OWN = [
  kinds.configMap,
  kinds.secret,
  kinds.service,
  kinds.claim,
  kinds.pod,
  kinds.deployment,
  kinds.networkPolicy,
  kinds.ingress,
]

/** `namespace`: for looking and meddling beside what the suite needs. */
export const kubernetesPlace = async (
  cluster: KubernetesCluster,
): Promise<Place & { readonly namespace: TestNamespace }> => {
  const namespace = await testNamespace(cluster)
  const agents: AgentProcess[] = []
  const mine = async (): Promise<readonly Mine[]> =>
    (
      await Promise.all(
        OWN.map(async (kind) =>
          (
            await namespace.list<KubernetesObject>(kind)
          )
            .filter(({ metadata }) => metadata?.name?.startsWith('session-'))
            .map((object) => ({ kind: kind.kind, object })),
        ),
      )
    ).flat()

  /** On this machine, which is the cluster's only node: it can be read while no pod has it. */
  const folderOfHome = async (sessionId: string): Promise<string> => {
    const claims = await namespace.list<V1PersistentVolumeClaim>(kinds.claim)
    const claim = claims.find(({ metadata }) => metadata?.name === `session-${sessionId}`)
    const path = `/api/v1/persistentvolumes/${claim?.spec?.volumeName}`
    const volume = await cluster.api.call<V1PersistentVolume>({ method: 'GET', path })
    return volume.spec?.hostPath?.path ?? ''
  }

  return {
    namespace,
    agent: async ({ dieAt, agentId = 'agent-a' } = {}) => {
      const agent = new AgentProcess(null)
      agents.push(agent)
      const settings = { agentId, kubeconfig: cluster.kubeconfig, namespace: namespace.name }
      await agent.open({ platform: 'kubernetes', settings }, dieAt)
      return agent
    },
    script: program,
    server: (script) => ({
      ...program(`trap 'exit 0' TERM; ${script}; httpd -f -p 8080 -h "$HOME" & wait`),
      ports: [{ name: 'http', port: 8080, protocol: 'http' }],
    }),
    removeWorkload: async (sessionId) => {
      await namespace.remove(kinds.deployment, `session-${sessionId}`)
    },
    homeFile: async (sessionId, name) => readFile(join(await folderOfHome(sessionId), name), 'utf8'),
    left: async () => (await mine()).map(({ kind, object }) => `${kind} ${object.metadata?.name}`),
    picture: async (of) =>
      pictureOf((await mine()).filter(({ object }) => object.metadata?.labels?.[AGENT_LABEL] === of)),
    bystander: async () => {
      const name = 'somebody-elses'
      await cluster.api.call({
        method: 'POST',
        path: `/api/v1/namespaces/${namespace.name}/configmaps`,
        body: JSON.stringify({ metadata: { name }, data: { a: '1' } }),
      })
      return {
        isThere: async () =>
          (await namespace.list<V1ConfigMap>(kinds.configMap)).some((one) => one.metadata?.name === name),
        remove: () => namespace.remove(kinds.configMap, name),
      }
    },
    close: async () => {
      for (const agent of agents)
        if (agent.child.exitCode === null && agent.child.signalCode === null) await agent.kill9()
      await namespace.close()
    },
  }
}

type Mine = { readonly kind: string; readonly object: KubernetesObject }

/** Not the versions: the cluster's own controllers write statuses in their own time. */
const pictureOf = (mine: readonly Mine[]): string =>
  JSON.stringify(
    mine
      .filter(({ object }) => object.metadata?.deletionTimestamp === undefined)
      .map(({ kind, object }) => [
        kind,
        object.metadata?.uid,
        object.metadata?.annotations,
        (object as V1ConfigMap).data ?? null,
        kind === 'Deployment' ? (object as V1Deployment).spec : null,
      ])
      .sort(([, a], [, b]) => (String(a) < String(b) ? -1 : 1)),
  )

export const kubernetesUnderTest: PlatformUnderTest = {
  name: 'kubernetes',
  needs: needsKubernetes,
  place: async () => kubernetesPlace(await kubernetesCluster()),
  // No session here has an Ingress; that one is in `ingress.test.ts`.
  steps: steps.filter((step) => step !== 'ingress_made'),
  fence: 'takes_over',
  recoversFromNothing: true,
  removedReason: 'removed_outside',
  atOnce: 6,
  openMs: START_MS,
  startMs: 6_000,
  patienceMs: 90_000,
  memoryTries: 3,
}
