/**
 * Results and statuses of one connection on their way to the core. They are handed over in the order in
 * which they came, without waiting for one to be committed before the next.
 *
 * When one cannot be committed (the database is lost) nothing more is handed over: what is on its way is
 * waited for, then one is tried again after a while, and when that works the others follow. A session's
 * reports are handed over again from the first one that failed, also those after it that were accepted:
 * otherwise the older of two statuses, written late, would be the last word. So what was accepted is kept
 * until everything before it is.
 */
import type { SessionId } from '../../domain/ids.ts'
import type { ReportAnswer } from '../../domain/ports/delivery.ts'
import { retryDelay, type Timing } from './timing.ts'

export type Report = {
  readonly sessionId: SessionId
  readonly bytes: number
  readonly handOver: () => Promise<ReportAnswer>
  readonly answered: (answer: ReportAnswer | 'given_up') => void
}

export type Reports = {
  /** `first`: to be waited for before this and everything after it is handed over. */
  readonly add: (report: Report, first: Promise<void> | null) => void
  /** Something outside this queue is handed over now, or was dropped: true when its place in the order is lost. */
  readonly isHeldUp: () => boolean
  readonly hasWaiting: () => boolean
  readonly stop: () => void
}

export type ReportsDeps = {
  readonly timing: Timing
  /** `accepted` counts what anyone reported: shows whether the database or one report is the trouble. */
  readonly figures: { readonly accepted: number }
  /** A report has left the queue. */
  readonly left: (report: Report) => void
  /** Reports were handed over again, later than what came after them. */
  readonly recovered: () => void
}

type Entry = {
  readonly report: Report
  state: 'waiting' | 'handed' | 'accepted'
  failures: number
  acceptedBefore: number
}

/** So often may one report fail while others are accepted. Then it is the report, not the database. */
const MAX_FAILURES = 8

export const createReports = (deps: ReportsDeps): Reports => {
  const { timing, figures, left } = deps
  const entries: Entry[] = []
  let handed = 0
  /** null: everything is handed over as it comes. `pending`: what has to happen before anything is. */
  let holdUp: { failed: boolean; pending: number } | null = null
  /** The one that goes first after a failure. */
  let probe: Entry | null = null
  let failures = 0
  let cancelTimer: (() => void) | null = null
  let stopped = false

  const hand = (entry: Entry): void => {
    entry.state = 'handed'
    handed++
    entry.report.handOver().then(
      (answer) => settled(entry, answer),
      () => failed(entry),
    )
  }

  const settled = (entry: Entry, answer: ReportAnswer | 'given_up'): void => {
    handed--
    entry.state = 'accepted'
    if (stopped) return
    if (answer !== 'given_up') failures = 0
    entry.report.answered(answer)
    proceed()
    letGo()
  }

  /** Not while held up: what was accepted may have to be handed over again after what was not. */
  const letGo = (): void => {
    while (holdUp === null && entries[0]?.state === 'accepted') {
      const done = entries.shift()
      if (done !== undefined) left(done.report)
    }
  }

  const failed = (entry: Entry): void => {
    if (entry.acceptedBefore !== figures.accepted) entry.failures++
    entry.acceptedBefore = figures.accepted
    if (entry.failures >= MAX_FAILURES) {
      settled(entry, 'given_up')
      return
    }
    handed--
    entry.state = 'waiting'
    if (stopped) return
    probe = null
    holdUp ??= { failed: false, pending: 0 }
    holdUp.failed = true
    if (cancelTimer !== null) return
    hold(
      holdUp,
      new Promise((resolve) => {
        cancelTimer = timing.after(retryDelay(timing, failures++), () => {
          cancelTimer = null
          resolve()
        })
      }),
    )
  }

  const hold = (on: { pending: number }, until: Promise<void>): void => {
    on.pending++
    void until.then(() => {
      on.pending--
      proceed()
    })
  }

  /** After a failure one goes first, to see whether it is worth it; the rest when that one was accepted. */
  const proceed = (): void => {
    if (holdUp === null || holdUp.pending > 0 || handed > 0 || stopped) return
    const first = entries.find((entry) => entry.state === 'waiting')
    if (first !== undefined && holdUp.failed && probe === null) {
      probe = first
      hand(first)
      return
    }
    const recovered = holdUp.failed
    holdUp = null
    handAgain()
    if (recovered) deps.recovered()
  }

  const handAgain = (): void => {
    /** Sessions of which a report was written later than one that came after it. */
    const late = new Set<SessionId>()
    for (const entry of [...entries]) {
      if (entry.state === 'waiting' || entry === probe) late.add(entry.report.sessionId)
      if (entry !== probe && late.has(entry.report.sessionId)) hand(entry)
    }
    probe = null
  }

  return {
    add: (report, first) => {
      const entry: Entry = { report, state: 'waiting', failures: 0, acceptedBefore: figures.accepted }
      entries.push(entry)
      if (first !== null) {
        holdUp ??= { failed: false, pending: 0 }
        hold(holdUp, first)
      }
      if (holdUp === null) hand(entry)
    },
    isHeldUp: () => holdUp !== null,
    hasWaiting: () => entries.length > 0,
    stop: () => {
      stopped = true
      cancelTimer?.()
      cancelTimer = null
    },
  }
}
