/**
 * One welcomed agent: what each of its frames means, and what is said to it. Everything it says is handed to
 * the core under its epoch; the core answers, and only then the agent hears of a refusal.
 */
import type { Frame } from '../../agents/protocol.ts'
import { E } from '../../domain/fp.ts'
import type { SessionId } from '../../domain/ids.ts'
import type { Peer } from '../../domain/ports/agents.ts'
import type { CommandResult, ReportAnswer } from '../../domain/ports/delivery.ts'
import type { CountedInbox } from './counted-inbox.ts'
import type { FrameSocket, Received } from './frame-socket.ts'
import { createHeartbeats } from './heartbeats.ts'
import { createInventories } from './inventories.ts'
import type { Lane, LaneDeps } from './lane.ts'
import { createReports } from './reports.ts'
import { createRestingLane } from './resting-lane.ts'
import type { Log } from './settings.ts'
import type { Timing } from './timing.ts'

export type ConnectionDeps = {
  readonly inbox: CountedInbox
  readonly lane: LaneDeps
  readonly log: Log
  readonly timing: Timing
  readonly settings: { readonly inventoryRequestIntervalMs: number }
  /** Its epoch is the agent's no more. The connection has stopped; whoever knows why ends the socket. */
  readonly fenced: () => void
  /** It does not take what is sent to it. */
  readonly filled: () => void
}

export type Connection = {
  readonly peer: Peer
  readonly socket: FrameSocket
  readonly lane: Lane
  readonly requestInventory: () => void
  /** By the clock of `Timing`. */
  readonly lastHeartbeatAt: () => number
  /** Stops speaking for the agent. The socket is the caller's. */
  readonly stop: () => void
}

export const createConnection = (deps: ConnectionDeps, peer: Peer, socket: FrameSocket): Connection => {
  const { inbox, timing, log } = deps
  const lane = createRestingLane(deps.lane, peer, {
    send: socket.sendCommand,
    together: socket.together,
    bufferedBytes: socket.bufferedBytes,
    filled: deps.filled,
  })
  // A field is written in place; a variable of this function would be a new object for the collector each time.
  const heartbeat = { at: timing.now() }

  const stop = (): void => {
    lane.stop()
    reports.stop()
  }

  const heard = (answer: ReportAnswer | 'given_up', about?: SessionId): void => {
    switch (answer) {
      case 'accepted':
        break
      case 'outpaced':
        inventories.ahead()
        break
      case 'fenced':
        stop()
        deps.fenced()
        break
      case 'not_yours':
        socket.refuse('not_yours', 'this session belongs to another agent', about)
        break
      case 'unexpected_generation':
        socket.refuse('unexpected_generation', 'nobody has asked for this generation', about)
        inventories.ahead()
        break
      case 'given_up':
        log.error({ ...peer, sessionId: about }, 'report could not be written and was given up')
        socket.refuse('internal', 'the report could not be written', about)
        break
    }
  }

  const reports = createReports({
    timing,
    figures: inbox.figures,
    left: (report) => {
      socket.done(report.bytes)
      if (!reports.hasWaiting()) inventories.caughtUp()
    },
    recovered: () => inventories.reportsWereLate(),
  })

  const inventories = createInventories({
    timing,
    settings: deps.settings,
    ask: (requestId) => socket.send({ type: 'inventoryRequest', requestId }),
    reports,
    handOver: (items, bytes) => {
      socket.waits(bytes)
      return inbox
        .inventory(peer, items)
        .then((answer) => heard(answer))
        .finally(() => socket.done(bytes))
    },
  })

  const heartbeats = createHeartbeats(
    {
      inbox,
      answered: (answer) => {
        if (answer === 'accepted') inventories.databaseWorks()
        heard(answer)
      },
    },
    peer,
  )

  const onResult = (frame: Frame<'result'>, bytes: number): void => {
    const { commandId, sessionId, generation, outcome } = frame
    const error = frame.error ? { ...frame.error, retryable: frame.error.retryable ?? false } : null
    const result: CommandResult = { commandId, sessionId, generation, outcome, error, observed: frame.observed ?? null }
    if (outcome === 'applied') inventories.said(sessionId, generation, result.observed)
    if (outcome === 'failed' && result.observed !== null) inventories.said(sessionId, generation, result.observed)
    socket.waits(bytes)
    reports.add(
      {
        sessionId,
        bytes,
        handOver: () => inbox.result(peer, result),
        answered: (answer) => {
          lane.settled(commandId, answer === 'accepted' || answer === 'outpaced' ? 'committed' : 'refused')
          heard(answer, sessionId)
        },
      },
      lane.answered(commandId, outcome === 'failed' && error?.retryable === true),
    )
  }

  const onStatus = (frame: Frame<'status'>, bytes: number): void => {
    const { type: _type, at: _at, sessionId, generation, ...report } = frame
    inventories.said(sessionId, generation, report)
    socket.waits(bytes)
    const handOver = () => inbox.status(peer, sessionId, generation, report)
    reports.add({ sessionId, bytes, handOver, answered: (answer) => heard(answer, sessionId) }, null)
  }

  const onInventory = (frame: Frame<'inventory'>, bytes: number): void => {
    if (inventories.page(frame, bytes) !== 'too_large') return
    log.error(peer, 'inventory is too large and was ignored')
    socket.refuse('internal', 'the inventory is too large and was ignored')
  }

  const onHeartbeat = (frame: Frame<'heartbeat'>): void => {
    heartbeat.at = timing.now()
    heartbeats.beat(frame)
    inventories.compare(frame.inventoryHash)
  }

  const onActivity = (frame: Frame<'activity'>, bytes: number): void => {
    socket.waits(bytes)
    inbox
      .activity(peer, frame.sessionId, new Date(frame.lastActivityAt))
      .then((answer) => heard(answer, frame.sessionId))
      .catch(() => {}) // the inbox has said so in the log; a later one says more
      .finally(() => socket.done(bytes))
  }

  socket.receive = (received: Received, bytes) => {
    if (E.isLeft(received)) return socket.refuseBad(received.left)
    const frame = received.right
    switch (frame.type) {
      case 'ack':
        return lane.acked(frame.commandIds)
      case 'result':
        return onResult(frame, bytes)
      case 'status':
        return onStatus(frame, bytes)
      case 'inventory':
        return onInventory(frame, bytes)
      case 'heartbeat':
        return onHeartbeat(frame)
      case 'activity':
        return onActivity(frame, bytes)
      case 'degraded':
        return heartbeats.degraded(frame.reason)
      case 'hello':
        return socket.refuseBad({ code: 'bad_message', message: 'hello comes first and once', about: 'hello' })
      case 'error':
        return log.debug({ ...peer, code: frame.code, about: frame.about, text: frame.message }, 'agent says error')
    }
  }

  return {
    peer,
    socket,
    lane,
    requestInventory: inventories.request,
    lastHeartbeatAt: () => heartbeat.at,
    stop,
  }
}
