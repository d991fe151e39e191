/**
 * What earlier agents left: each session is taken over as it is. Whoever was killed between any two steps left
 * a record that says what was meant, and the folder of a run that says how far it came.
 */
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { isUuid, type SessionId } from '../../domain/ids.ts'
import type { Exit } from '../runtime/exit.ts'
import { messageOf } from '../runtime/log.ts'
import type { Registry } from './registry.ts'
import { filesOf } from './session-files.ts'
import { type Life, lifeOf, report, runningNow, type Surroundings, startingNow } from './session-life.ts'
import { readRecord } from './session-record.ts'
import { takeDown } from './take-down.ts'
import { adopt } from './workload.ts'

type ToStart = { readonly life: Life; readonly exit: Exit | null }

/** Sessions that have to be started, or whose end has to be judged; the others are as they should be. */
export const reopen = async (around: Surroundings, registry: Registry): Promise<readonly ToStart[]> => {
  const folders = await readdir(join(around.host.stateDir, 'sessions'))
  const found = await Promise.all(folders.filter(isUuid).map((name) => readOne(around, name as SessionId)))
  const lives = found.filter((life) => life !== null)
  for (const life of lives) registry.lives.set(life.record.sessionId, life)
  const toStart = await Promise.all(lives.map((life) => takeOver(around, life)))
  return toStart.filter((one) => one !== null)
}

const readOne = async (around: Surroundings, sessionId: SessionId): Promise<Life | null> => {
  const files = filesOf(around.host, sessionId)
  try {
    const record = await readRecord(files.record)
    if (record !== null) return lifeOf(record, files)
    // Made, and not yet recorded: the record comes before everything else.
    const contents = await readdir(files.dir)
    if (!contents.includes('home')) await rm(files.dir, { recursive: true, force: true })
    else around.log.warn({ sessionId, dir: files.dir }, 'a home without a record was found and left alone')
  } catch (error) {
    around.log.error({ sessionId, error: messageOf(error) }, 'a session cannot be read and was left alone')
  }
  return null
}

const takeOver = async (around: Surroundings, life: Life): Promise<ToStart | null> => {
  const { uid, sessionId } = life.record
  if (uid !== null && !(await around.uids?.claim(uid, life.files.dir)))
    around.log.warn({ sessionId, uid }, 'the uid of this session is claimed by another agent')
  const exit = await adoptRun(around, life)
  const { settled, phase, desired, run } = life.record
  // Cut short: the server asks for it again, and then it goes on from here.
  if (!settled || desired.state !== 'running' || phase === 'down') return null
  if (life.workload !== null && run?.readyAt !== null && run?.discarded === false) {
    // Whether it answers is not asked again: a session that is busy for a moment must not be ended for it.
    life.observed = runningNow(life, around.settings.advertiseHost)
    report(around, life)
    return null
  }
  if (phase === 'up' && exit === null) life.observed = startingNow(life, 'starting', 'waiting for it to answer')
  else if (phase !== 'up') life.observed = startingNow(life, 'starting', 'the agent was ended and starts it again')
  return { life, exit: phase === 'up' ? exit : null }
}

/** Finds the process again that the record tells of; the exit, if it has ended. */
const adoptRun = async (around: Surroundings, life: Life): Promise<Exit | null> => {
  const { run } = life.record
  if (run === null) return null
  const adopted = await adopt(around.host, life.files, run)
  if (adopted.kind === 'not_begun') return null
  if (adopted.kind === 'ended') return adopted.exit
  life.workload = adopted.workload
  if (!run.discarded && run.ending === null) return null
  // An agent was ended while it was ending this one.
  const { workload } = adopted
  await takeDown(around, life)
  return workload.hasEnded() ? workload.ended : null
}
