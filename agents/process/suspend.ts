/** The end of `npm start`: sessions end with it, and run again with the next one. */
import { messageOf } from '../runtime/log.ts'
import { type Life, type Surroundings, save, stopGraceMs } from './session-life.ts'
import { takeDown } from './take-down.ts'

/** All of it has to be over within 10 s, the agent's goodbye included. */
const LONGEST_GRACE_MS = 3_000

export const suspendSession = async (around: Surroundings, life: Life): Promise<void> => {
  const { record, workload } = life
  if (record.phase === 'down' && workload === null) return
  try {
    const { run } = record
    await save(life, { phase: 'suspended', run: run === null ? null : { ...run, discarded: true } })
  } catch (error) {
    around.log.warn({ sessionId: record.sessionId, error: messageOf(error) }, 'a session is ended unrecorded')
  }
  const ended = await takeDown(around, life, { graceMs: Math.min(stopGraceMs(record), LONGEST_GRACE_MS) })
  if (ended.kind === 'stuck')
    around.log.error({ sessionId: record.sessionId, pids: ended.pids }, 'processes of a session could not be ended')
}
