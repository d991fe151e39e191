/**
 * The way of commands to one connected agent: reads what is due, in order, up to a bounded window, sends it,
 * and sends again what is not acked. The outbox is the truth; what a lane remembers (`flights.ts`) only
 * spares the database and ends with the connection.
 *
 * A backlog is read on from where the read before ended, not past everything that is in flight again; from its
 * beginning whenever something may have become due there. A read leaves out what is in flight, and an ack leaves
 * that set only when its note is committed: in between, a read would return the row once more. Redelivery is a
 * read too: a row that was superseded or cancelled meanwhile is not sent again. There is one timer a lane, and
 * none while nothing is in flight.
 */
import type { CommandId } from '../../domain/ids.ts'
import type { Peer } from '../../domain/ports/agents.ts'
import type { DueCommand, LaneOutbox } from '../../domain/ports/delivery.ts'
import { createAlarm } from './alarm.ts'
import { createBackpressure, type Wire } from './backpressure.ts'
import { createCommandSender, type SenderDeps } from './command-sender.ts'
import type { DatabaseState } from './database-state.ts'
import { createFlights, type Flight } from './flights.ts'
import type { Limiter } from './limiter.ts'
import type { Notes } from './notes.ts'
import { fullJitter, onGrid, retryDelay } from './timing.ts'

export type LaneDeps = SenderDeps & {
  readonly outbox: Pick<LaneOutbox, 'due'>
  readonly notes: Pick<Notes, 'sent' | 'acked' | 'unacked' | 'withdrawAck' | 'drop'>
  readonly database: DatabaseState
  readonly reads: Limiter
}

export type Lane = {
  /** Reads what is due and sends it. Harmless at any time. */
  readonly drain: () => void
  readonly acked: (commandIds: readonly CommandId[]) => void
  /**
   * A result has come, which is an ack too; `dueAgain`: it makes the row due again. The promise, if there is
   * one, has to be waited for before the result is handed on.
   */
  readonly answered: (commandId: CommandId, dueAgain: boolean) => Promise<void> | null
  /** That result was committed (the row has its fate), or refused (the row is as it was). */
  readonly settled: (commandId: CommandId, fate: 'committed' | 'refused') => void
  readonly inFlight: () => number
  /** Since when the agent has taken nothing off a full socket, by the clock of `Timing`; null when it does. */
  readonly stalledSince: () => number | null
  readonly stop: () => void
}

const NEVER = Number.POSITIVE_INFINITY
const MAX_REST_MS = 60_000
/** Redeliveries of a lane in an ack timeout, at most: a thousand commands that nobody acks must not be a thousand reads. */
const GRID = 8
/**
 * An answer that took longer than this is not acted on. A process that stood still may find it when it goes on,
 * long after another replica has the agent; a replica is taken for dead after 20 s, so within this it was not.
 */
const ANSWER_GOOD_FOR_MS = 10_000

/** `rested`: it has nothing to do and nothing to remember, so that it may be thrown away. */
export const createLane = (deps: LaneDeps, peer: Peer, wire: Wire, rested: () => void = () => {}): Lane => {
  const { notes, clock, timing, database, settings } = deps
  const flights = createFlights()
  const alarm = createAlarm(timing, () => ring())
  const backpressure = createBackpressure(wire, timing, () => goOn())
  const sender = createCommandSender(deps, peer, wire, backpressure, flights)
  /** Something may be due that has not been read. */
  let wanted = false
  /** By id: up to here everything was sent, unless something may have become due there since. */
  let sentUpTo = 0
  let fromTheBeginning = true
  let reading = false
  let stopped = false
  let failures = 0
  let retryAt = NEVER

  const drain = (): void => {
    wantAll()
    if (!reading && !stopped) void pump()
  }

  const wantAll = (): void => {
    wanted = true
    fromTheBeginning = true
  }

  /** Goes on when there is room again; not for every single frame, as each read costs a query. */
  const goOn = (): void => {
    if (!wanted || reading || stopped || retryAt !== NEVER) return
    const { count, bytes } = flights.inWindow()
    if (count <= settings.window / 2 && bytes <= settings.windowBytes / 2 && sender.room() > 0) void pump()
  }

  const pump = async (): Promise<void> => {
    reading = true
    try {
      for (let limit = sender.room(); wanted && !stopped && limit > 0; limit = sender.room()) await read(limit)
    } catch (error) {
      wantAll()
      retryAt = timing.now() + retryDelay(timing, failures++)
      database.failed('reading what is due', error)
    }
    reading = false
    arm()
    if (!wanted && retryAt === NEVER && flights.isEmpty() && !sender.hasSent() && backpressure.stalledSince() === null)
      rested()
  }

  const read = async (limit: number): Promise<void> => {
    wanted = false
    let overdue: readonly Flight[] = []
    let askedAt = 0
    const { commands, readUpTo } = await deps.reads(async () => {
      if (stopped) return { commands: [], readUpTo: null }
      const after = fromTheBeginning ? 0 : sentUpTo
      fromTheBeginning = false
      overdue = flights.due(after)
      askedAt = timing.now()
      return deps.outbox.due({ peer, limit, after, inFlight: flights.excluded(after) })
    })
    if (stopped) return
    failures = 0
    retryAt = NEVER
    database.works('reading what is due')
    if (timing.now() - askedAt > ANSWER_GOOD_FOR_MS) return wantAll()
    if (!sendAll(commands)) wantAll()
    else if (readUpTo !== null) {
      wanted = true
      sentUpTo = readUpTo
    }
    forgetFinished(overdue, commands, readUpTo ?? NEVER)
  }

  /** False: not all of them, as the window or the socket is full. */
  const sendAll = (commands: readonly DueCommand[]): boolean => {
    let all = true
    wire.together(() => {
      all = commands.every((command) => {
        const state = flights.byId(command.id)?.state
        const isAnswered = state !== undefined && state !== 'due' // while it was being read
        return isAnswered || sender.send(command)
      })
    })
    return all
  }

  /** What was due again before a read and did not come back has got its fate from someone else. */
  const forgetFinished = (overdue: readonly Flight[], commands: readonly DueCommand[], readUpTo: number): void => {
    if (overdue.length === 0) return
    const returned = new Set(commands.map(({ id }) => id))
    for (const flight of overdue)
      if (flight.state === 'due' && !returned.has(flight.id) && flight.id <= readUpTo) flights.remove(flight)
  }

  const arm = (): void => {
    if (stopped) return
    let at = retryAt
    for (const flight of flights.all()) if (flight.until < at) at = flight.until
    alarm.ringBy(at)
  }

  const ring = (): void => {
    const now = timing.now()
    const isFull = backpressure.isFull()
    for (const flight of flights.all()) {
      if (flight.until > now) continue
      if (flight.state !== 'sent') flights.move(flight, 'due', NEVER)
      // Much of it has not even left this process: the agent is not to blame, and another copy would not help.
      else if (isFull) flights.move(flight, 'sent', now + settings.ackTimeoutMs)
      else unacked(flight, now)
    }
    if (retryAt <= now) retryAt = NEVER
    if (flights.due(0).length > 0) wanted = true
    if (wanted && retryAt === NEVER) drain()
    arm()
  }

  /** The first redelivery is at once (the ack timeout itself was the wait), later ones wait longer and longer. */
  const unacked = (flight: Flight, now: number): void => {
    notes.unacked(peer, flight.commandId, flight.sentAt)
    const rest = flight.sends === 1 ? 0 : fullJitter(timing, settings.ackTimeoutMs, flight.sends - 1, MAX_REST_MS)
    if (rest === 0) flights.move(flight, 'due', NEVER)
    else flights.move(flight, 'resting', onGrid(now + rest, settings.ackTimeoutMs / GRID))
  }

  /** Left out of reads until the note is written, then the row leaves them by itself. */
  const noteAck = (flight: Flight): void => {
    flights.move(flight, 'acked', NEVER)
    notes.acked(peer, flight.commandId, flight.sentAt, clock.now(), ackKept)
  }

  const ackKept = (commandId: CommandId): void => {
    const flight = flights.byCommand(commandId)
    if (flight?.state === 'acked') flights.remove(flight)
    goOn()
  }

  const received = (commandId: CommandId): void => {
    const flight = flights.byCommand(commandId)
    if (flight !== undefined && flight.state !== 'acked' && flight.state !== 'withheld') noteAck(flight)
  }

  return {
    drain,
    acked: (commandIds) => {
      for (const commandId of commandIds) received(commandId)
      goOn()
    },
    answered: (commandId, dueAgain) => {
      const flight = flights.byCommand(commandId)
      if (flight !== undefined && flight.state !== 'withheld') flights.move(flight, 'acked', NEVER)
      if (dueAgain) return notes.withdrawAck(commandId)
      // Most results of a quick platform come before the note of the send is written: one write less a command.
      if (flight !== undefined) notes.drop(commandId)
      goOn()
      return null
    },
    settled: (commandId, fate) => {
      const flight = flights.byCommand(commandId)
      if (flight?.state !== 'acked') return
      if (fate === 'refused') noteAck(flight)
      else flights.remove(flight)
      goOn()
    },
    inFlight: () => flights.inWindow().count,
    stalledSince: backpressure.stalledSince,
    stop: () => {
      stopped = true
      alarm.stop()
      flights.clear()
    },
  }
}
