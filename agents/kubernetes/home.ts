/**
 * A session's home: made once, and kept as it is. One that goes, because somebody has deleted the session's record and
 * with it all that it owned, cannot be kept: a pod that names it would wait for it for ever. So its end is waited for.
 */
import { setTimeout as wait } from 'node:timers/promises'
import type { V1PersistentVolumeClaim } from '@kubernetes/client-node'
import type { Applied } from '../runtime/platform.ts'
import { isConflict, isGone } from './api.ts'
import { kinds } from './kinds.ts'
import { AGENT_LABEL, nameOf, SESSION_LABEL, START } from './names.ts'
import { type Blueprint, claimOf } from './parts.ts'
import type { Patience } from './put-part.ts'
import type { Life, Surroundings } from './session-life.ts'
import { untilEnded } from './until-ended.ts'
import { checkStillOurs, NameTaken, Overtaken, whoseIs } from './writes.ts'

/** Each further one is twice as long: whatever keeps a claim may keep it for as long as a start may take. */
const FIRST_PAUSE_MS = 250
const LONGEST_PAUSE_MS = 2_000

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
  { until, signal, waiting }: Patience,
): Promise<Applied | null> => {
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(LONGEST_PAUSE_MS, 2 * pauseMs)) {
    if (signal.aborted) return { kind: 'interrupted' }
    const there = await madeOrFound(around, blueprint)
    if (there === 'made') return null
    if (there !== null) {
      const isGoing = there.metadata?.deletionTimestamp !== undefined
      if ((await isForUs(around, blueprint, there)) && !isGoing) return null
    }
    waiting()
    // The claim waits for the pods that use it.
    const isSo = (): boolean => ![...life.pods.values()].some(({ going }) => going)
    const ended = await untilEnded(around, life, { isSo, withinMs: until - Date.now(), signal })
    if (ended === 'interrupted') return { kind: 'interrupted' }
    if (ended === 'too_slow' || Date.now() >= until) return stillThere
    await wait(Math.min(pauseMs, until - Date.now()), undefined, { signal }).catch(() => {})
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

/** False: of an earlier session of this id, whose record is gone. It goes, too. */
const isForUs = async (
  around: Surroundings,
  blueprint: Blueprint,
  there: V1PersistentVolumeClaim,
): Promise<boolean> => {
  switch (whoseIs(there, blueprint)) {
    case 'ours':
      if (startOf(there) > blueprint.start) throw new Overtaken('the PersistentVolumeClaim')
      return true
    case 'earlier':
      await checkStillOurs(around, blueprint)
      return false
    case 'foreign':
      if (!isKeptHome(there, blueprint)) throw new NameTaken(kinds.claim, nameOf(blueprint.sessionId))
      await checkStillOurs(around, blueprint)
      return true
  }
}

const startOf = ({ metadata }: V1PersistentVolumeClaim): number => Number(metadata?.annotations?.[START] ?? 0)

/** Whoever deletes the record with `--cascade=orphan` keeps the home: it has no owner then, and still our labels. */
const isKeptHome = ({ metadata }: V1PersistentVolumeClaim, { sessionId, settings }: Blueprint): boolean =>
  (metadata?.ownerReferences ?? []).length === 0 &&
  metadata?.labels?.[SESSION_LABEL] === sessionId &&
  metadata.labels[AGENT_LABEL] === settings.agentId
