/**
 * An orderly stop: agents are told when to come back (spread, so that the other replicas are not overrun),
 * what is being written is finished, and the leases are given up last. Each step is cut short when the time
 * is up: the next connection of an agent puts right whatever was not written.
 */
import { closeCodes } from '../../agents/protocol.ts'
import type { CountedInbox } from './counted-inbox.ts'
import type { FrameSocket } from './frame-socket.ts'
import type { Notes } from './notes.ts'
import type { Releases } from './releases.ts'
import type { Timing } from './timing.ts'

export type ClosingDeps = {
  readonly sockets: ReadonlySet<FrameSocket>
  readonly inbox: CountedInbox
  readonly notes: Notes
  readonly releases: Releases
  readonly timing: Timing
  readonly withinMs: number
}

/** Agents come back over this long, growing with their number: 10,000 within 30 s. */
const RECONNECT_AT_LEAST_MS = 500
const RECONNECT_SPREAD_MS = 1_000
const RECONNECT_SPREAD_PER_SOCKET_MS = 3

export const sayBye = (sockets: readonly FrameSocket[], reason: string, timing: Timing): void => {
  const spread = Math.max(RECONNECT_SPREAD_MS, sockets.length * RECONNECT_SPREAD_PER_SOCKET_MS)
  for (const socket of sockets) {
    const reconnectAfterMs = Math.round(RECONNECT_AT_LEAST_MS + timing.random() * spread)
    socket.send({ type: 'bye', reason, reconnectAfterMs })
    socket.end(closeCodes.goingAway, 'going away')
  }
}

export const closeHub = async (deps: ClosingDeps, reason: string): Promise<void> => {
  const { sockets, inbox, notes, releases, timing, withinMs } = deps
  const begun = timing.now()
  const until = async (part: number, holds: () => boolean): Promise<void> => {
    const deadline = begun + withinMs * part
    while (!holds() && timing.now() < deadline)
      await new Promise<void>((resolve) => {
        timing.after(10, resolve)
      })
  }

  releases.hold()
  sayBye([...sockets], reason, timing)
  await until(0.4, () => sockets.size === 0)
  for (const socket of sockets) socket.terminate()

  await until(0.6, () => inbox.figures.onTheWay === 0)
  let isFlushed = false
  notes.flush().then(
    () => {
      isFlushed = true
    },
    () => {},
  )
  await until(0.8, () => isFlushed)
  releases.resume()
  await until(1, () => releases.count() === 0)
  notes.stop()
  releases.stop()
}
