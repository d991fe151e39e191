/**
 * Waits until nothing runs of a session. A kubelet keeps a pod for a while after its containers have ended (up to a
 * minute before Kubernetes 1.22), and until then neither its Deployment makes another nor is its owner gone: such a
 * pod is dismissed. One whose node does not say that its containers have ended is never touched.
 */
import { messageOf } from '../runtime/log.ts'
import { isConflict, isGone } from './api.ts'
import { type Life, nextChange, type Surroundings } from './session-life.ts'
import type { PodView } from './views.ts'

const KEPT_MS = 1_500

export const hasEnded = ({ going, phase, ran, container }: PodView): boolean =>
  phase === 'Failed' || phase === 'Succeeded' || (going && ran && container?.state !== 'running')

/** Its containers have ended, and it is still there. */
export const isKept = (pod: PodView): boolean => pod.going && !pod.departed && hasEnded(pod)

type KeptPods = {
  /** Dismisses those that are kept; call it at each change, and at `next()`. */
  readonly dismiss: () => Promise<void>
  /** When the next one will have been kept for too long; milliseconds since the epoch. */
  readonly next: () => number
}

/** The pods of a session that have ended and are still there. */
export const keptPods = (around: Surroundings, life: Life): KeptPods => {
  const endedSince = new Map<string, number>()
  const look = (): void => {
    for (const pod of life.pods.values())
      if (isKept(pod)) endedSince.set(pod.uid, endedSince.get(pod.uid) ?? Date.now())
  }
  return {
    dismiss: async () => {
      look()
      await dismissThose(around, life, endedSince)
    },
    next: () => {
      look()
      return Math.min(...[...endedSince.values()].map((since) => since + KEPT_MS))
    },
  }
}

type Waiting = { readonly isSo: () => boolean; readonly withinMs: number; readonly signal: AbortSignal }

export const untilEnded = async (
  around: Surroundings,
  life: Life,
  { isSo, withinMs, signal }: Waiting,
): Promise<'ended' | 'interrupted' | 'too_slow'> => {
  const until = Date.now() + withinMs
  const kept = keptPods(around, life)
  for (;;) {
    await kept.dismiss()
    // From here on nothing is awaited but the next change: none may come unseen in between.
    if (isSo()) return 'ended'
    if (signal.aborted) return 'interrupted'
    if (Date.now() >= until) return 'too_slow'
    await nextChange(life, Math.min(until, kept.next()) - Date.now(), signal)
  }
}

/** A little longer than it takes to dismiss one: whoever has come to nothing tries it at the next change. */
const DISMISSING_MS = 10_000

export const untilNoneIsKept = async (around: Surroundings, life: Life, signal: AbortSignal): Promise<void> => {
  await untilEnded(around, life, {
    isSo: () => ![...life.pods.values()].some(isKept),
    withinMs: DISMISSING_MS,
    signal,
  })
}

const dismissThose = async (around: Surroundings, life: Life, endedSince: Map<string, number>): Promise<void> => {
  for (const [uid, since] of endedSince) {
    if (Date.now() - since < KEPT_MS) continue
    endedSince.delete(uid)
    const pod = life.pods.get(uid)
    if (pod === undefined) continue
    try {
      await around.objects.dismiss(pod)
      life.pods.delete(uid)
      life.events.delete(uid)
    } catch (error) {
      if (!isGone(error) && !isConflict(error))
        around.log.warn({ pod: pod.name, error: messageOf(error) }, 'a pod that has ended could not be dismissed')
    }
  }
}
