/** An engine that answers, but not for one container: its disk or its runtime hangs. The others are not to suffer. */
import { type Engine, GivenUp, isFullDisk, isUnreachable } from './engine.ts'

const PING_WITHIN_MS = 5_000

export const isOnlyThisOne = async (engine: Pick<Engine, 'ping'>, error: unknown): Promise<boolean> => {
  if (isFullDisk(error) || error instanceof GivenUp) return false
  if (!isUnreachable(error)) return true
  return engine.ping(PING_WITHIN_MS).then(
    () => true,
    () => false,
  )
}

/** What stands in for an answer that never comes. */
export const unlessSilent = <A, B>(engine: Pick<Engine, 'ping'>, asked: Promise<A>, otherwise: B): Promise<A | B> =>
  asked.catch(async (error: unknown) => {
    if (await isOnlyThisOne(engine, error)) return otherwise
    throw error
  })
