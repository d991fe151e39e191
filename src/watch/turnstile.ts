import { createTurns, type Share, type TurnsSettings } from '../../domain/turns/turns.ts'

/** Lets a few in at a time; the others wait, and orgs are let in by turns (`domain/turns/turns.ts`). */
export const createTurnstile = (settings: TurnsSettings): (<A>(whose: Share, work: () => Promise<A>) => Promise<A>) => {
  const turns = createTurns(settings)
  return async (whose, work) => {
    if (!turns.enter(whose)) await new Promise<void>((resolve) => void turns.wait(whose, resolve))
    try {
      return await work()
    } finally {
      turns.leave(whose)
    }
  }
}
