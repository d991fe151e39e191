/** It is over: nothing runs of it any more, and the record says why. */
import type { WireObserved } from '../protocol.ts'
import { type Life, recordOf, type Surroundings } from './session-life.ts'
import { changeRecord, scaleDown } from './writes.ts'

/** Written down first: whoever is killed in between leaves a record by which the next one scales down. */
export const giveUp = async (around: Surroundings, life: Life, observed: WireObserved): Promise<void> => {
  const { endpoint: _endpoint, ...kept } = observed
  // Whatever it failed for, the next start makes its parts anew.
  const change = { settled: true, phase: 'down', parts: null, observed: { ...kept, endpoint: null } } as const
  await changeRecord(around, life, change)
  life.observed = observed
  life.startingSince = null
  await around.step('settled')
  const record = recordOf(life)
  if (record !== null && life.deployment !== null && !life.deployment.going)
    await scaleDown(around, life, record.generation)
  await around.step('scaled_down')
}
