/** One timer for many deadlines: rings at the earliest of those it was told. */
import type { Timing } from './timing.ts'

export type Alarm = {
  /** At this moment of `Timing` at the latest. Ringing early is harmless, and cheaper than setting it anew. */
  readonly ringBy: (at: number) => void
  readonly stop: () => void
}

export const createAlarm = (timing: Timing, ring: () => void): Alarm => {
  let set: { readonly at: number; readonly cancel: () => void } | null = null
  return {
    ringBy: (at) => {
      if (at === Number.POSITIVE_INFINITY || (set !== null && set.at <= at)) return
      set?.cancel()
      const cancel = timing.after(Math.max(1, at - timing.now()), () => {
        set = null
        ring()
      })
      set = { at, cancel }
    },
    stop: () => {
      set?.cancel()
      set = null
    },
  }
}
