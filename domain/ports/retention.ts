/** What leaves the database when it is old enough. Each step looks at a few rows, in the order of an index. */

/** Where a walk through a table stands: the key of the row that was looked at last. */
export type RetentionPosition = readonly string[]

export type RetentionStep = {
  readonly removed: number
  /** null: nothing behind this is old enough yet, the walk begins anew. */
  readonly next: RetentionPosition | null
}

/** At most `limit` rows, from behind `from` (null: from the oldest on); removes those that nobody needs and are older than `olderThanMs`. */
export type RetentionWalk = (
  olderThanMs: number,
  from: RetentionPosition | null,
  limit: number,
) => Promise<RetentionStep>

export type RetentionStore = {
  /** Finished commands, but never the newest of a session of which anything may remain. */
  readonly commands: RetentionWalk
  readonly events: RetentionWalk
  /** Deleted sessions of which the agent has confirmed, for so long, that nothing is left. */
  readonly tombstones: RetentionWalk
  /** Orphans that are there no more; what was never removed but went by itself leaves after a day. */
  readonly orphans: RetentionWalk
  readonly agentEvents: RetentionWalk
  /** Answers that are kept for requests with an Idempotency-Key. */
  readonly answers: RetentionWalk
  /** The database keeps each for a time of its own, whatever is asked. */
  readonly auditEvents: RetentionWalk
  /** Deliveries of webhooks that are over, and those whose webhook is no more. */
  readonly deliveries: RetentionWalk
}
