/**
 * What happens to a session that nobody has asked anything of: shown as it is, started again as its restart policy
 * allows, ended where it does not, put back where somebody changed it by hand.
 */
import { messageOf } from '../runtime/log.ts'
import { isPassing } from './api.ts'
import { timedOut } from './await-running.ts'
import { giveUp } from './give-up.ts'
import { isScaledUp, mend, seekAnchor, seekDeployment } from './mend.ts'
import type { SessionRecord } from './record.ts'
import {
  type Life,
  look,
  overNow,
  recordOf,
  runningNow,
  type Surroundings,
  show,
  startingNow,
  startTimeoutMs,
  type Work,
} from './session-life.ts'
import { startAgain } from './start-again.ts'
import type { Seen } from './status.ts'
import { isKept, untilNoneIsKept } from './until-ended.ts'
import { findWay } from './way.ts'
import { changeRecord, Overtaken, scaleDown, scaleTo } from './writes.ts'

/** Shows a session as it is now, and says what has to be done about it; null: nothing but showing it. */
export const react = (around: Surroundings, life: Life): Work | null => {
  if (life.anchor === null && !life.sought && (life.deployment !== null || life.pods.size > 0))
    return () => seekAnchor(around, life)
  const mending = mend(around, life)
  if (mending !== null) return mending
  const record = recordOf(life)
  if (record?.settled !== true || record.phase === 'down' || life.anchor?.going === true) life.startingSince = null
  // Cut short or under way: the server asks for it again.
  if (record === null || !record.settled || life.anchor?.going === true) return null
  if (record.phase === 'down') {
    show(around, life, record.observed)
    const { deployment } = life
    if (deployment === null || deployment.going || deployment.replicas === 0) return null
    return () => scaleDown(around, life, record.generation)
  }
  return reactTo(around, life, record, look(around, life, record))
}

const reactTo = (around: Surroundings, life: Life, record: SessionRecord, seen: Seen): Work | null => {
  // Two pods on one home: somebody has scaled it by hand.
  if ((life.deployment?.replicas ?? 1) > 1) return () => scaleTo(around, life, record.generation, 1)
  switch (seen.kind) {
    case 'running':
      if ((record.desired.spec.ports ?? []).length > 0 && (life.address === null || life.accessToken === null))
        return () => learnWay(around, life)
      // A pod that has just become ready: its Service leads there in a moment.
      if (seen.pod.container?.id !== life.wasReady)
        return async () => {
          await around.reach(life.address, record.desired.spec.ports?.[0]?.port)
          life.wasReady = seen.pod.container?.id ?? null
        }
      life.startingSince = null
      show(around, life, runningNow(around, life, record, seen.pod))
      return null
    case 'starting': {
      const putBack = life.deployment?.replicas === 0
      // How long the kubelet waits before it starts it again is not of the start's time.
      if (life.startingSince === null || seen.reason === 'restarting') life.startingSince = Date.now()
      if (Date.now() - life.startingSince >= startTimeoutMs(record))
        return () => giveUpAndShow(around, life, timedOut(record, seen))
      show(around, life, startingNow(around, life, record, seen))
      if (putBack) return () => startAgain(around, life, record)
      return [...life.pods.values()].some(isKept) ? (_, signal) => untilNoneIsKept(around, life, signal) : null
    }
    case 'restarting':
      return async () => {
        const { restarts, forgiven, counted, message } = seen
        const next = await changeRecord(around, life, { restarts, forgiven, counted })
        life.startingSince = null
        around.log.info(
          { sessionId: life.sessionId, restarts, why: message },
          'a session has ended and is started again',
        )
        show(around, life, startingNow(around, life, next, { reason: 'restarting', message, pod: null }))
      }
    case 'over':
      return () => giveUpAndShow(around, life, seen)
    case 'missing':
      // Its pods are still ending: another can be made when it is gone, which is told.
      if (life.deployment?.going === true && seen.answer === 'again') {
        show(
          around,
          life,
          startingNow(around, life, record, { reason: 'restarting', message: seen.message, pod: null }),
        )
        return null
      }
      return async () => {
        if (await (life.deployment === null ? seekDeployment : isScaledUp)(around, life)) return
        if (seen.answer === 'over') return giveUpAndShow(around, life, removed(seen.message))
        show(
          around,
          life,
          startingNow(around, life, record, { reason: 'restarting', message: seen.message, pod: null }),
        )
        const restarts = record.restarts + (seen.isCounted ? 0 : 1)
        await startAgain(around, life, { ...record, restarts, forgiven: seen.forgiven })
      }
  }
}

const removed = (message: string): Extract<Seen, { kind: 'over' }> => ({
  kind: 'over',
  status: 'failed',
  reason: 'removed_outside',
  message,
  exit: null,
  output: null,
  pod: null,
})

const learnWay = async (around: Surroundings, life: Life): Promise<void> => {
  await findWay(around, life)
  // Its Service or its Secret was taken away: whoever asks for it gets no link, and it is not asked for again and again.
  life.address ??= ''
  life.accessToken ??= ''
}

const giveUpAndShow = async (
  around: Surroundings,
  life: Life,
  seen: Extract<Seen, { kind: 'over' }>,
): Promise<void> => {
  const record = recordOf(life)
  if (record === null) return
  const observed = overNow(around, life, record, seen)
  const { status, reason } = observed
  around.log.info({ sessionId: life.sessionId, status, reason, detail: seen.message }, 'a session is over')
  const { sessionId } = life
  try {
    await giveUp(around, life, observed)
  } finally {
    // It is so once it is written down, though what was to be scaled down has gone, too, or is somebody else's by now.
    if (life.observed === observed) around.listener.report({ sessionId, generation: record.generation, ...observed })
  }
}

const SOON_MS = 1_000
const LATER_MS = 30_000

/** How long until it is tried again though nothing new is heard of the session, in milliseconds. */
export const afterTrouble = (around: Surroundings, life: Life, error: unknown): number => {
  const { sessionId } = life
  if (error instanceof Overtaken) {
    around.log.info({ sessionId, error: error.message }, 'a session was left to whoever works on it')
    // Or to nobody, where it was somebody's edit: looked at again.
    return LATER_MS
  }
  around.log.warn({ sessionId, error: messageOf(error) }, 'what was seen of a session could not be answered')
  return isPassing(error) ? SOON_MS : LATER_MS
}
