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

type Waiting = { readonly isSo: () => boolean; readonly withinMs: number; readonly signal: AbortSignal }

export const untilEnded = async (
  around: Surroundings,
  life: Life,
  { isSo, withinMs, signal }: Waiting,
): Promise<'ended' | 'interrupted' | 'too_slow'> => {
  const until = Date.now() + withinMs
  const endedSince = new Map<string, number>()
  while (!isSo()) {
    if (signal.aborted) return 'interrupted'
    if (Date.now() >= until) return 'too_slow'
    for (const pod of life.pods.values())
      if (pod.going && hasEnded(pod)) endedSince.set(pod.uid, endedSince.get(pod.uid) ?? Date.now())
    await dismissKept(around, life, endedSince)
    const next = Math.min(until, ...[...endedSince.values()].map((since) => since + KEPT_MS))
    await nextChange(life, next - Date.now(), signal)
  }
  return 'ended'
}

const dismissKept = async (around: Surroundings, life: Life, endedSince: Map<string, number>): Promise<void> => {
  for (const [uid, since] of endedSince) {
    if (Date.now() - since < KEPT_MS) continue
    endedSince.delete(uid)
    const pod = life.pods.get(uid)
    if (pod === undefined) continue
    try {
      await around.objects.dismiss(pod)
      life.pods.delete(uid)
    } catch (error) {
      if (!isGone(error) && !isConflict(error))
        around.log.warn({ pod: pod.name, error: messageOf(error) }, 'a pod that has ended could not be dismissed')
    }
  }
}
