/**
 * The database's time, without asking it each time: the offset between its clock and this machine's
 * monotonic one is measured now and then. Replicas thereby agree on deadlines however wrong their own
 * clocks are.
 */
import type { Clock } from '../../domain/ports/clock.ts'
import type { Database } from './pool.ts'

const MEASURE_EVERY_MS = 30_000

export type DatabaseClock = Clock & { readonly stop: () => void }

export const createDatabaseClock = async (database: Database): Promise<DatabaseClock> => {
  let offsetMs = 0
  const measure = async (): Promise<void> => {
    const before = performance.now()
    const { rows } = await database.query({ text: 'SELECT extract(epoch FROM clock_timestamp())::float8 * 1000 AS ms' })
    const after = performance.now()
    // The answer was taken somewhere between asking and hearing it: half the round trip is the best guess.
    offsetMs = rows[0].ms - (before + after) / 2
  }
  await measure()
  // While the database is away the last offset stands; the next measure corrects it.
  const timer = setInterval(() => void measure().catch(() => {}), MEASURE_EVERY_MS)
  timer.unref()
  return { now: () => new Date(performance.now() + offsetMs), stop: () => clearInterval(timer) }
}
