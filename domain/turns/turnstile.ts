import { createTurns, type Share, type TurnsSettings } from './turns.ts'

export type Turnstile = <A>(whose: Share, work: () => Promise<A>) => Promise<A>

/** Lets a few in at a time; the others wait, and orgs are let in by turns (`turns.ts`). */
export const createTurnstile = (settings: TurnsSettings): Turnstile => {
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

/** A read of an org, in the org's turn. */
export const byTurns =
  (inTurn: Turnstile) =>
  <OrgId extends Share, More extends readonly unknown[], A>(read: (orgId: OrgId, ...more: More) => Promise<A>) =>
  (orgId: OrgId, ...more: More): Promise<A> =>
    inTurn(orgId, () => read(orgId, ...more))
