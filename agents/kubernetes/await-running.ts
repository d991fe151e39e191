/** Waits until what was begun runs, and says why it does not yet. */
import { seconds } from '../../domain/template/restart.ts'
import type { Applied, ApplyContext } from '../runtime/platform.ts'
import { giveUp } from './give-up.ts'
import type { SessionRecord } from './record.ts'
import {
  type Life,
  look,
  nextChange,
  overNow,
  recordOf,
  runningNow,
  type Surroundings,
  startingNow,
  startTimeoutMs,
} from './session-life.ts'
import type { Seen } from './status.ts'
import { keptPods } from './until-ended.ts'
import { changeRecord } from './writes.ts'

export const awaitRunning = async (
  around: Surroundings,
  life: Life,
  deadline: number,
  { signal, progress }: ApplyContext,
): Promise<Applied> => {
  let until = deadline
  let told = ''
  // Of its last start: a Deployment makes no pod before they are gone.
  const kept = keptPods(around, life)
  for (;;) {
    await kept.dismiss()
    const record = recordOf(life)
    if (signal.aborted || record === null) return { kind: 'interrupted' }
    const seen = look(around, life, record)
    switch (seen.kind) {
      case 'running':
        return settle(around, life, seen)
      case 'restarting':
        await changeRecord(around, life, {
          restarts: seen.restarts,
          forgiven: seen.forgiven,
          counted: seen.counted,
        })
        until = Date.now() + startTimeoutMs(record)
        progress('restarting', seen.message)
        continue
      case 'over':
        return failure(around, life, seen)
      case 'missing':
        // Whoever removed it meanwhile is answered by a new start.
        return { kind: 'failed', code: 'removed_outside', message: seen.message, retryable: true }
      case 'starting':
        // Each start has its time, and how long the kubelet waits before it is not of it.
        if (seen.reason === 'restarting') until = Date.now() + startTimeoutMs(record)
        if (Date.now() >= until) return failure(around, life, timedOut(record, seen))
        if (seen.message !== told) {
          progress(seen.reason, seen.message)
          life.observed = startingNow(around, life, record, seen)
        }
        told = seen.message
        await nextChange(life, Math.min(until, kept.next()) - Date.now(), signal)
    }
  }
}

/** Reasons that say more than that the time was up. */
const TELLING = new Set(['unschedulable', 'image_pull_failed', 'quota_exceeded', 'platform_error'])

export const timedOut = (
  record: SessionRecord,
  { reason, message, pod }: Extract<Seen, { kind: 'starting' }>,
): Extract<Seen, { kind: 'over' }> => ({
  kind: 'over',
  status: 'failed',
  reason: TELLING.has(reason) ? reason : 'start_timeout',
  message: `waited ${seconds(startTimeoutMs(record))} for it to be ready; last: ${message}`,
  exit: null,
  output: null,
  pod,
})

const settle = async (around: Surroundings, life: Life, seen: Extract<Seen, { kind: 'running' }>): Promise<Applied> => {
  const record = recordOf(life)
  if (record === null) return { kind: 'interrupted' }
  await around.step('ready')
  await around.reach(life.address, record.desired.spec.ports?.[0]?.port)
  life.wasReady = seen.pod.container?.id ?? null
  const observed = runningNow(around, life, record, seen.pod)
  await changeRecord(around, life, { settled: true, address: life.address, parts: life.parts ?? record.parts ?? null })
  life.observed = observed
  await around.step('settled')
  return { kind: 'applied', observed }
}

const failure = async (around: Surroundings, life: Life, seen: Extract<Seen, { kind: 'over' }>): Promise<Applied> => {
  const record = recordOf(life)
  if (record === null) return { kind: 'interrupted' }
  const observed = overNow(around, life, record, seen)
  await giveUp(around, life, observed)
  if (observed.status !== 'failed') return { kind: 'applied', observed }
  return { kind: 'failed', code: seen.reason, message: seen.message, retryable: false, observed }
}
