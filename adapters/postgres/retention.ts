/**
 * What leaves the database with time. Each walk goes through a table in the order of an index that is there anyway
 * (ids and transaction ids rise with time), a bounded number of rows a statement, and remembers where it was: rows
 * that have to stay are passed once a round, not once a run, and the hot tables carry no index for this alone.
 *
 * Only rows that are finished are locked, and those that somebody holds are passed by, so no commit and no lane
 * ever waits for it. Locks, where both are taken: sessions before outbox, as everywhere.
 */
import type { RetentionStep, RetentionStore } from '../../domain/ports/retention.ts'
import type { Database, Row } from './pool.ts'

/**
 * `$1` the position, `$2` the number of rows, `$3` the age in milliseconds. The newest command of a session tells
 * an agent what should be, and may be made due again as long as the session's row, or its tombstone, exists.
 * A generation is only ever raised, so that what was superseded stays so; being finished is asked again of the
 * locked row. The walk ends at rows younger than the age: what was made later cannot have finished earlier.
 */
export const REMOVE_COMMANDS = `
WITH seen AS MATERIALIZED (
  SELECT id, session_id, generation, created_at, finished_at FROM outbox WHERE id > $1::bigint ORDER BY id LIMIT $2::int
),
ended AS MATERIALIZED (
  SELECT o.id FROM outbox o
   WHERE o.id = ANY(ARRAY(
           SELECT seen.id FROM seen
            WHERE seen.finished_at < now() - $3::float8 * interval '1 millisecond'
              AND NOT EXISTS (SELECT 1 FROM sessions s WHERE s.id = seen.session_id AND s.generation <= seen.generation)))
     AND o.finished_at < now() - $3::float8 * interval '1 millisecond'
   ORDER BY o.id FOR UPDATE SKIP LOCKED
),
gone AS (
  DELETE FROM outbox WHERE id = ANY(ARRAY(SELECT id FROM ended)) RETURNING 1
)
SELECT (SELECT count(*) FROM gone) AS removed, count(*) AS seen, ARRAY[max(id)::text] AS last,
       bool_and(created_at < now() - $3::float8 * interval '1 millisecond') AS old
  FROM seen`

/**
 * `$1`, `$2` the position. A transaction's id is older than anything it wrote, so that the order is nearly that of time. How far
 * each org's history is gone is noted, so that nobody who watches goes on behind a gap.
 */
export const REMOVE_EVENTS = `
WITH seen AS MATERIALIZED (
  SELECT xid, id, at FROM session_events
   WHERE (xid, id) > ($1::xid8, $2::bigint) ORDER BY xid, id LIMIT $3::int
),
gone AS (
  DELETE FROM session_events e USING seen
   WHERE e.xid = seen.xid AND e.id = seen.id AND seen.at < now() - $4::float8 * interval '1 millisecond'
  RETURNING e.org_id, e.xid, e.id
),
noted AS (
  INSERT INTO session_events_removed AS known (org_id, xid, id)
  SELECT DISTINCT ON (org_id) org_id, xid, id FROM gone ORDER BY org_id, xid DESC, id DESC
      ON CONFLICT (org_id) DO UPDATE SET xid = EXCLUDED.xid, id = EXCLUDED.id
   WHERE (EXCLUDED.xid, EXCLUDED.id) > (known.xid, known.id)
)
SELECT (SELECT count(*) FROM gone) AS removed, count(*) AS seen,
       (SELECT ARRAY[xid::text, id::text] FROM seen ORDER BY xid DESC, id DESC LIMIT 1) AS last,
       bool_and(at < now() - $4::float8 * interval '1 millisecond') AS old
  FROM seen`

/**
 * A tombstone is confirmed when its agent has said of this very generation that nothing is left, or when there is
 * no agent who could. One whose command is pending may be spoken of still. The revision is asked of the locked row:
 * an inventory that made the last command due again after this statement began has raised it.
 */
export const REMOVE_TOMBSTONES = `
WITH seen AS MATERIALIZED (
  SELECT id, deleted_at, revision FROM sessions
   WHERE deleted_at IS NOT NULL AND (deleted_at, id) > ($1::timestamptz, $2::uuid)
     AND deleted_at < now() - $4::float8 * interval '1 millisecond'
   ORDER BY deleted_at, id LIMIT $3::int
),
ended AS MATERIALIZED (
  SELECT s.id FROM seen JOIN sessions s ON s.id = seen.id
   WHERE s.revision = seen.revision AND s.deleted_at IS NOT NULL AND s.reserved_on IS NULL
     AND s.updated_at < now() - $4::float8 * interval '1 millisecond'
     AND (s.agent_id IS NULL OR s.observed_generation >= s.generation
          OR NOT EXISTS (SELECT 1 FROM agents a WHERE a.id = s.agent_id))
     AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.session_id = s.id AND o.status = 'pending')
   ORDER BY s.id FOR UPDATE OF s SKIP LOCKED
),
gone AS (
  DELETE FROM sessions WHERE id = ANY(ARRAY(SELECT id FROM ended)) RETURNING 1
)
SELECT (SELECT count(*) FROM gone) AS removed, count(*) AS seen, true AS old,
       (SELECT ARRAY[deleted_at::text, id::text] FROM seen ORDER BY deleted_at DESC, id DESC LIMIT 1) AS last
  FROM seen`

/** The brake counts what was removed in the last day: that stays. */
export const REMOVE_ORPHANS = `
WITH seen AS MATERIALIZED (
  SELECT id, first_seen_at, ended_at, removal_begun_at FROM orphans WHERE id > $1::bigint ORDER BY id LIMIT $2::int
),
ended AS MATERIALIZED (
  SELECT o.id FROM orphans o
   WHERE o.id = ANY(ARRAY(
           SELECT id FROM seen
            WHERE ended_at < now() - interval '1 day'
              AND (removal_begun_at IS NULL
                   OR greatest(ended_at, removal_begun_at) < now() - greatest($3::float8, 90000000) * interval '1 millisecond')))
   ORDER BY o.id FOR UPDATE SKIP LOCKED
),
gone AS (
  DELETE FROM orphans WHERE id = ANY(ARRAY(SELECT id FROM ended)) RETURNING 1
)
SELECT (SELECT count(*) FROM gone) AS removed, count(*) AS seen, ARRAY[max(id)::text] AS last,
       bool_and(first_seen_at < now() - interval '1 day') AS old
  FROM seen`

export const REMOVE_AGENT_EVENTS = `
WITH seen AS MATERIALIZED (
  SELECT id, at FROM agent_events WHERE id > $1::bigint ORDER BY id LIMIT $2::int
),
gone AS (
  DELETE FROM agent_events e USING seen
   WHERE e.id = seen.id AND seen.at < now() - $3::float8 * interval '1 millisecond'
  RETURNING 1
)
SELECT (SELECT count(*) FROM gone) AS removed, count(*) AS seen, ARRAY[max(id)::text] AS last,
       bool_and(at < now() - $3::float8 * interval '1 millisecond') AS old
  FROM seen`

/**
 * All that are seen go. An answer that was found to be over, and was replaced in the meantime, has another time, and so is
 * not taken for the one that was seen.
 */
export const REMOVE_ANSWERS = `
WITH seen AS MATERIALIZED (
  SELECT org_id, caller, key_hash, created_at FROM idempotency_keys
   WHERE created_at >= $1::timestamptz AND created_at < now() - $3::float8 * interval '1 millisecond'
   ORDER BY created_at LIMIT $2::int
),
gone AS (
  DELETE FROM idempotency_keys k USING seen
   WHERE k.org_id = seen.org_id AND k.caller = seen.caller AND k.key_hash = seen.key_hash AND k.created_at = seen.created_at
  RETURNING 1
)
SELECT (SELECT count(*) FROM gone) AS removed, count(*) AS seen, ARRAY[max(created_at)::text] AS last, true AS old
  FROM seen`

/** Ids rise with the time at which they were made. One that waits for a webhook that is no more will never be sent. */
export const REMOVE_DELIVERIES = `
WITH seen AS MATERIALIZED (
  SELECT id, webhook_id, created_at, finished_at FROM webhook_deliveries WHERE id > $1::uuid ORDER BY id LIMIT $2::int
),
ended AS MATERIALIZED (
  SELECT d.id FROM webhook_deliveries d
   WHERE d.id = ANY(ARRAY(
           SELECT seen.id FROM seen
            WHERE seen.finished_at < now() - $3::float8 * interval '1 millisecond'
               OR NOT EXISTS (SELECT 1 FROM webhooks w WHERE w.id = seen.webhook_id)))
     AND (d.finished_at < now() - $3::float8 * interval '1 millisecond'
          OR NOT EXISTS (SELECT 1 FROM webhooks w WHERE w.id = d.webhook_id))
   ORDER BY d.id FOR UPDATE SKIP LOCKED
),
gone AS (
  DELETE FROM webhook_deliveries WHERE id = ANY(ARRAY(SELECT id FROM ended)) RETURNING 1
)
SELECT (SELECT count(*) FROM gone) AS removed, count(*) AS seen, true AS old,
       (SELECT ARRAY[id::text] FROM seen ORDER BY id DESC LIMIT 1) AS last
  FROM seen`

const NO_ID = '00000000-0000-0000-0000-000000000000'

export const createRetentionStore = (database: Database): RetentionStore => {
  const step = async (
    name: string,
    text: string,
    values: readonly unknown[],
    limit: number,
  ): Promise<RetentionStep> => {
    const { rows } = await database.query({ name, text, values })
    const { removed, seen, last, old } = rows[0] as Row
    return { removed, next: seen === limit && old ? last : null }
  }
  return {
    commands: (olderThanMs, from, limit) =>
      step('remove_commands', REMOVE_COMMANDS, [from?.[0] ?? '0', limit, olderThanMs], limit),
    events: (olderThanMs, from, limit) =>
      step('remove_events', REMOVE_EVENTS, [from?.[0] ?? '0', from?.[1] ?? '0', limit, olderThanMs], limit),
    orphans: (olderThanMs, from, limit) =>
      step('remove_orphans', REMOVE_ORPHANS, [from?.[0] ?? '0', limit, olderThanMs], limit),
    agentEvents: (olderThanMs, from, limit) =>
      step('remove_agent_events', REMOVE_AGENT_EVENTS, [from?.[0] ?? '0', limit, olderThanMs], limit),
    deliveries: (olderThanMs, from, limit) =>
      step('remove_deliveries', REMOVE_DELIVERIES, [from?.[0] ?? NO_ID, limit, olderThanMs], limit),
    answers: (olderThanMs, from, limit) =>
      step('remove_answers', REMOVE_ANSWERS, [from?.[0] ?? '-infinity', limit, olderThanMs], limit),
    // Nobody who serves requests may remove one: the owner of the table does.
    auditEvents: async (olderThanMs, _from, limit) => {
      const { rows } = await database.query({
        name: 'remove_audit_events',
        text: 'SELECT remove_audit_events($1::float8, $2::int) AS removed',
        values: [olderThanMs, limit],
      })
      const { removed } = rows[0] as Row
      return { removed, next: removed === limit ? [] : null }
    },
    tombstones: (olderThanMs, from, limit) =>
      step(
        'remove_tombstones',
        REMOVE_TOMBSTONES,
        [from?.[0] ?? '-infinity', from?.[1] ?? NO_ID, limit, olderThanMs],
        limit,
      ),
  }
}
