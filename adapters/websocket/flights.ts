/**
 * The commands that one lane is busy with, by what has become of them on this connection. Memory only:
 * after a crash the next connection sends them again, which is harmless.
 */
import type { CommandId, SessionId } from '../../domain/ids.ts'
import type { DueCommand } from '../../domain/ports/delivery.ts'

/**
 * `sent`: waits for its ack until `until` · `resting`: unacked, is sent again after `until` · `due`: may be
 * read again · `acked`: waits for the note or the result to be committed, so that no read returns it in
 * between · `withheld`: cannot be sent, until `until` (too large: as long as the connection lasts)
 */
export type FlightState = 'sent' | 'resting' | 'due' | 'acked' | 'withheld'

export type Flight = {
  readonly id: number
  readonly commandId: CommandId
  readonly sessionId: SessionId
  readonly generation: number
  readonly bytes: number
  readonly state: FlightState
  readonly sends: number
  readonly sentAt: Date
  /** By the clock of `Timing`; infinite where nothing is waited for. */
  readonly until: number
}

export type Flights = {
  readonly byCommand: (commandId: CommandId) => Flight | undefined
  readonly byId: (id: number) => Flight | undefined
  readonly put: (command: DueCommand, bytes: number, state: FlightState, sentAt: Date, until: number) => Flight
  readonly move: (flight: Flight, state: FlightState, until: number) => void
  readonly remove: (flight: Flight) => void
  /** Rows above an id that a read has to leave out. */
  readonly excluded: (after: number) => readonly number[]
  readonly excludedCount: () => number
  readonly isEmpty: () => boolean
  /** Frames and bytes without an ack. */
  readonly inWindow: () => { readonly count: number; readonly bytes: number }
  readonly all: () => Iterable<Flight>
  /** Those above an id that a read may return again. */
  readonly due: (after: number) => readonly Flight[]
  readonly clear: () => void
}

const holdsRoom = (state: FlightState): boolean => state === 'sent' || state === 'resting'

export const createFlights = (): Flights => {
  type Kept = { -readonly [K in keyof Flight]: Flight[K] }
  const flights = new Map<number, Kept>()
  const ids = new Map<CommandId, number>()
  const window = { count: 0, bytes: 0 }
  let due = 0

  const count = (flight: Flight, sign: 1 | -1): void => {
    if (flight.state === 'due') due += sign
    if (!holdsRoom(flight.state)) return
    window.count += sign
    window.bytes += sign * flight.bytes
  }

  return {
    byCommand: (commandId) => {
      const id = ids.get(commandId)
      return id === undefined ? undefined : flights.get(id)
    },
    byId: (id) => flights.get(id),
    put: (command, bytes, state, sentAt, until) => {
      const before = flights.get(command.id)
      if (before !== undefined) count(before, -1)
      const { id, commandId, sessionId, generation } = command
      const sends = (before?.sends ?? 0) + (state === 'sent' ? 1 : 0)
      const flight: Kept = { id, commandId, sessionId, generation, bytes, state, sends, sentAt, until }
      flights.set(id, flight)
      ids.set(commandId, id)
      count(flight, 1)
      return flight
    },
    move: (flight, state, until) => {
      const kept = flights.get(flight.id)
      if (kept === undefined) return
      count(kept, -1)
      kept.state = state
      kept.until = until
      count(kept, 1)
    },
    remove: (flight) => {
      const kept = flights.get(flight.id)
      if (kept === undefined) return
      count(kept, -1)
      flights.delete(kept.id)
      ids.delete(kept.commandId)
    },
    excluded: (after) => {
      const excluded: number[] = []
      for (const { id, state } of flights.values()) if (state !== 'due' && id > after) excluded.push(id)
      return excluded
    },
    excludedCount: () => flights.size - due,
    isEmpty: () => flights.size === 0,
    inWindow: () => window,
    all: () => flights.values(),
    due: (after) => (due === 0 ? [] : [...flights.values()].filter(({ id, state }) => state === 'due' && id > after)),
    clear: () => {
      flights.clear()
      ids.clear()
      window.count = 0
      window.bytes = 0
      due = 0
    },
  }
}
