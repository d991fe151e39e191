/**
 * How long an answer of the engine is waited for. A hung engine takes connections and never answers, and an answer that
 * breaks off in the middle would be waited for for ever: the library does not say so. Once it is known that the engine
 * does not answer, whoever waits is told at once, and nobody begins to.
 */
import { EngineError, engineErrorOf, GivenUp } from './engine-error.ts'

export type Patience = {
  readonly during: <A>(call: () => Promise<A>) => Promise<A>
  /** For what is not one call: told when patience ends. Returns how to be told no more. */
  readonly onEnd: (told: (error: EngineError) => void) => () => void
  readonly giveUp: (why: string) => void
  readonly resume: () => void
}

export const createPatience = (withinMs: number): Patience => {
  const waiting = new Set<(error: EngineError) => void>()
  let ended: EngineError | null = null

  const onEnd: Patience['onEnd'] = (told) => {
    waiting.add(told)
    return () => void waiting.delete(told)
  }

  return {
    onEnd,
    during: async (call) => {
      if (ended !== null) throw ended
      let forget = (): void => {}
      let timer: NodeJS.Timeout | undefined
      const over = new Promise<never>((_, reject) => {
        forget = onEnd(reject)
        timer = setTimeout(() => reject(new EngineError('the engine did not answer in time', null)), withinMs)
      })
      try {
        return await Promise.race([call(), over])
      } catch (error) {
        throw engineErrorOf(error)
      } finally {
        clearTimeout(timer)
        forget()
      }
    },
    giveUp: (why) => {
      const error = new GivenUp(why)
      ended = error
      for (const told of [...waiting]) told(error)
    },
    resume: () => {
      ended = null
    },
  }
}
