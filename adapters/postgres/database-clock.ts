/**
 * The database's time, without asking it each time: the offset between its clock and this machine's
 * monotonic one is measured now and then. Replicas thereby agree on deadlines however wrong their own
 * clocks are.
 */
import type { Clock } from '../../domain/ports/clock.ts'
import type { Database } from './pool.ts'

const MEASURE_EVERY_MS = 30_000
/**
 * A measurement is wrong by half its round trip at most. One that took longer, because this process or the database
 * stood still in the middle, is dropped and made again soon: the offset that there is, is better.
 */
const LONGEST_ROUND_TRIP_MS = 200
const AGAIN_AFTER_MS = 1_000
const FIRST_TRIES = 5

export type DatabaseClock = Clock & { readonly stop: () => void }

export const createDatabaseClock = async (database: Database): Promise<DatabaseClock> => {
  let offsetMs = 0
  let timer: NodeJS.Timeout | undefined
  let stopped = false

  /** Answers the round trip, in milliseconds. */
  const measure = async (keepWithinMs: number): Promise<number> => {
    const before = performance.now()
    const { rows } = await database.query({ text: 'SELECT extract(epoch FROM clock_timestamp())::float8 * 1000 AS ms' })
    const after = performance.now()
    // The answer was taken somewhere between asking and hearing it: half the round trip is the best guess.
    if (after - before <= keepWithinMs) offsetMs = rows[0].ms - (before + after) / 2
    return after - before
  }

  let shortest = Number.POSITIVE_INFINITY
  for (let count = 0; count < FIRST_TRIES && shortest > LONGEST_ROUND_TRIP_MS; count += 1)
    shortest = Math.min(shortest, await measure(shortest))

  // While the database is away the last offset stands; the next measure corrects it.
  const again = (ms: number): void => {
    if (stopped) return
    timer = setTimeout(
      () =>
        void measure(LONGEST_ROUND_TRIP_MS).then(
          (tookMs) => again(tookMs > LONGEST_ROUND_TRIP_MS ? AGAIN_AFTER_MS : MEASURE_EVERY_MS),
          () => again(MEASURE_EVERY_MS),
        ),
      ms,
    )
    timer.unref()
  }
  again(shortest > LONGEST_ROUND_TRIP_MS ? AGAIN_AFTER_MS : MEASURE_EVERY_MS)
  return {
    now: () => new Date(performance.now() + offsetMs),
    stop: () => {
      stopped = true
      clearTimeout(timer)
    },
  }
}
