/**
 * Somebody removed a session's folder while the agent was there. Its processes would run on with their home and the place
 * where their end is written down gone, and the next agent would not find them: so they are ended, and its restart
 * policy decides, as after any other end that nobody asked for. What is at rest has its record written again.
 */
import { stat } from 'node:fs/promises'
import type { SessionId } from '../../domain/ids.ts'
import { makeFolders } from './session-files.ts'
import { type Life, type Surroundings, save } from './session-life.ts'
import { rememberEnding } from './take-down.ts'
import { signalAll } from './terminate.ts'

const EVERY_MS = 1_000
const MESSAGE = 'its files were removed from outside'

/** To be asked often; looks once a second. */
export const lookForMissingFiles = (
  around: Surroundings,
  lives: ReadonlyMap<SessionId, Life>,
): (() => Promise<void>) => {
  let lookedAt = Date.now()
  return async () => {
    if (Date.now() - lookedAt < EVERY_MS) return
    lookedAt = Date.now()
    for (const life of [...lives.values()])
      if (isLeftAlone(life) && (await isMissing(life)) && isLeftAlone(life)) await answer(around, life)
  }
}

/** What is being done with a session makes and removes files itself. */
const isLeftAlone = ({ task, record }: Life): boolean => task === null && record.settled

const isMissing = ({ files }: Life): Promise<boolean> =>
  stat(files.record).then(
    () => false,
    (error: NodeJS.ErrnoException) => error.code === 'ENOENT',
  )

const answer = async (around: Surroundings, life: Life): Promise<void> => {
  const { sessionId, run } = life.record
  around.log.warn({ sessionId, dir: life.files.dir }, 'the files of a session were removed from outside')
  await makeFolders(around.host, life.files)
  if (life.workload === null || life.workload.hasEnded()) return save(life, {})
  if (run?.ending === null) await rememberEnding(life, 'removed_outside', MESSAGE)
  signalAll(await around.members(life), life.workload.command(), 'SIGKILL')
}
