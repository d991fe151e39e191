/** A lane with an outbox in memory, a wire that records, and time that passes when the test says so. */
import { createDatabaseState } from '../../../../adapters/websocket/database-state.ts'
import type { Lane } from '../../../../adapters/websocket/lane.ts'
import { createLimiter } from '../../../../adapters/websocket/limiter.ts'
import { createNotes, type Notes } from '../../../../adapters/websocket/notes.ts'
import { createRestingLane } from '../../../../adapters/websocket/resting-lane.ts'
import type { Log } from '../../../../adapters/websocket/settings.ts'
import type { CommandFrame } from '../../../../agents/protocol.ts'
import type { AgentId } from '../../../../domain/ids.ts'
import type { LogLine } from './a-hub.ts'
import { type FakeOutbox, fakeOutbox } from './fake-outbox.ts'
import { type VirtualTime, virtualTime } from './virtual-time.ts'

export const AGENT = 'edge-1' as AgentId

export type RecordingWire = {
  readonly frames: CommandFrame[]
  /** What has not left the process; the test sets it. */
  bufferedBytes: number
  /** Says of everything sent so far that it has left. */
  readonly flush: () => void
}

export type ALane = {
  readonly time: VirtualTime
  readonly outbox: FakeOutbox
  readonly notes: Notes
  readonly log: LogLine[]
  /** A new connection of the agent: a higher epoch, a new lane, and the older one stopped. */
  readonly reconnect: () => { readonly lane: Lane; readonly wire: RecordingWire; readonly epoch: number }
}

export const aLane = (settings: { window?: number; windowBytes?: number; random?: () => number } = {}): ALane => {
  const time = virtualTime(settings.random)
  let epoch = 0
  const outbox = fakeOutbox(() => epoch)
  const lines: LogLine[] = []
  const write =
    (level: keyof Log) =>
    (fields: object, message: string): void => {
      lines.push({ level, fields, message })
    }
  const log: Log = { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') }
  const database = createDatabaseState(log, time)
  const notes = createNotes(outbox, database, time)
  const reads = createLimiter(8)
  let current: Lane | null = null
  return {
    time,
    outbox,
    notes,
    log: lines,
    reconnect: () => {
      current?.stop()
      epoch += 1
      const flushes: (() => void)[] = []
      const wire: RecordingWire = {
        frames: [],
        bufferedBytes: 0,
        flush: () => {
          for (const flushed of flushes.splice(0)) flushed()
        },
      }
      const lane = createRestingLane(
        {
          outbox,
          notes,
          clock: { now: () => new Date(time.now()) },
          log,
          database,
          reads,
          timing: time,
          settings: {
            ackTimeoutMs: 1_000,
            window: settings.window ?? 4,
            windowBytes: settings.windowBytes ?? 1024 * 1024,
          },
        },
        { agentId: AGENT, epoch },
        {
          send: (frame, flushed) => {
            wire.frames.push(JSON.parse(frame.toString()) as CommandFrame)
            flushes.push(flushed)
          },
          together: (sends) => sends(),
          bufferedBytes: () => wire.bufferedBytes,
        },
      )
      current = lane
      lane.drain()
      return { lane, wire, epoch }
    },
  }
}
