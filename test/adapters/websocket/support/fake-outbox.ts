/** An outbox in memory that keeps the promises of the real one. */
import { randomUUID } from 'node:crypto'
import type { AgentId, CommandId, OrgId, SessionId, UserId } from '../../../../domain/ids.ts'
import type { DeliveryNote, DueCommand, LaneOutbox, LaneRead } from '../../../../domain/ports/delivery.ts'

export type FakeRow = DueCommand & {
  status: 'pending' | 'done' | 'superseded' | 'dead' | 'cancelled'
  ackedEpoch: number
  unacked: number
  sentAt: Date | null
  ackedAt: Date | null
  dueNow: boolean
  /** Its secrets cannot be unsealed: it is read and not handed on. */
  unreadable: boolean
}

export type FakeOutbox = LaneOutbox & {
  readonly rows: FakeRow[]
  /** Every call of `note`, with its notes. */
  readonly noteCalls: (readonly DeliveryNote[])[]
  /** Every call of `due`. */
  readonly reads: LaneRead[]
  /** A new command; an older one of the same session that is still pending is superseded. */
  readonly commit: (agentId: AgentId, change?: { sessionId?: SessionId; generation?: number; name?: string }) => FakeRow
  readonly finish: (commandId: CommandId) => void
  /** While true, every call is rejected. */
  isDown: boolean
  /** Called within every read, before it answers. */
  whileReading: () => Promise<void> | void
}

export const aSessionId = (): SessionId => randomUUID() as SessionId

export const fakeOutbox = (epochOf: (agentId: AgentId) => number = () => 1): FakeOutbox => {
  const rows: FakeRow[] = []
  const lost = (): Error => Object.assign(new Error('terminating connection'), { code: '57P01' })
  const outbox: FakeOutbox = {
    rows,
    noteCalls: [],
    reads: [],
    isDown: false,
    whileReading: () => {},
    commit: (agentId, { sessionId = aSessionId(), generation, name = 'a session' } = {}) => {
      const earlier = rows.filter((row) => row.sessionId === sessionId)
      const row: FakeRow = {
        id: rows.length + 1,
        commandId: randomUUID() as CommandId,
        agentId,
        sessionId,
        generation: generation ?? Math.max(0, ...earlier.map((one) => one.generation)) + 1,
        type: 'start_session',
        attempts: 0,
        expiresAt: null,
        desired: {
          state: 'running',
          incarnation: 1,
          spec: { resources: { cpuMillis: 100, memoryMib: 64 }, env: {} } as DueCommand['desired']['spec'],
          persistentHome: false,
          orgId: 'default' as OrgId,
          userId: 'ada' as UserId,
          name,
          template: { name: 'hello-web', version: 1 },
        },
        status: 'pending',
        ackedEpoch: 0,
        unacked: 0,
        sentAt: null,
        ackedAt: null,
        dueNow: true,
        unreadable: false,
      }
      for (const one of earlier)
        if (one.status === 'pending' && one.generation < row.generation) one.status = 'superseded'
      rows.push(row)
      return row
    },
    finish: (commandId) => {
      for (const row of rows) if (row.commandId === commandId) row.status = 'done'
    },
    due: async (read) => {
      const { peer, limit, after, inFlight } = read
      outbox.reads.push(read)
      if (outbox.isDown) throw lost()
      const leftOut = new Set(inFlight)
      const isDue = (row: FakeRow): boolean =>
        row.agentId === peer.agentId &&
        row.status === 'pending' &&
        row.dueNow &&
        row.ackedEpoch !== peer.epoch &&
        epochOf(peer.agentId) === peer.epoch &&
        row.id > after &&
        !leftOut.has(row.id)
      const due = rows.filter(isDue).slice(0, limit)
      await outbox.whileReading()
      return {
        commands: due.filter((row) => !row.unreadable).map((row) => ({ ...row, attempts: row.unacked })),
        readUpTo: due.length < limit ? null : (due.at(-1)?.id ?? null),
      }
    },
    note: async (notes) => {
      if (outbox.isDown) throw lost()
      outbox.noteCalls.push(notes)
      for (const note of notes) {
        const row = rows.find((one) => one.commandId === note.commandId)
        if (row === undefined || epochOf(note.agentId) !== note.epoch) continue
        row.sentAt = note.sentAt
        row.unacked += note.unacked
        if (note.ackedAt === null) continue
        row.ackedAt = note.ackedAt
        row.ackedEpoch = note.epoch
      }
    },
  }
  return outbox
}
