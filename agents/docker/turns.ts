/**
 * So many at a time of what is started although nobody asked: after a reboot that is every session, and a machine that starts
 * them all at once starts none in time. Who waits to be started again later does not hold a turn.
 */
import { setTimeout as wait } from 'node:timers/promises'
import { createGate } from '../runtime/gate.ts'

export type Turn = {
  /** Waits for a time, and then for a turn again; both end with the signal. */
  readonly pause: (ms: number) => Promise<void>
}

export type Turns = {
  /** Does the work when its turn has come; null: the signal came first. */
  readonly during: <A>(signal: AbortSignal, work: (turn: Turn) => Promise<A>) => Promise<A | null>
}

type Entrant = { readonly signal: AbortSignal; readonly begin: (isIn: boolean) => void }

export const createTurns = (limit: number): Turns => {
  const gate = createGate<Entrant>(limit, ({ signal, begin }) => {
    if (signal.aborted) return false
    begin(true)
    return true
  })

  /** False: the signal came first, and nothing is to be left. */
  const enter = (signal: AbortSignal): Promise<boolean> =>
    new Promise((resolve) => {
      const cut = (): void => resolve(false)
      signal.addEventListener('abort', cut, { once: true })
      gate.enter({
        signal,
        begin: (isIn) => {
          signal.removeEventListener('abort', cut)
          resolve(isIn)
        },
      })
      if (signal.aborted) cut()
    })

  return {
    during: async (signal, work) => {
      let isIn = await enter(signal)
      if (!isIn) return null
      const leave = (): void => {
        if (isIn) gate.leave()
        isIn = false
      }
      try {
        return await work({
          pause: async (ms) => {
            leave()
            await wait(ms, undefined, { signal }).catch(() => {})
            isIn = await enter(signal)
          },
        })
      } finally {
        leave()
      }
    },
  }
}
