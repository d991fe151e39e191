/**
 * A lane that is there only while it is needed. Of ten thousand connected agents nearly all have nothing on its way,
 * and what a lane is made of takes as much memory as all the rest of a connection: it is made when something may be
 * due, and thrown away when a read finds nothing and nothing was ever sent.
 */
import type { Peer } from '../../domain/ports/agents.ts'
import type { Wire } from './backpressure.ts'
import { createLane, type Lane, type LaneDeps } from './lane.ts'

export const createRestingLane = (deps: LaneDeps, peer: Peer, wire: Wire): Lane => {
  let awake: Lane | null = null
  let stopped = false
  const rest = (): void => {
    awake?.stop()
    awake = null
  }
  return {
    drain: () => {
      if (stopped) return
      awake ??= createLane(deps, peer, wire, rest)
      awake.drain()
    },
    acked: (commandIds) => awake?.acked(commandIds),
    // Of a command that was sent on an earlier connection, or never: there is no flight, at most a note.
    answered: (commandId, dueAgain) => {
      if (awake !== null) return awake.answered(commandId, dueAgain)
      return dueAgain ? deps.notes.withdrawAck(commandId) : null
    },
    settled: (commandId, fate) => awake?.settled(commandId, fate),
    inFlight: () => awake?.inFlight() ?? 0,
    stalledSince: () => awake?.stalledSince() ?? null,
    stop: () => {
      stopped = true
      rest()
    },
  }
}
