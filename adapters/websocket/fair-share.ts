/**
 * How much of this process one socket may take: what it sends is decoded and handed on in the one thread that
 * serves everybody. A socket that has used up its share is not read until it has some again, so that TCP holds
 * its sender back and nobody else; what it sent is late, not lost.
 */
import type { Timing } from './timing.ts'

export type FairShare = {
  /** So long (ms) the thread was busy with a frame of this socket. */
  readonly used: (ms: number) => void
  readonly stop: () => void
}

/** A quarter of the thread in the long run: a dozen thousand ordinary frames a second. */
const SHARE = 0.25
/** What may be used at once: a large inventory, the statuses of a host that came back. */
const BURST_MS = 500

/** `spent`: the socket is not to be read for now; `rested`: it may be again. */
export const createFairShare = (timing: Timing, spent: () => void, rested: () => void): FairShare => {
  // Fields, which are written in place: it is done for each frame.
  const budget = { left: BURST_MS, at: timing.now() }
  let cancelTimer: (() => void) | null = null

  const refill = (): void => {
    const now = timing.now()
    budget.left = Math.min(BURST_MS, budget.left + (now - budget.at) * SHARE)
    budget.at = now
  }

  return {
    used: (ms) => {
      budget.left -= ms
      if (budget.left >= 0 || cancelTimer !== null) return
      refill()
      if (budget.left >= 0) return
      spent()
      // Not at zero, or it would be stopped again by the next frame.
      cancelTimer = timing.after((BURST_MS / 10 - budget.left) / SHARE, () => {
        cancelTimer = null
        refill()
        rested()
      })
    },
    stop: () => {
      cancelTimer?.()
      cancelTimer = null
    },
  }
}
