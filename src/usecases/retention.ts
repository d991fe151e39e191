/**
 * The duty that keeps the database from growing for ever: finished commands, events and tombstones leave it some
 * time after they have said all they had to say. In small steps, each a statement of its own, so that nobody waits
 * for it; a run ends after a bounded time, and the next one, on whichever replica, goes on or begins anew.
 */
import { ANSWERS_KEPT_MS } from '../../domain/ports/idempotency.ts'
import type { Duty } from '../../domain/ports/jobs.ts'
import type { RetentionPosition, RetentionStore, RetentionWalk } from '../../domain/ports/retention.ts'

export type RetentionPeriods = {
  readonly commandsMs: number
  readonly eventsMs: number
  readonly tombstonesMs: number
  readonly auditMs: number
}

export type RetentionDeps = {
  readonly retention: RetentionStore
  readonly periods: RetentionPeriods
  /** Milliseconds from some fixed moment. */
  readonly elapsed: () => number
}

const ROWS_AT_ONCE = 1_000
/** Below what pg-boss lets a duty take; each table gets its share, so that none keeps the others waiting for ever. */
const WALK_AT_MOST_MS = 8_000

/** What is removed, table by table. */
const walksOf = ({ retention, periods }: RetentionDeps) => [
  { what: 'commands', walk: retention.commands, olderThanMs: periods.commandsMs },
  // A tombstone's last command leaves when the tombstone has left.
  { what: 'tombstones', walk: retention.tombstones, olderThanMs: periods.tombstonesMs },
  { what: 'events', walk: retention.events, olderThanMs: periods.eventsMs },
  { what: 'orphans', walk: retention.orphans, olderThanMs: periods.commandsMs },
  { what: 'agentEvents', walk: retention.agentEvents, olderThanMs: periods.eventsMs },
  { what: 'deliveries', walk: retention.deliveries, olderThanMs: periods.commandsMs },
  { what: 'answers', walk: retention.answers, olderThanMs: ANSWERS_KEPT_MS },
  { what: 'auditEvents', walk: retention.auditEvents, olderThanMs: periods.auditMs },
]

export const retention = (deps: RetentionDeps): Duty => {
  /** Kept between runs: what has to stay is not looked at again and again from the beginning. */
  const positions = new Map<string, RetentionPosition | null>()

  const walkOn = async (what: string, walk: RetentionWalk, olderThanMs: number): Promise<number> => {
    const until = deps.elapsed() + WALK_AT_MOST_MS
    let removed = 0
    do {
      const step = await walk(olderThanMs, positions.get(what) ?? null, ROWS_AT_ONCE)
      removed += step.removed
      positions.set(what, step.next)
    } while (positions.get(what) !== null && deps.elapsed() < until)
    return removed
  }

  return {
    name: 'retention',
    everyMs: 60_000,
    run: async () => {
      const figures: Record<string, number> = {}
      for (const { what, walk, olderThanMs } of walksOf(deps)) figures[what] = await walkOn(what, walk, olderThanMs)
      return figures
    },
  }
}
