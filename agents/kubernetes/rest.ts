/** A session that should not run: stopped, hibernated or deleted. */
import type { Applied, ApplyContext, Target } from '../runtime/platform.ts'
import { isConflict, isGone } from './api.ts'
import { kinds } from './kinds.ts'
import { nameOf } from './names.ts'
import type { Seen } from './objects-client.ts'
import { type SessionRecord, withoutEnvironment } from './record.ts'
import { type Life, recordOf, restingNow, type Surroundings } from './session-life.ts'
import { hasEnded, untilEnded } from './until-ended.ts'
import { changeRecord, Overtaken, scaleDown, writeRecord } from './writes.ts'

/** What ends may take its grace, and a cluster its time: a kubelet before 1.22 may keep a pod for a minute. */
const LONGER_THAN_GRACE_MS = 120_000

const patience = ({ desired }: Target): number => (desired.spec.stopGraceSeconds ?? 10) * 1_000 + LONGER_THAN_GRACE_MS

export const tooSlow = (what: string): Applied => ({
  kind: 'failed',
  code: 'platform_error',
  message: `Kubernetes takes long to end it: ${what}`,
  retryable: true,
})

export const rest = async (
  around: Surroundings,
  life: Life,
  target: Target,
  status: 'stopped' | 'hibernated',
  context: ApplyContext,
): Promise<Applied> => {
  if (!target.desired.persistentHome) {
    const removed = await remove(around, life, target, context)
    return removed.kind === 'applied' ? { kind: 'applied', observed: { status, reason: 'by_request' } } : removed
  }
  await writeRecord(around, life, recordOfRest(life, target))
  await around.step('asked_to_end')
  if (life.deployment !== null && !life.deployment.going) await scaleDown(around, life, target.generation)
  await around.step('scaled_down')
  const ended = await untilEnded(around, life, {
    isSo: () => [...life.pods.values()].every(hasEnded),
    withinMs: patience(target),
    signal: context.signal,
  })
  if (ended === 'interrupted') return { kind: 'interrupted' }
  if (ended === 'too_slow')
    return tooSlow(`its pod ${[...life.pods.values()].map(({ name }) => name).join(', ')} is still there`)
  const record = recordOf(life)
  if (record === null) return { kind: 'interrupted' }
  const observed = restingNow(record, status)
  await changeRecord(around, life, { settled: true, observed })
  life.observed = observed
  await around.step('settled')
  return { kind: 'applied', observed }
}

/** Of a record that cannot be read everything is written anew: its home is kept. */
const recordOfRest = (life: Life, { generation, desired }: Target): SessionRecord => {
  const before = recordOf(life)
  if (life.anchor === null) throw new Overtaken('the record')
  return {
    version: 1,
    start: life.deployment?.start ?? 0,
    restarts: 0,
    forgiven: 0,
    counted: {},
    address: null,
    observed: life.observed,
    ...before,
    generation,
    desired: withoutEnvironment(desired),
    settled: false,
    phase: 'down',
  }
}

export const remove = async (
  around: Surroundings,
  life: Life,
  target: Target,
  { signal }: ApplyContext,
): Promise<Applied> => {
  const { anchor } = life
  if (anchor === null) return removeWithoutRecord(around, life, target, signal)
  if (!anchor.going) await removeAnchor(around, life, life.basis.anchor ?? anchor.seen)
  await around.step('anchor_removed')
  // Its end is the end of all that it owns: it waits for them.
  const ended = await untilEnded(around, life, {
    isSo: () => life.anchor?.seen.uid !== anchor.seen.uid,
    withinMs: patience(target),
    signal,
  })
  if (ended === 'interrupted') return { kind: 'interrupted' }
  if (ended === 'too_slow') return tooSlow('its ConfigMap waits for what it owns')
  // Not where somebody had asked for it to go without them: it was going already.
  if (life.anchor === null && life.deployment !== null) return removeWithoutRecord(around, life, target, signal)
  return { kind: 'applied', observed: null }
}

/** What is left goes with the record that is gone; or somebody has deleted that alone, and nothing takes the rest away. */
const removeWithoutRecord = async (
  around: Surroundings,
  life: Life,
  target: Target,
  signal: AbortSignal,
): Promise<Applied> => {
  const isLeft = (): boolean => life.deployment?.owner === null && !life.deployment.going
  const ended = await untilEnded(around, life, {
    // Pods that nobody takes away are somebody else's, who has named his so.
    isSo: () =>
      isLeft() || (life.deployment === null && [...life.pods.values()].every((pod) => !pod.going || hasEnded(pod))),
    withinMs: patience(target),
    signal,
  })
  if (ended === 'interrupted') return { kind: 'interrupted' }
  if (ended === 'too_slow') return tooSlow(`its Deployment or a pod of it is still there, though its ConfigMap is gone`)
  return isLeft() ? whatIsLeft(around, life, target) : { kind: 'applied', observed: null }
}

const whatIsLeft = async (around: Surroundings, life: Life, { generation }: Target): Promise<Applied> => {
  const name = nameOf(life.sessionId)
  if ((life.deployment?.replicas ?? 0) > 0) await scaleDown(around, life, generation)
  await around.step('scaled_down')
  const message = `somebody has deleted the ConfigMap ${name} without what it owned: delete the Deployment, Service, Secret, PersistentVolumeClaim and NetworkPolicy ${name}, too`
  return { kind: 'failed', code: 'platform_error', message, retryable: true }
}

const removeAnchor = async ({ objects }: Surroundings, life: Life, seen: Seen): Promise<void> => {
  const name = nameOf(life.sessionId)
  try {
    await objects.remove(kinds.configMap, name, seen)
  } catch (error) {
    if (isGone(error)) return
    if (!isConflict(error)) throw error
    // An answer that was lost on the way makes the second try a conflict: it is going already.
    const there = await objects.get(kinds.configMap, name).catch((gone: unknown) => {
      if (isGone(gone)) return null
      throw gone
    })
    const isGoing = there?.metadata?.uid === seen.uid && there.metadata.deletionTimestamp !== undefined
    if (there !== null && !isGoing) throw new Overtaken('the record')
  }
}
