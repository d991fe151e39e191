/**
 * The bare engine's side with Kubernetes: the same kinds of objects as a session's, with the same contents, asked for side
 * by side over the API, the Deployment last (kubectl sends one after another), a watch that tells of the ready pod, and a look at the Service.
 */
import { randomUUID } from 'node:crypto'
import type { KubernetesObject, V1Pod, V1Service } from '@kubernetes/client-node'
import { type Api, createApi } from '../../../../agents/kubernetes/api.ts'
import { deploymentOf } from '../../../../agents/kubernetes/deployment.ts'
import { type Kind, kinds, pathOf } from '../../../../agents/kubernetes/kinds.ts'
import { AGENT_LABEL, nameOf, SESSION_LABEL } from '../../../../agents/kubernetes/names.ts'
import { type Blueprint, claimOf, networkPolicyOf, secretOf, serviceOf } from '../../../../agents/kubernetes/parts.ts'
import { connect } from '../../../../agents/kubernetes/transport.ts'
import { type Watched, type Watching, watchKind, watchTimes } from '../../../../agents/kubernetes/watch.ts'
import type { SessionId } from '../../../../domain/ids.ts'
import type { Bench } from '../../bench.ts'
import { until } from '../../program.ts'
import { answering } from './answering.ts'
import { blueprintOf } from './blueprint.ts'
import { type Begun, type Side, sideOf } from './side.ts'
import { PORT } from './template.ts'

/** As many as the agent starts at a time. */
export const AT_ONCE = 16
const AGENT = 'bare'
const GONE_WITHIN_MS = 300_000
const quiet = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }

export type Namespace = { readonly api: Api; readonly name: string }

/** One of its own, gone with all that is in it when the measure is over. */
export const namespaceFor = async (bench: Bench, kubeconfig: string): Promise<Namespace> => {
  const transport = connect(kubeconfig)
  bench.ends('connections to the API server', async () => transport.close())
  const api = createApi(transport)
  const name = `bench-${randomUUID().slice(0, 8)}`
  const path = `/api/v1/namespaces/${name}`
  await api.call({ method: 'POST', path: '/api/v1/namespaces', body: JSON.stringify({ metadata: { name } }) })
  bench.ends(`namespace ${name}`, () => api.call({ method: 'DELETE', path }).then(() => {}))
  const answers = (call: Promise<unknown>): Promise<boolean> =>
    call.then(
      () => true,
      () => false,
    )
  // Pods are refused until the account that they run under is there.
  await until('the account of a namespace', 30_000, () =>
    answers(api.call({ method: 'GET', path: `${path}/serviceaccounts/default` })),
  )
  return { api, name }
}

type Pods = { readonly ready: (id: SessionId) => Promise<void>; readonly gone: (id: SessionId) => boolean } & Watching

/** Which pods are ready, as a watch tells. */
const followPods = ({ api, name }: Namespace): Pods => {
  const ready = new Map<string, () => void>()
  const there = new Map<string, string>()
  const changed = (object: KubernetesObject): void => {
    const { metadata, status } = object as V1Pod
    const id = metadata?.labels?.[SESSION_LABEL] ?? ''
    there.set(metadata?.uid ?? '', id)
    if (status?.conditions?.some(({ type, status: so }) => type === 'Ready' && so === 'True')) ready.get(id)?.()
  }
  const watched: Watched = {
    kind: kinds.pod,
    selector: `labelSelector=${encodeURIComponent(`${AGENT_LABEL}=${AGENT}`)}`,
    changed,
    removed: ({ metadata }) => void there.delete(metadata?.uid ?? ''),
    complete: () => {},
  }
  const about = { api, namespace: name, log: quiet, times: watchTimes }
  const watching = watchKind(about, watched, { well: () => {}, unwell: () => {} })
  return {
    ...watching,
    ready: (id) => new Promise<void>((resolve) => void ready.set(id, resolve)).then(() => void ready.delete(id)),
    gone: (id) => ![...there.values()].includes(id),
  }
}

const objectsOf = (blueprint: Blueprint): readonly (readonly [Kind, KubernetesObject])[] => {
  const environment = { STREAMSPACE_SESSION_ID: blueprint.sessionId, HOME: blueprint.container.home.path }
  const all: readonly (readonly [Kind, KubernetesObject | null])[] = [
    [kinds.secret, secretOf(blueprint, environment)],
    [kinds.service, serviceOf(blueprint)],
    [kinds.networkPolicy, networkPolicyOf(blueprint)],
    [kinds.claim, claimOf(blueprint)],
    [kinds.deployment, deploymentOf(blueprint, 1, randomUUID())],
  ]
  return all.flatMap(([kind, object]) => (object === null ? [] : [[kind, withoutOwner(kind, object)] as const]))
}

/** What a session's anchor would own is nobody's here. */
const withoutOwner = ({ apiVersion, kind }: Kind, object: KubernetesObject): KubernetesObject => {
  const { ownerReferences: _owners, ...metadata } = object.metadata ?? {}
  return { apiVersion, kind, ...object, metadata }
}

export const bareKubernetes = async (bench: Bench, kubeconfig: string): Promise<Side> => {
  const namespace = await namespaceFor(bench, kubeconfig)
  const { api, name } = namespace
  const pods = followPods(namespace)
  bench.ends('the watch of bare pods', pods.stop)
  await pods.synced
  const answersAt = answering(bench)

  const begin = async (): Promise<Begun> => {
    const id = randomUUID() as SessionId
    const objects = objectsOf(blueprintOf(id, { agentId: AGENT, namespace: name, owner: '' }))
    const ready = pods.ready(id)
    const make = ([kind, object]: (typeof objects)[number]): Promise<KubernetesObject> =>
      api.call({ method: 'POST', path: pathOf(kind, name), body: JSON.stringify(object) })
    // The Deployment last: the scheduler leaves a pod whose claim is not there yet alone for seconds.
    const made = await Promise.all(objects.slice(0, -1).map(make))
    for (const last of objects.slice(-1)) await make(last)
    const service = made.find(({ kind }) => kind === kinds.service.kind) as V1Service
    const address = service.spec?.clusterIP ?? ''
    const answers = async (): Promise<void> => {
      await ready
      await answersAt(address, PORT)
    }
    return { answers, remove: () => remove(id, objects) }
  }

  const remove = async (id: SessionId, objects: ReturnType<typeof objectsOf>): Promise<void> => {
    const body = JSON.stringify({ apiVersion: 'v1', kind: 'DeleteOptions', propagationPolicy: 'Background' })
    await Promise.all(
      objects.map(([kind]) => api.call({ method: 'DELETE', path: pathOf(kind, name, nameOf(id)), body })),
    )
    await until(`the end of the pod of ${id}`, GONE_WITHIN_MS, async () => pods.gone(id))
  }

  return sideOf(begin, AT_ONCE)
}
