/**
 * What the lanes saw (sent, acked, not acked in time), written in batches: one statement a tick for all
 * lanes together, one at a time, and one row a command however much happened to it within the tick.
 */

import type { CommandId } from '../../domain/ids.ts'
import type { Peer } from '../../domain/ports/agents.ts'
import type { DeliveryNote, LaneOutbox } from '../../domain/ports/delivery.ts'
import type { DatabaseState } from './database-state.ts'
import { retryDelay, type Timing } from './timing.ts'

/** Told when a note with an ack is committed: from then on the row leaves the read set by itself. */
export type AckKept = (commandId: CommandId) => void

export type Notes = {
  readonly sent: (peer: Peer, commandId: CommandId, sentAt: Date) => void
  readonly acked: (peer: Peer, commandId: CommandId, sentAt: Date, ackedAt: Date, kept: AckKept) => void
  readonly unacked: (peer: Peer, commandId: CommandId, sentAt: Date) => void
  /**
   * Takes an ack back that is not written yet. Needed before a result that makes the row due again: an ack
   * written after it would take the row out of the read set for as long as the connection lasts. The
   * promise is there when the ack is being written at this moment; it never rejects.
   */
  readonly withdrawAck: (commandId: CommandId) => Promise<void> | null
  /** The command's result is on its way to be committed, which says all that the note would: it is not written. */
  readonly drop: (commandId: CommandId) => void
  /** Writes what there is. False: some could not be written. */
  readonly flush: () => Promise<boolean>
  readonly stop: () => void
}

type Entry = {
  readonly peer: Peer
  readonly commandId: CommandId
  sentAt: Date
  ackedAt: Date | null
  unacked: number
  kept: AckKept | null
}

/**
 * Long enough for a platform that is quick: its result makes the note needless, which is one write of a row with all
 * its indexes. Short enough that what waits is bounded by little more than what a second brings.
 */
const TICK_MS = 100
const MAX_BATCH = 1_000
/** Far above what lanes can have in flight while they cannot read. What is dropped is redelivered, not lost. */
const MAX_PENDING = 200_000

export const createNotes = (outbox: Pick<LaneOutbox, 'note'>, database: DatabaseState, timing: Timing): Notes => {
  let pending = new Map<CommandId, Entry>()
  let writing: ReadonlyMap<CommandId, Entry> = new Map()
  let write: Promise<boolean> | null = null
  let cancelTimer: (() => void) | null = null
  let failures = 0
  let stopped = false

  const entryOf = (peer: Peer, commandId: CommandId, sentAt: Date): Entry => {
    const known = pending.get(commandId)
    if (known !== undefined && known.peer.epoch === peer.epoch) {
      if (sentAt > known.sentAt) known.sentAt = sentAt
      return known
    }
    const entry: Entry = { peer, commandId, sentAt, ackedAt: null, unacked: 0, kept: null }
    if (known !== undefined || pending.size < MAX_PENDING) pending.set(commandId, entry)
    schedule()
    return entry
  }

  const schedule = (): void => {
    if (cancelTimer !== null || write !== null || stopped) return
    const tickMs = pending.size >= MAX_BATCH ? 1 : TICK_MS
    cancelTimer = timing.after(failures === 0 ? tickMs : retryDelay(timing, failures), () => {
      cancelTimer = null
      void writeBatch()
    })
  }

  const unschedule = (): void => {
    cancelTimer?.()
    cancelTimer = null
  }

  const nextBatch = (): Map<CommandId, Entry> => {
    if (pending.size <= MAX_BATCH) {
      const all = pending
      pending = new Map()
      return all
    }
    const batch = new Map<CommandId, Entry>()
    for (const [commandId, entry] of pending) {
      if (batch.size === MAX_BATCH) break
      batch.set(commandId, entry)
      pending.delete(commandId)
    }
    return batch
  }

  const writeBatch = (): Promise<boolean> => {
    const batch = nextBatch()
    if (batch.size === 0) return Promise.resolve(true)
    writing = batch
    write = writeOut(batch).then((written) => {
      write = null
      writing = new Map()
      if (pending.size > 0) schedule()
      return written
    })
    return write
  }

  const writeOut = async (batch: ReadonlyMap<CommandId, Entry>): Promise<boolean> => {
    const notes = [...batch.values()].map(noteOf)
    try {
      await outbox.note(notes)
    } catch (error) {
      failures++
      database.failed('writing what was delivered', error)
      for (const entry of batch.values()) putBack(entry)
      return false
    }
    failures = 0
    database.works('writing what was delivered')
    // Asked of the note as it was written: an ack that was withdrawn meanwhile is written all the same.
    for (const [index, entry] of [...batch.values()].entries())
      if (notes[index]?.ackedAt !== null) entry.kept?.(entry.commandId)
    return true
  }

  /** Under what has been said since; of another connection only the newer counts. */
  const putBack = (entry: Entry): void => {
    const newer = pending.get(entry.commandId)
    if (newer === undefined) {
      pending.set(entry.commandId, entry)
      return
    }
    if (newer.peer.epoch !== entry.peer.epoch) return
    newer.unacked += entry.unacked
    if (newer.ackedAt === null && entry.ackedAt !== null) {
      newer.ackedAt = entry.ackedAt
      newer.kept = entry.kept
    }
  }

  const forget = (entry: Entry | undefined): boolean => {
    if (entry === undefined || entry.ackedAt === null) return false
    entry.ackedAt = null
    return true
  }

  return {
    sent: (peer, commandId, sentAt) => {
      entryOf(peer, commandId, sentAt)
    },
    acked: (peer, commandId, sentAt, ackedAt, kept) => {
      const entry = entryOf(peer, commandId, sentAt)
      entry.ackedAt = ackedAt
      entry.kept = kept
    },
    unacked: (peer, commandId, sentAt) => {
      entryOf(peer, commandId, sentAt).unacked++
    },
    withdrawAck: (commandId) => {
      forget(pending.get(commandId))
      return forget(writing.get(commandId)) && write !== null ? write.then(() => {}) : null
    },
    drop: (commandId) => {
      pending.delete(commandId)
    },
    flush: async () => {
      unschedule()
      while (write !== null || pending.size > 0) {
        const written = await (write ?? writeBatch())
        unschedule()
        if (!written) return false
      }
      return true
    },
    stop: () => {
      stopped = true
      unschedule()
    },
  }
}

const noteOf = (entry: Entry): DeliveryNote => ({
  agentId: entry.peer.agentId,
  epoch: entry.peer.epoch,
  commandId: entry.commandId,
  sentAt: entry.sentAt,
  ackedAt: entry.ackedAt,
  unacked: entry.unacked,
})
