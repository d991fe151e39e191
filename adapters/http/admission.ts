/**
 * How many requests a replica works on at once. Beyond that it says so at once (503, nothing was done): a request
 * that waits for longer than its caller does is work for nobody, and keeps all those behind it waiting.
 */
import { E } from '../../domain/fp.ts'
import type { AnyRefusal } from './problems.ts'

/** Some five seconds of creating sessions. What waits for a body that is slow to come does not count. */
export const REQUESTS_AT_ONCE = 2_000

const TOLD_EVERY_MS = 10_000

export type Admission = <A>(work: () => Promise<E.Either<AnyRefusal, A>>) => Promise<E.Either<AnyRefusal, A>>

/** `tell` hears how many were refused since it last did, at most every ten seconds. */
export const createAdmission = (most: number, tell: (refused: number) => void): Admission => {
  let underWay = 0
  let refused = 0
  let toldAt = Number.NEGATIVE_INFINITY
  const refuse = (): void => {
    refused += 1
    if (performance.now() - toldAt < TOLD_EVERY_MS) return
    toldAt = performance.now()
    tell(refused)
    refused = 0
  }
  return async (work) => {
    if (underWay >= most) {
      refuse()
      return E.left({ _tag: 'Overloaded' })
    }
    underWay += 1
    try {
      return await work()
    } finally {
      underWay -= 1
    }
  }
}
