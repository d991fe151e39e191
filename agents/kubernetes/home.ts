/**
 * A session's home: made once, and kept as it is. One that goes, because somebody has deleted the session's record and
 * with it all that it owned, cannot be kept: a pod that names it would wait for it for ever. So its end is waited for.
 */
import { setTimeout as wait } from 'node:timers/promises'
import type { V1PersistentVolumeClaim } from '@kubernetes/client-node'
import type { Applied, ApplyContext } from '../runtime/platform.ts'
import { isConflict, isGone } from './api.ts'
import { kinds } from './kinds.ts'
import { nameOf, START } from './names.ts'
import { type Blueprint, claimOf } from './parts.ts'
import type { Life, Surroundings } from './session-life.ts'
import { untilEnded } from './until-ended.ts'
import { checkStillOurs, Overtaken } from './writes.ts'

const PAUSE_MS = 250

const stillThere: Applied = {
  kind: 'failed',
  code: 'platform_error',
  message: 'its earlier PersistentVolumeClaim was deleted and is still there: see what uses it',
  retryable: true,
}

/** null: it is there. Otherwise what is to be answered. */
export const putHome = async (
  around: Surroundings,
  life: Life,
  blueprint: Blueprint,
  until: number,
  { signal, progress }: ApplyContext,
): Promise<Applied | null> => {
  let told = false
  for (;;) {
    const there = await madeOrFound(around, blueprint)
    if (there === 'made') return null
    if (there !== null) {
      const { isOurs, isGoing } = await judged(around, blueprint, there)
      if (isOurs && !isGoing) return null
      // Kept by whoever deleted the record with `--cascade=orphan`.
      if (!isGoing && (there.metadata?.ownerReferences ?? []).length === 0) return null
    }
    if (!told) progress('starting', 'waiting for what was deleted of it to be gone')
    told = true
    // The claim waits for the pods that use it.
    const isSo = (): boolean => ![...life.pods.values()].some(({ going }) => going)
    const ended = await untilEnded(around, life, { isSo, withinMs: until - Date.now(), signal })
    if (ended === 'interrupted') return { kind: 'interrupted' }
    if (ended === 'too_slow' || Date.now() >= until) return stillThere
    await wait(PAUSE_MS)
  }
}

/** null: it went in between. */
const madeOrFound = async (
  { objects }: Surroundings,
  blueprint: Blueprint,
): Promise<V1PersistentVolumeClaim | 'made' | null> => {
  try {
    await objects.create(kinds.claim, claimOf(blueprint))
    return 'made'
  } catch (error) {
    if (!isConflict(error)) throw error
  }
  try {
    return await objects.get<V1PersistentVolumeClaim>(kinds.claim, nameOf(blueprint.sessionId))
  } catch (error) {
    if (isGone(error)) return null
    throw error
  }
}

const judged = async (around: Surroundings, blueprint: Blueprint, { metadata }: V1PersistentVolumeClaim) => {
  const isOurs = metadata?.ownerReferences?.some(({ uid }) => uid === blueprint.owner) === true
  const start = Number(metadata?.annotations?.[START] ?? 0)
  if (isOurs && start > blueprint.start) throw new Overtaken('the PersistentVolumeClaim')
  if (!isOurs) await checkStillOurs(around, blueprint)
  return { isOurs, isGoing: metadata?.deletionTimestamp !== undefined }
}
