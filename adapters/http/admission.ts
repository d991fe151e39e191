/**
 * How many requests a replica works on at once, whoever asks. Beyond that it says so at once (503, nothing was done): a request
 * that waits for longer than its caller does is work for nobody, and keeps all those behind it waiting. What each org has of it is in
 * `places.ts`.
 */
import { E } from '../../domain/fp.ts'
import type { AnyRefusal } from './problems.ts'
import { toldNowAndThen } from './told-now-and-then.ts'

/** Some five seconds of creating sessions. What waits for a body that is slow to come does not count. */
export const REQUESTS_AT_ONCE = 2_000

export type Admission = <A>(work: () => Promise<E.Either<AnyRefusal, A>>) => Promise<E.Either<AnyRefusal, A>>

/** `tell` hears how many were refused since it last did, at most every ten seconds. */
export const createAdmission = (most: number, tell: (refused: number) => void): Admission => {
  let underWay = 0
  const refused = toldNowAndThen(tell)
  return async (work) => {
    if (underWay >= most) {
      refused()
      return E.left({ _tag: 'Overloaded', what: 'the server' })
    }
    underWay += 1
    try {
      return await work()
    } finally {
      underWay -= 1
    }
  }
}
