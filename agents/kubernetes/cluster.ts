/**
 * What is known of the sessions' objects, kept up to date by watches: of each session its ConfigMap, its Deployment,
 * its pods and what was last heard of them. Nothing here decides anything.
 */
import type { CoreV1Event, KubernetesObject, V1ConfigMap, V1Deployment, V1Pod } from '@kubernetes/client-node'
import type { SessionId } from '../../domain/ids.ts'
import type { Log } from '../runtime/log.ts'
import type { Api } from './api.ts'
import { type Kind, kinds } from './kinds.ts'
import { AGENT_LABEL, sessionOf, sessionOfPod } from './names.ts'
import { type Learn, type Life, lifeOf } from './session-life.ts'
import { anchorView, deploymentView, eventView, podView } from './views.ts'
import { type Watched, type WatchHealth, type Watching, type WatchTimes, watchKind } from './watch.ts'

export type Cluster = {
  readonly lives: Map<SessionId, Life>
  readonly learn: Learn
  /** Resolves when everything was seen once. */
  readonly open: () => Promise<void>
  readonly close: () => Promise<void>
}

/** etcd's revisions: what is lower is older. */
const isOlder = (object: KubernetesObject, than: { readonly resourceVersion: string } | undefined): boolean =>
  than !== undefined && BigInt(object.metadata?.resourceVersion || 0) < BigInt(than.resourceVersion || 0)

export const createCluster = (
  about: {
    readonly api: Api
    readonly namespace: string
    readonly agentId: string
    readonly log: Log
    readonly times: WatchTimes
  },
  health: WatchHealth,
  changed: (life: Life) => void,
): Cluster => {
  const lives = new Map<SessionId, Life>()
  /** Uids of what was seen to go: an answer that comes late does not bring it back. */
  const gone = new Set<string>()
  let watchings: readonly Watching[] = []

  const lifeFor = (sessionId: SessionId): Life => {
    const known = lives.get(sessionId)
    if (known !== undefined) return known
    const life = lifeOf(sessionId)
    lives.set(sessionId, life)
    return life
  }

  const tell = (life: Life): void => {
    if (life.anchor === null && life.deployment === null && life.pods.size === 0 && life.task === null)
      lives.delete(life.sessionId)
    changed(life)
    for (const watcher of [...life.watchers]) watcher()
  }

  const remember = (object: KubernetesObject): void => {
    gone.add(object.metadata?.uid ?? '')
    if (gone.size > 10_000) gone.delete(gone.values().next().value as string)
  }

  const single = (field: 'anchor' | 'deployment') => {
    const view = (object: KubernetesObject) =>
      field === 'anchor'
        ? { anchor: anchorView(object as V1ConfigMap) }
        : { deployment: deploymentView(object as V1Deployment) }
    const put = (object: KubernetesObject): void => {
      const sessionId = sessionOf(object.metadata?.name)
      if (sessionId === null || gone.has(object.metadata?.uid ?? '')) return
      const life = lifeFor(sessionId)
      if (isOlder(object, life[field]?.seen)) return
      Object.assign(life, view(object))
      tell(life)
    }
    const drop = (sessionId: SessionId | null, uid: string | undefined): void => {
      const life = sessionId === null ? undefined : lives.get(sessionId)
      if (life === undefined || (uid !== undefined && life[field]?.seen.uid !== uid)) return
      life[field] = null
      tell(life)
    }
    return { put, drop }
  }

  const anchors = single('anchor')
  const deployments = single('deployment')

  const watchedSingles = (kind: Kind, { put, drop }: typeof anchors, field: 'anchor' | 'deployment'): Watched => ({
    kind,
    selector: `labelSelector=${encodeURIComponent(`${AGENT_LABEL}=${about.agentId}`)}`,
    changed: put,
    complete: (there, place) => {
      for (const life of [...lives.values()]) {
        const seen = life[field]?.seen
        // What this agent has made since the list was read is not in it.
        if (seen !== undefined && !there.has(seen.uid) && BigInt(seen.resourceVersion) <= BigInt(place))
          drop(life.sessionId, seen.uid)
      }
    },
    removed: (object) => {
      remember(object)
      drop(sessionOf(object.metadata?.name), object.metadata?.uid)
    },
  })

  const putPod = (object: KubernetesObject): void => {
    const sessionId = sessionOfPod(object.metadata?.name)
    if (sessionId === null) return
    const life = lifeFor(sessionId)
    const view = podView(object as V1Pod, life.pods.get(object.metadata?.uid ?? ''))
    life.pods.set(view.uid, view)
    tell(life)
  }
  const dropPod = (life: Life, uid: string): void => {
    life.events.delete(uid)
    if (life.pods.delete(uid)) tell(life)
  }

  const pods: Watched = {
    kind: kinds.pod,
    selector: `labelSelector=${encodeURIComponent(`${AGENT_LABEL}=${about.agentId}`)}`,
    changed: putPod,
    complete: (there) => {
      for (const life of [...lives.values()])
        for (const uid of [...life.pods.keys()]) if (!there.has(uid)) dropPod(life, uid)
    },
    removed: (object) => {
      const sessionId = sessionOfPod(object.metadata?.name)
      const life = sessionId === null ? undefined : lives.get(sessionId)
      if (life !== undefined) dropPod(life, object.metadata?.uid ?? '')
    },
  }

  const putEvent = (object: KubernetesObject): void => {
    const event = object as CoreV1Event
    const sessionId = sessionOfPod(event.involvedObject?.name)
    const life = sessionId === null ? undefined : lives.get(sessionId)
    const uid = event.involvedObject?.uid
    if (life === undefined || uid === undefined) return
    life.events.set(uid, eventView(event))
    tell(life)
  }
  const events: Watched = {
    kind: kinds.event,
    selector: 'fieldSelector=involvedObject.kind%3DPod',
    changed: putEvent,
    complete: () => {},
    // They go after an hour, which says nothing of the pod.
    removed: () => {},
  }

  return {
    lives,
    learn: { anchor: anchors.put, deployment: deployments.put },
    open: async () => {
      const all = [
        watchedSingles(kinds.configMap, anchors, 'anchor'),
        watchedSingles(kinds.deployment, deployments, 'deployment'),
        pods,
        events,
      ]
      watchings = all.map((watched) => watchKind(about, watched, health))
      await Promise.all(watchings.map(({ synced }) => synced))
    },
    close: async () => {
      await Promise.all(watchings.map(({ stop }) => stop()))
    },
  }
}
