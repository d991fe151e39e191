/**
 * What is known of the sessions' objects, kept up to date by watches: of each session its ConfigMap, its Deployment,
 * its pods and what was last heard of them. Nothing here decides anything.
 */
import { setTimeout as wait } from 'node:timers/promises'
import type { CoreV1Event, KubernetesObject, V1ConfigMap, V1Deployment, V1Pod } from '@kubernetes/client-node'
import type { SessionId } from '../../domain/ids.ts'
import { type Log, messageOf } from '../runtime/log.ts'
import { type Api, isGone } from './api.ts'
import { type Kind, kinds, pathOf } from './kinds.ts'
import { AGENT_LABEL, nameOf, sessionOf, sessionOfPod } from './names.ts'
import { ownerIn } from './record.ts'
import { type Learn, type Life, lifeOf } from './session-life.ts'
import { isSurplus } from './status.ts'
import { anchorView, departed, deploymentView, eventView, isMade, podView } from './views.ts'
import { type Watched, type WatchHealth, type Watching, type WatchTimes, watchKind } from './watch.ts'
import { type Beside, watchBeside } from './watch-beside.ts'

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

type Put = (object: KubernetesObject) => void

const CONFIRM_AGAIN_MS = 5_000

/** Pods that are no longer there, once the record has their end, or nobody will ask for it any more. */
const forgetCounted = (life: Life): void => {
  const record = life.anchor?.record
  const all = [...life.pods.values()]
  for (const pod of all) {
    const { uid, start, departed: isDeparted } = pod
    const isOfInterest = record?.phase === 'up' && start === record.start && record.counted[uid] === undefined
    if (!isDeparted || (isOfInterest && !isSurplus(pod, all))) continue
    life.pods.delete(uid)
    life.events.delete(uid)
  }
}

export const createCluster = (
  about: {
    readonly api: Api
    readonly namespace: string
    readonly agentId: string
    readonly log: Log
    readonly times: WatchTimes
    /** Further kinds, which are no session's. */
    readonly beside: readonly Beside[]
  },
  health: WatchHealth,
  changed: (life: Life) => void,
): Cluster => {
  const lives = new Map<SessionId, Life>()
  /** Uids of what was seen to go: an answer that comes late does not bring it back. */
  const gone = new Set<string>()
  const closed = new AbortController()
  let watchings: readonly Watching[] = []

  const lifeFor = (sessionId: SessionId): Life => {
    const known = lives.get(sessionId)
    if (known !== undefined) return known
    const life = lifeOf(sessionId)
    lives.set(sessionId, life)
    return life
  }

  const tell = (life: Life): void => {
    forgetCounted(life)
    if (life.anchor === null && life.deployment === null && life.pods.size === 0 && life.task === null)
      lives.delete(life.sessionId)
    changed(life)
    for (const watcher of [...life.watchers]) watcher()
  }

  const remember = (uid: string): void => {
    gone.add(uid)
    if (gone.size > 10_000) gone.delete(gone.values().next().value as string)
  }

  /**
   * Whether what a watch no longer shows is really gone: somebody may have taken its label off. What was seen to go is.
   * Other objects that have its name are no answer.
   */
  const confirm = (kind: Kind, name: string, uid: string, edited: Put, drop: () => void): void => {
    const asked = about.api.call<KubernetesObject>({ method: 'GET', path: pathOf(kind, about.namespace, name) })
    asked.then(
      (there) => (there.metadata?.uid === uid ? edited(there) : drop()),
      (error: unknown) => {
        if (isGone(error)) return drop()
        if (closed.signal.aborted) return
        about.log.warn({ kind: kind.plural, name, error: messageOf(error) }, 'whether an object is gone is not known')
        void wait(CONFIRM_AGAIN_MS, undefined, { signal: closed.signal }).then(
          () => confirm(kind, name, uid, edited, drop),
          () => {},
        )
      },
    )
  }

  const single = (kind: Kind, field: 'anchor' | 'deployment') => {
    const isMine = (object: KubernetesObject): boolean =>
      field === 'anchor'
        ? (ownerIn(object as V1ConfigMap) ?? about.agentId) === about.agentId
        : isMade(object as V1Deployment)
    const view = (object: KubernetesObject, life: Life) =>
      field === 'anchor'
        ? { anchor: anchorView(object as V1ConfigMap, life.anchor) }
        : { deployment: deploymentView(object as V1Deployment) }
    const put = (object: KubernetesObject): void => {
      const sessionId = sessionOf(object.metadata?.name)
      if (sessionId === null || gone.has(object.metadata?.uid ?? '')) return
      const known = lives.get(sessionId)?.[field]
      if (isOlder(object, known?.seen) || (known?.seen.uid !== object.metadata?.uid && !isMine(object))) return
      const life = lifeFor(sessionId)
      Object.assign(life, view(object, life))
      tell(life)
    }
    const drop = (life: Life, uid: string): void => {
      remember(uid)
      if (life[field]?.seen.uid !== uid) return
      life[field] = null
      tell(life)
    }
    const missed = (life: Life): void => {
      const view = life[field]
      if (view === null) return
      const { uid } = view.seen
      if (view.going) drop(life, uid)
      else confirm(kind, nameOf(life.sessionId), uid, put, () => drop(life, uid))
    }
    const watched: Watched = {
      kind,
      selector: ofThisAgent,
      changed: put,
      removed: ({ metadata }) => {
        const sessionId = sessionOf(metadata?.name)
        const life = sessionId === null ? undefined : lives.get(sessionId)
        if (life !== undefined && life[field]?.seen.uid === metadata?.uid) missed(life)
      },
      complete: (there, place) => {
        for (const life of [...lives.values()]) {
          const seen = life[field]?.seen
          // What this agent has made since the list was read is not in it.
          if (seen !== undefined && !there.has(seen.uid) && BigInt(seen.resourceVersion) <= BigInt(place)) missed(life)
        }
      },
    }
    return { put, watched }
  }

  const ofThisAgent = `labelSelector=${encodeURIComponent(`${AGENT_LABEL}=${about.agentId}`)}`
  const anchors = single(kinds.configMap, 'anchor')
  const deployments = single(kinds.deployment, 'deployment')

  const putPod = (object: KubernetesObject): void => {
    const sessionId = sessionOfPod(object.metadata?.name)
    if (sessionId === null || gone.has(object.metadata?.uid ?? '')) return
    const life = lifeFor(sessionId)
    const view = podView(object as V1Pod, life.pods.get(object.metadata?.uid ?? ''))
    life.pods.set(view.uid, view)
    tell(life)
  }
  const dropPod = (life: Life, uid: string): void => {
    const pod = life.pods.get(uid)
    if (pod === undefined) return
    remember(uid)
    life.events.delete(uid)
    // Its end has to be counted before it is forgotten.
    life.pods.set(uid, departed(pod))
    tell(life)
  }
  const missedPod = (life: Life, uid: string): void => {
    const pod = life.pods.get(uid)
    if (pod === undefined || pod.departed) return
    if (pod.going) dropPod(life, uid)
    else confirm(kinds.pod, pod.name, uid, putPod, () => dropPod(life, uid))
  }

  const pods: Watched = {
    kind: kinds.pod,
    selector: ofThisAgent,
    changed: putPod,
    removed: (object) => {
      const sessionId = sessionOfPod(object.metadata?.name)
      const life = sessionId === null ? undefined : lives.get(sessionId)
      if (life !== undefined) missedPod(life, object.metadata?.uid ?? '')
    },
    complete: (there) => {
      for (const life of [...lives.values()])
        for (const uid of [...life.pods.keys()]) if (!there.has(uid)) missedPod(life, uid)
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
      const own = [anchors.watched, deployments.watched, pods, events]
      watchings = [
        ...own.map((watched) => watchKind(about, watched, health)),
        ...about.beside.map((beside) => watchBeside(about, beside)),
      ]
      await Promise.all(watchings.map(({ synced }) => synced))
    },
    close: async () => {
      closed.abort()
      await Promise.all(watchings.map(({ stop }) => stop()))
    },
  }
}
