/**
 * Time as the hub measures it. Intervals are taken from a clock that never jumps; `Clock` of the domain is
 * for what is written down. Handed in, so that a test of a lane can let an hour pass in a millisecond.
 */
export type Timing = {
  /** Milliseconds from some fixed moment; only differences mean something. */
  readonly now: () => number
  /** Runs `action` once after `ms`; the answer cancels it. */
  readonly after: (ms: number, action: () => void) => () => void
  /** Evenly from 0 (included) to 1 (not included). */
  readonly random: () => number
}

export const realTiming: Timing = {
  now: () => performance.now(),
  after: (ms, action) => {
    const timer = setTimeout(action, Math.ceil(ms))
    return () => clearTimeout(timer)
  },
  random: Math.random,
}

/**
 * Exponential backoff with full jitter: evenly from 0 to `baseMs · 2^attempt`, at most `capMs`. Many who
 * failed together do not come back together (AWS Architecture Blog, "Exponential Backoff And Jitter").
 */
export const fullJitter = (timing: Timing, baseMs: number, attempt: number, capMs: number): number =>
  timing.random() * Math.min(capMs, baseMs * 2 ** Math.min(attempt, 30))

/** The same, never below half: for retries against a database, where a delay of nothing helps nobody. */
export const retryDelay = (timing: Timing, attempt: number): number => {
  const ceiling = Math.min(5_000, 100 * 2 ** Math.min(attempt, 30))
  return ceiling / 2 + fullJitter(timing, ceiling / 2, 0, ceiling / 2)
}

/** The next of moments that are `everyMs` apart: what is due at about the same time is due together. */
export const onGrid = (at: number, everyMs: number): number => Math.ceil(at / everyMs) * everyMs
