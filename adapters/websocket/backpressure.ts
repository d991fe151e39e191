/** Whether a socket takes what is sent to it. What it does not take stays in our memory. */
import { SEND_HIGH_WATER_BYTES, SEND_LOW_WATER_BYTES } from './settings.ts'
import type { Timing } from './timing.ts'

export type Wire = {
  /** `flushed` is called when the frame has left this process, or never will. */
  readonly send: (frame: Buffer, flushed: () => void) => void
  /** What is sent meanwhile leaves together. */
  readonly together: (sends: () => void) => void
  readonly bufferedBytes: () => number
  /** It has just become full; somebody should look after it until it takes something again. */
  readonly filled?: () => void
}

export type Backpressure = {
  readonly isFull: () => boolean
  /** Something has left this process. */
  readonly flushed: () => void
  /** Since when nothing was taken off a full socket, by the clock of `Timing`; null when it is not full. */
  readonly stalledSince: () => number | null
}

/** `eased`: there is room again. */
export const createBackpressure = (wire: Wire, timing: Timing, eased: () => void): Backpressure => {
  let since: number | null = null
  const flushed = (): void => {
    if (since === null) return
    since = wire.bufferedBytes() > SEND_LOW_WATER_BYTES ? timing.now() : null
    if (since === null) eased()
  }
  return {
    isFull: () => {
      if (since === null && wire.bufferedBytes() > SEND_HIGH_WATER_BYTES) {
        since = timing.now()
        wire.filled?.()
      }
      return since !== null
    },
    flushed,
    stalledSince: () => {
      // What filled the socket may have been no command, so that nobody was told when it had left.
      if (since !== null && wire.bufferedBytes() <= SEND_LOW_WATER_BYTES) flushed()
      return since
    },
  }
}
