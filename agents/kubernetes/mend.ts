/**
 * What somebody has edited of a session's objects is put back, so that no session is lost and nothing of it outlives it:
 * labels, by which they are found, the owner, with which they go, and the record (docs/decisions/0086).
 */
import { setTimeout as wait } from 'node:timers/promises'
import type { KubernetesObject, V1ConfigMap, V1Deployment } from '@kubernetes/client-node'
import { isConflict, isGone } from './api.ts'
import { type Kind, kinds } from './kinds.ts'
import { AGENT_LABEL, labelsOf, nameOf } from './names.ts'
import { ownerIn } from './record.ts'
import type { Life, Surroundings, Work } from './session-life.ts'
import { isMade, type PodView } from './views.ts'
import { mendDeployment, writeRecord } from './writes.ts'

/** Somebody who edits again and again is answered so often at most. */
const PAUSE_MS = 1_000

/** null: nothing of it was edited. */
export const mend = (around: Surroundings, life: Life): Work | null => {
  const work = found(around, life)
  if (work === null) return null
  return async () => {
    const sinceMs = Date.now() - life.mendedAt
    if (sinceMs < PAUSE_MS) await wait(PAUSE_MS - sinceMs)
    life.mendedAt = Date.now()
    around.log.warn({ sessionId: life.sessionId }, 'somebody has edited what belongs to a session: it is put back')
    await work()
  }
}

const found = (around: Surroundings, life: Life): (() => Promise<void>) | null => {
  const { anchor, deployment } = life
  const { agentId } = around.settings
  for (const pod of life.pods.values()) {
    if (pod.going) continue
    if (pod.released && (anchor !== null || pod.wasOurs)) return () => removePod(around, pod)
    if (pod.agent !== agentId && anchor !== null) return () => labelPod(around, pod, labelsOf(life.sessionId, agentId))
  }
  if (anchor === null || anchor.going || anchor.record === null) return null
  const { record } = anchor
  if (anchor.agent !== agentId || anchor.damaged) return () => writeRecord(around, life, record)
  if (deployment === null || deployment.going) return null
  if (deployment.owner === null) return () => ownAgain(around, life, anchor.seen.uid)
  if (deployment.agent !== agentId) return () => mendDeployment(around, life, anchor.seen.uid)
  return null
}

/**
 * Whoever deletes a record with `--cascade=orphan` has the cluster take the owner off all else first, and the watch of records
 * may be behind that of Deployments. One that had its owner back would go after it, alone, and the rest would be nobody's.
 */
const ownAgain = async (around: Surroundings, life: Life, owner: string): Promise<void> => {
  const record = await byName<V1ConfigMap>(around, life, kinds.configMap)
  if (record !== null) around.learn.anchor(record)
  if (record?.metadata?.uid === owner && record.metadata.deletionTimestamp === undefined)
    await mendDeployment(around, life, owner)
}

/** Its ReplicaSet has made another, and two may not have one home. It is watched until it has ended. */
const removePod = async (around: Surroundings, pod: PodView): Promise<void> => {
  await labelPod(around, pod, { [AGENT_LABEL]: around.settings.agentId })
  await unlessGone(around.objects.removePod(pod))
}

const labelPod = ({ objects }: Surroundings, { name, uid }: PodView, labels: Record<string, string>): Promise<void> =>
  unlessGone(objects.merge(kinds.pod, name, { metadata: { labels } }, { uid }))

const unlessGone = async (asked: Promise<unknown>): Promise<void> => {
  try {
    await asked
  } catch (error) {
    if (!isGone(error) && !isConflict(error)) throw error
  }
}

/** The record of a session of which only other things are found: its label may have been taken off while no agent looked. */
export const seekAnchor = async (around: Surroundings, life: Life): Promise<void> => {
  const there = await byName<V1ConfigMap>(around, life, kinds.configMap)
  life.sought = true
  if (there !== null && ownerIn(there) === around.settings.agentId) around.learn.anchor(there)
}

/** Whether its Deployment is there after all, without its label. */
export const seekDeployment = async (around: Surroundings, life: Life): Promise<boolean> => {
  if (life.deployment !== null || life.anchor === null) return life.deployment !== null
  await learnDeployment(around, life)
  return life.deployment !== null
}

/**
 * Whether it is to run after all, where it was seen scaled to nothing or going: each kind has a watch of its own, and what another
 * agent has made may be known to that of records before that of Deployments has got so far.
 */
export const isScaledUp = async (around: Surroundings, life: Life): Promise<boolean> => {
  await learnDeployment(around, life)
  return life.deployment !== null && !life.deployment.going && life.deployment.replicas > 0
}

const learnDeployment = async (around: Surroundings, life: Life): Promise<void> => {
  const there = await byName<V1Deployment>(around, life, kinds.deployment)
  if (there !== null && isMade(there)) around.learn.deployment(there)
}

/** null: there is none. */
const byName = async <T extends KubernetesObject>(around: Surroundings, life: Life, kind: Kind): Promise<T | null> => {
  try {
    return await around.objects.get<T>(kind, nameOf(life.sessionId))
  } catch (error) {
    if (isGone(error)) return null
    throw error
  }
}
