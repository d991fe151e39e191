/**
 * Whose turn it is at the database. All callers of a replica share its connections (`src/server-databases.ts`), and whoever asked
 * first would have them all: three hundred batches of one org kept every other one waiting for seconds. So a request has a place before it
 * asks the database for anything. An org has some of the places, its other requests wait, and places that come free go to the
 * orgs in turn (`domain/turns/turns.ts`). A refusal is a 503 `overloaded`: nothing was done.
 *
 * A place is taken without waiting when there is one. What is not counted: who asks is found out before (gathered into one
 * statement, `src/usecases/authenticate.ts`), and a stream of events has its place until it begins.
 */
import { E } from '../../domain/fp.ts'
import { createTurns, type Share, type Turns, type TurnsSettings } from '../../domain/turns/turns.ts'
import type { Route } from '../../src/api/route.ts'
import { RequestAbortedError } from './body.ts'
import type { AnyRefusal } from './problems.ts'
import { toldNowAndThen } from './told-now-and-then.ts'

export type PlaceSettings = {
  /** Of what takes a connection for a moment. */
  readonly usual: TurnsSettings
  /** Of what takes one for long, or has others answer first. */
  readonly long: TurnsSettings & {
    /** Of one org, in the queue: the last of more would not be done in time. */
    readonly waitingOfOne: number
  }
  /** Of each operation that is gathered: two statements full, so that one is there when the one before is done. */
  readonly gathered: TurnsSettings
  /** Requests of one org, those that wait among them: some of all that a replica takes (`admission.ts`) are left for others. */
  readonly requestsOfOne: number
  /** For how long a request may wait for its place: who asked has hardly waited for longer. */
  readonly waitMs: number
}

/**
 * Of eighteen connections nine at most are for these, so that what is gathered, and watchers who were away, find one; six at most for one
 * org.
 */
export const PLACES: PlaceSettings = {
  usual: { most: 7, mostOfOne: 5 },
  long: { most: 2, mostOfOne: 1, waitingOfOne: 64 },
  gathered: { most: 256, mostOfOne: 128 },
  requestsOfOne: 1_500,
  waitMs: 10_000,
}

/** A request, as far as its place is concerned. */
export type Asker = {
  readonly operationId: string
  readonly takes: Route['takes']
  readonly share: Share
  /** When this is closed, nobody waits any more. */
  readonly response: Closing
}

/** What this needs to know of a `ServerResponse`. */
type Closing = {
  readonly destroyed: boolean
  readonly once: (event: 'close', hear: () => void) => unknown
  readonly off: (event: 'close', hear: () => void) => unknown
}

export type Places = {
  /**
   * Works in a place, which is free again when the work ends, however that is. Left: the org has too much under way, or waited for too long. Rejects
   * with a `RequestAbortedError` when whoever asked goes away while it waits.
   */
  readonly within: <A>(asker: Asker, work: () => Promise<E.Either<AnyRefusal, A>>) => Promise<E.Either<AnyRefusal, A>>
  /** What is read bit by bit while it is sent: each bit is read in a place, and none is held while the reader takes it. */
  readonly bitByBit: (asker: Asker, bits: AsyncIterable<string>) => AsyncIterable<string>
}

/** `tell` hears who was refused last, and how many were since it last did, at most every ten seconds. */
export const createPlaces = (
  { usual, long, gathered, requestsOfOne, waitMs }: PlaceSettings,
  tell: (refused: number, last: Share) => void,
): Places => {
  const shared = { usual: createTurns(usual), long: createTurns(long) }
  const byOperation = new Map<string, Turns>()
  const turnsOf = ({ operationId, takes }: Asker): Turns => {
    if (takes !== 'gathered') return shared[takes ?? 'usual']
    const known = byOperation.get(operationId)
    if (known !== undefined) return known
    const turns = createTurns(gathered)
    byOperation.set(operationId, turns)
    return turns
  }

  const requestsBy = new Map<Share, number>()
  const count = (share: Share, now: number): void => {
    if (now > 0) requestsBy.set(share, now)
    else requestsBy.delete(share)
  }
  let last: Share = ''
  const refused = toldNowAndThen((times) => tell(times, last))
  const refuse = (share: Share): E.Either<AnyRefusal, never> => {
    last = share
    refused()
    return E.left({ _tag: 'Overloaded', what: 'your org' })
  }

  const within: Places['within'] = async (asker, work) => {
    const { share, takes } = asker
    const requests = requestsBy.get(share) ?? 0
    if (requests >= requestsOfOne) return refuse(share)
    const turns = turnsOf(asker)
    count(share, requests + 1)
    try {
      if (!turns.enter(share)) {
        if (takes === 'long' && turns.waiting(share) >= long.waitingOfOne) return refuse(share)
        const outcome = await turnOf(turns, asker, waitMs)
        if (outcome === 'gone') throw new RequestAbortedError()
        if (outcome === 'late') return refuse(share)
      }
      try {
        return await work()
      } finally {
        turns.leave(share)
      }
    } finally {
      count(share, (requestsBy.get(share) ?? 1) - 1)
    }
  }

  const inPlace = async <A>(asker: Asker, work: () => Promise<A>): Promise<A> => {
    const turns = turnsOf(asker)
    // The answer has begun, so it is not refused any more: it comes as slowly as the others of its org allow.
    if (!turns.enter(asker.share) && (await turnOf(turns, asker, null)) === 'gone') throw new RequestAbortedError()
    try {
      return await work()
    } finally {
      turns.leave(asker.share)
    }
  }

  return {
    within,
    bitByBit: async function* (asker, bits) {
      const reading = bits[Symbol.asyncIterator]()
      try {
        for (;;) {
          const bit = await inPlace(asker, () => reading.next())
          if (bit.done === true) return
          yield bit.value
        }
      } finally {
        await reading.return?.()
      }
    },
  }
}

/** `in`: it has a place, and has to leave it. null: it waits for as long as somebody is there. */
const turnOf = (turns: Turns, { share, response }: Asker, withinMs: number | null): Promise<'in' | 'late' | 'gone'> =>
  new Promise((resolve) => {
    if (response.destroyed) return resolve('gone')
    let timer: NodeJS.Timeout | undefined
    const end = (how: 'in' | 'late' | 'gone'): void => {
      clearTimeout(timer)
      response.off('close', gone)
      resolve(how)
    }
    const giveUp = turns.wait(share, () => end('in'))
    const gone = (): void => {
      giveUp()
      end('gone')
    }
    response.once('close', gone)
    if (withinMs === null) return
    timer = setTimeout(() => {
      giveUp()
      end('late')
    }, withinMs)
  })
