/** Puts commands on the wire, in the order given, as far as there is room, and never a lower generation late. */
import { MAX_FRAME_BYTES } from '../../agents/protocol.ts'
import type { Peer } from '../../domain/ports/agents.ts'
import type { Clock } from '../../domain/ports/clock.ts'
import type { DueCommand } from '../../domain/ports/delivery.ts'
import type { Backpressure, Wire } from './backpressure.ts'
import { commandFrame } from './command-frame.ts'
import type { Flights } from './flights.ts'
import type { Notes } from './notes.ts'
import { createSentGenerations } from './sent-generations.ts'
import type { Log } from './settings.ts'
import type { Timing } from './timing.ts'

export type SenderDeps = {
  readonly notes: Pick<Notes, 'sent'>
  readonly clock: Clock
  readonly log: Log
  readonly timing: Timing
  readonly settings: { readonly ackTimeoutMs: number; readonly window: number; readonly windowBytes: number }
}

export type CommandSender = {
  /** How many rows are worth reading now. */
  readonly room: () => number
  /** False: there is no room for this one now, nor for any after it. */
  readonly send: (command: DueCommand) => boolean
  /** Whether anything was sent yet that later commands of the same session are held against. */
  readonly hasSent: () => boolean
}

/** After this long, a row that an older state of the database has returned is looked at again. */
const LOOK_AGAIN_MS = 60_000

export const createCommandSender = (
  deps: SenderDeps,
  peer: Peer,
  wire: Wire,
  backpressure: Backpressure,
  flights: Flights,
): CommandSender => {
  const { notes, clock, timing, log, settings } = deps
  const generations = createSentGenerations()
  let averageBytes = 2_048
  /** What the first one took that did not fit: until there is so much room, reading again would not help. */
  let neededBytes = 1

  const withhold = (command: DueCommand, until: number): true => {
    flights.put(command, 0, 'withheld', clock.now(), until)
    return true
  }

  return {
    room: () => {
      // The excluded are a parameter of the read: their number is bounded too, while notes cannot be written.
      if (backpressure.isFull() || flights.excludedCount() >= 4 * settings.window) return 0
      const { count, bytes } = flights.inWindow()
      if (count >= settings.window || (count > 0 && bytes + neededBytes > settings.windowBytes)) return 0
      const byBytes = Math.max(1, Math.floor((settings.windowBytes - bytes) / averageBytes))
      return Math.min(settings.window - count, byBytes)
    },
    send: (command) => {
      const { commandId, sessionId, generation } = command
      if (!generations.allows(sessionId, generation)) return withhold(command, timing.now() + LOOK_AGAIN_MS)
      const frame = commandFrame(command, Math.max(command.attempts, flights.byId(command.id)?.sends ?? 0) + 1)
      if (frame.length > MAX_FRAME_BYTES) {
        log.error({ ...peer, commandId, sessionId, bytes: frame.length }, 'command is too large to be sent')
        return withhold(command, Number.POSITIVE_INFINITY)
      }
      averageBytes += (frame.length - averageBytes) / 16
      const { count, bytes } = flights.inWindow()
      if (backpressure.isFull() || count >= settings.window) return false
      if (count > 0 && bytes + frame.length > settings.windowBytes) {
        neededBytes = frame.length
        return false
      }
      neededBytes = 1
      const sentAt = clock.now()
      flights.put(command, frame.length, 'sent', sentAt, timing.now() + settings.ackTimeoutMs)
      generations.sent(sessionId, generation)
      wire.send(frame, backpressure.flushed)
      notes.sent(peer, commandId, sentAt)
      return true
    },
    hasSent: () => !generations.isEmpty(),
  }
}
