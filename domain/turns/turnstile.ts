import { createTurns, type Share, type TurnsSettings } from './turns.ts'

/** Rejects with a `NoTurnError`, and `work` was not begun, when the turn does not come in time. */
export type Turnstile = <A>(whose: Share, work: () => Promise<A>) => Promise<A>

export class NoTurnError extends Error {
  constructor() {
    super('its turn did not come in time')
    this.name = 'NoTurnError'
  }
}

/** Lets a few in at a time; the others wait, for `withinMs` at most (null: as long as it takes), and orgs are let in by turns (`turns.ts`). */
export const createTurnstile = (settings: TurnsSettings, withinMs: number | null): Turnstile => {
  const turns = createTurns(settings)
  const turnOf = (whose: Share): Promise<void> =>
    new Promise((resolve, reject) => {
      let timer: NodeJS.Timeout | undefined
      const giveUp = turns.wait(whose, () => {
        clearTimeout(timer)
        resolve()
      })
      if (withinMs === null) return
      timer = setTimeout(() => {
        giveUp()
        reject(new NoTurnError())
      }, withinMs)
    })
  return async (whose, work) => {
    if (!turns.enter(whose)) await turnOf(whose)
    try {
      return await work()
    } finally {
      turns.leave(whose)
    }
  }
}

/** A read of an org, in the org's turn. */
export const byTurns =
  (inTurn: Turnstile) =>
  <OrgId extends Share, More extends readonly unknown[], A>(read: (orgId: OrgId, ...more: More) => Promise<A>) =>
  (orgId: OrgId, ...more: More): Promise<A> =>
    inTurn(orgId, () => read(orgId, ...more))
