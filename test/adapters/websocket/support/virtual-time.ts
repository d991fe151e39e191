/** Time that passes when the test says so. */
import { setImmediate as turn } from 'node:timers/promises'
import type { Timing } from '../../../../adapters/websocket/timing.ts'

export type VirtualTime = Timing & {
  /** Lets so many milliseconds pass, and everything that is due in them happen. */
  readonly pass: (ms: number) => Promise<void>
  /** Lets everything happen that needs no time. */
  readonly settle: () => Promise<void>
  /** The process stands still for so long: nothing happens, and afterwards it is late. */
  readonly standStill: (ms: number) => void
  readonly timers: () => number
}

export const virtualTime = (random: () => number = () => 0.5): VirtualTime => {
  let now = 0
  let sequence = 0
  const timers = new Map<number, { readonly at: number; readonly action: () => void }>()
  const settle = async (): Promise<void> => {
    for (let turns = 0; turns < 3; turns++) await turn()
  }
  return {
    now: () => now,
    random,
    after: (ms, action) => {
      const id = sequence++
      timers.set(id, { at: now + ms, action })
      return () => timers.delete(id)
    },
    timers: () => timers.size,
    standStill: (ms) => {
      now += ms
    },
    settle,
    pass: async (ms) => {
      const end = now + ms
      await settle()
      for (;;) {
        const next = [...timers]
          .filter(([, timer]) => timer.at <= end)
          .sort((a, b) => a[1].at - b[1].at || a[0] - b[0])[0]
        if (next === undefined) break
        timers.delete(next[0])
        now = Math.max(now, next[1].at)
        next[1].action()
        await settle()
      }
      now = end
    },
  }
}
