/**
 * Somebody removed a session's files while the agent was there. Its processes would run on with their home and the place
 * where their end is written down gone, and the next agent would not find them: so they are ended, and its restart
 * policy decides, as after any other end that nobody asked for. What is at rest has its record written again.
 */
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { SessionId } from '../../domain/ids.ts'
import { messageOf } from '../runtime/log.ts'
import { makeFolders } from './session-files.ts'
import { type Life, type Surroundings, save } from './session-life.ts'
import { rememberEnding } from './take-down.ts'
import { signalAll } from './terminate.ts'
import { runDirOf } from './workload.ts'

const EVERY_MS = 1_000
const REASON = 'removed_outside'
const MESSAGE = 'its files were removed from outside'

/** To be asked often; looks once a second. */
export const lookForMissingFiles = (
  around: Surroundings,
  lives: ReadonlyMap<SessionId, Life>,
): (() => Promise<void>) => {
  const { host, listener, log, trouble } = around
  const everything = join(host.stateDir, 'sessions')
  let lookedAt = Date.now()
  let allGone = false

  const look = async (): Promise<void> => {
    // An unmounted disk, or a folder that was moved: nobody meant to end each of them.
    const gone = await isGone(everything)
    if (gone !== allGone) listener.degraded(gone ? `${everything} is gone: put it back` : null)
    allGone = gone
    if (gone) return
    for (const life of [...lives.values()])
      try {
        if (isLeftAlone(life) && (await isMissing(life))) await answer(around, life)
      } catch (error) {
        trouble(error)
        log.warn({ sessionId: life.record.sessionId, error: messageOf(error) }, 'removed files could not be dealt with')
      }
  }

  return async () => {
    if (Date.now() - lookedAt < EVERY_MS) return
    lookedAt = Date.now()
    await look()
  }
}

/** What is being done with a session makes and removes files itself. */
const isLeftAlone = ({ task, record }: Life): boolean => task === null && record.settled

const isAlive = ({ workload }: Life): boolean => workload !== null && !workload.hasEnded()

const isGone = (path: string): Promise<boolean> =>
  stat(path).then(
    () => false,
    ({ code }: NodeJS.ErrnoException) => code === 'ENOENT' || code === 'ENOTDIR',
  )

const isMissing = async (life: Life): Promise<boolean> => {
  const { files, record } = life
  if (await isGone(files.record)) return true
  if (record.run === null || !isAlive(life)) return false
  // Found before, and it lives on: nobody could be signalled then.
  if (record.run.ending?.reason === REASON) return true
  return (await isGone(files.home)) || isGone(runDirOf(files, record.run))
}

const answer = async (around: Surroundings, life: Life): Promise<void> => {
  const { workload } = life
  /** Something may be asked of it, or it may end, at every step of this. */
  const isAsItWas = (): boolean => isLeftAlone(life) && life.workload === workload
  const { sessionId, run } = life.record
  around.log.warn({ sessionId, dir: life.files.dir }, 'the files of a session were removed from outside')
  await makeFolders(around.host, life.files)
  if (!isAsItWas()) return
  if (workload === null || workload.hasEnded()) return save(life, {})
  const members = await around.members(life)
  if (!isAsItWas()) return
  // Known at once, written after they are killed: a record without the rest would make the next agent start it beside them.
  const written = run?.ending === null ? rememberEnding(life, REASON, MESSAGE) : Promise.resolve()
  signalAll(members, workload.command(), 'SIGKILL')
  await written
}
