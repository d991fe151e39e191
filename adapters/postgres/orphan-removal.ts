/**
 * The removal of orphans: the brake's figures, its verdict and the commands that follow are one transaction, in
 * which the row that says whether they are removed is locked (`orphan-halts.ts`): two servers that judge at once for agents
 * that share a limit judge one after the other, each with what the other has committed. Locks: lease, that row, orphans, outbox.
 *
 * A removal is a row of the outbox and goes the way of every command. But it is no command of a session: a
 * session with the orphan's id may exist elsewhere, and nothing that is done for that session (superseding,
 * redelivering, settling its commands) may find this row, nor may the two collide. So the row's `session_id` is its
 * own `command_id`, which is nobody's, and what the frame carries is in `payload` as a whole.
 */
import type { BrakeFigures } from '../../domain/agent/brake.ts'
import type { CommandId, OrgId, SessionId } from '../../domain/ids.ts'
import type { Approval, OrphanStore } from '../../domain/ports/orphans.ts'
import { haltedFor } from './orphan-halts.ts'
import { HAS_A_SESSION_HERE, isDue, NOT_ON_ITS_WAY } from './orphan-rows.ts'
import { type Database, ownedBy, type Row } from './pool.ts'

const WINDOW = `interval '24 hours'`

/** Counted in the window already: it may be tried again at no further cost. */
const COUNTED = `(o.removal_begun_at IS NOT NULL AND o.removal_begun_at > now() - ${WINDOW})`

/**
 * $1 agent, $2 grace (ms), $3 when its inventory was recorded: what was not in that one is not due, nor what was in
 * no earlier one, however long it has taken to get here.
 */
const DUE_HERE = `
o.agent_id = $1 AND o.ended_at IS NULL AND (o.state = 'approved' OR (o.last_seen_at >= $3 AND o.first_seen_at < $3))
AND ${isDue('$2')}`

/** $4 the agent's org: its own agents share a limit, and so do those of nobody (null). */
const FIGURES = `
SELECT (SELECT count(*) FROM orphans o WHERE ${DUE_HERE} AND o.approved_at IS NULL AND NOT ${COUNTED}) AS asked,
       (SELECT count(*) FROM orphans o WHERE ${DUE_HERE} AND o.approved_at IS NULL) AS automatic,
       (SELECT held_reason FROM orphan_brakes WHERE agent_id = $1) AS held_reason,
       (SELECT coalesce(sum(b.sessions), 0)::bigint FROM orphan_brakes b JOIN agents a ON a.id = b.agent_id
         WHERE a.org_id IS NOT DISTINCT FROM $4) AS sessions,
       counted.*
  FROM (SELECT count(*) FILTER (WHERE agent_id = $1) AS removed_here,
               count(*) FILTER (WHERE agent_id = $1 AND ended_at IS NOT NULL) AS gone_here,
               count(*) FILTER (WHERE org_id IS NOT DISTINCT FROM $4) AS removed
          FROM orphans
         WHERE removal_begun_at IS NOT NULL AND approved_at IS NULL AND removal_begun_at > now() - ${WINDOW}) counted`

/** Nobody's org has what is unknown on a shared agent: its row is the installation's own. */
const begin = (due: string, commandIds: string): string => `
WITH due AS MATERIALIZED (
  SELECT o.id, o.agent_id, o.session_id, o.org_id, o.command_id AS older,
         greatest(o.generation, coalesce(o.removal_generation, 0)) + 1 AS removal_generation
    FROM orphans o
   WHERE ${due}
   ORDER BY o.id LIMIT cardinality(${commandIds}::uuid[]) FOR NO KEY UPDATE
),
numbered AS MATERIALIZED (
  SELECT due.*, coalesce(due.org_id, 'default') AS org, command.id AS command_id
    FROM (SELECT due.*, row_number() OVER (ORDER BY id) AS place FROM due) due
    JOIN unnest(${commandIds}::uuid[]) WITH ORDINALITY AS command (id, place) USING (place)
),
-- A removal that was being begun while this one was approved: its command would be nobody's, and sent for ever.
replaced AS (
  UPDATE outbox b SET status = 'superseded', finished_at = now(), next_attempt_at = NULL
    FROM due WHERE b.command_id = due.older AND b.status = 'pending'
),
removing AS (
  UPDATE orphans o
     SET state = 'removing', command_id = n.command_id, removal_generation = n.removal_generation, removal_begun_at = now()
    FROM numbered n WHERE o.id = n.id
),
sent AS (
  INSERT INTO outbox (command_id, org_id, agent_id, session_id, generation, type, payload, created_at)
  SELECT n.command_id, n.org, n.agent_id, n.command_id, n.removal_generation, 'delete_session',
         jsonb_build_object('sessionId', n.session_id, 'state', 'deleted', 'incarnation', 0, 'orgId', n.org), now()
    FROM numbered n ORDER BY n.id
  RETURNING agent_id
),
told AS (
  INSERT INTO agent_events (agent_id, type, data, actor)
  SELECT agent_id, 'orphan_removal_begun', jsonb_build_object('count', count(*), 'sessionIds', jsonb_path_query_array(
           jsonb_agg(session_id ORDER BY id), '$[0 to 19]')), 'reconciler'
    FROM numbered GROUP BY agent_id
)
SELECT count(*) AS removing FROM sent`

const BEGIN_ALL = begin(DUE_HERE, '$4')
const BEGIN_APPROVED_IN_INVENTORY = begin(`${DUE_HERE} AND o.approved_at IS NOT NULL`, '$4')
const BEGIN_APPROVED = begin(
  `o.agent_id = $1 AND o.org_id IS NOT DISTINCT FROM $3 AND o.ended_at IS NULL AND o.state = 'approved'
     AND NOT ${HAS_A_SESSION_HERE}`,
  '$2',
)

/** What is held is told once, until it is not held any more. */
const HOLD = `
WITH held AS (
  UPDATE orphan_brakes SET held_at = CASE WHEN held_reason IS NULL THEN now() ELSE held_at END, held_reason = $2
   WHERE agent_id = $1 AND held_reason IS DISTINCT FROM $2
)
INSERT INTO agent_events (agent_id, type, data, actor)
SELECT $1, 'orphan_removal_held', jsonb_build_object('reason', $2::text), 'reconciler' WHERE $3`

const RELEASE = `UPDATE orphan_brakes SET held_reason = NULL, held_at = NULL WHERE agent_id = $1 AND held_at IS NOT NULL`

/** Which of the named are not there to be approved; none of them is then. */
const APPROVE = `
WITH agent AS (
  SELECT id FROM agents WHERE id = $1 AND org_id IS NOT DISTINCT FROM $4 FOR KEY SHARE
),
present AS MATERIALIZED (
  SELECT o.id, o.session_id, o.state = 'seen' OR (o.state = 'removing' AND ${NOT_ON_ITS_WAY}) AS waits
    FROM orphans o
   WHERE o.agent_id = (SELECT id FROM agent) AND o.ended_at IS NULL AND ($2::uuid[] IS NULL OR o.session_id = ANY($2))
     AND NOT ${HAS_A_SESSION_HERE}
   ORDER BY o.id FOR NO KEY UPDATE
),
missing AS MATERIALIZED (
  SELECT DISTINCT session_id FROM unnest($2::uuid[]) AS named (session_id)
   WHERE session_id NOT IN (SELECT session_id FROM present)
),
approved AS (
  UPDATE orphans o SET state = 'approved', approved_at = now(), approved_by = $3
    FROM present p WHERE o.id = p.id AND o.ended_at IS NULL AND p.waits AND NOT EXISTS (SELECT FROM missing)
  RETURNING o.id, o.session_id
),
told AS (
  INSERT INTO agent_events (agent_id, type, data, actor)
  SELECT $1, 'orphans_approved', jsonb_build_object('count', count(*), 'sessionIds', jsonb_path_query_array(
           jsonb_agg(session_id ORDER BY id), '$[0 to 19]')), $3
    FROM approved HAVING count(*) > 0
),
released AS (
  UPDATE orphan_brakes SET held_reason = NULL, held_at = NULL
   WHERE agent_id = $1 AND held_at IS NOT NULL AND (SELECT count(*) FROM approved) > 0
     AND NOT EXISTS (SELECT FROM orphans o WHERE o.agent_id = $1 AND o.ended_at IS NULL AND o.state = 'seen'
                        AND o.id NOT IN (SELECT id FROM approved))
)
SELECT (SELECT count(*) FROM approved) AS approved, (SELECT coalesce(jsonb_agg(session_id), '[]') FROM missing) AS missing`

export const createOrphanRemoval = (
  database: Database,
): Pick<OrphanStore, 'remove' | 'approve' | 'removeApproved'> => ({
  remove: (peer, { at, resources, graceMs }, commandIds, brake) =>
    database.transaction(async (query) => {
      const lease = await query({
        name: 'hold_lease_of_org',
        text: `SELECT a.org_id FROM agent_leases l JOIN agents a ON a.id = l.agent_id
                WHERE l.agent_id = $1 AND l.epoch = $2 FOR SHARE OF l`,
        values: [peer.agentId, peer.epoch],
      })
      if (lease.rowCount === 0) return { kind: 'fenced' }
      const orgId = lease.rows[0].org_id as OrgId | null
      const halted = await haltedFor(query, orgId)
      const here = [peer.agentId, graceMs, at]
      const figures = (await query({ name: 'brake_figures', text: FIGURES, values: [...here, orgId] })).rows[0]
      const verdict = brake(figuresOf(figures, { entries: resources, orgId, halted }))
      const held = verdict.kind === 'held' && figures.automatic > 0 ? verdict.reason : null
      const begun = await query({
        text: held === null ? BEGIN_ALL : BEGIN_APPROVED_IN_INVENTORY,
        values: [...here, commandIds],
      })
      const heldBefore = figures.held_reason !== null
      if (held !== null) await query({ text: HOLD, values: [peer.agentId, held, !heldBefore] })
      else if (heldBefore) await query({ text: RELEASE, values: [peer.agentId] })
      return { kind: 'begun', removing: begun.rows[0].removing, held, heldBefore }
    }),

  approve: async ({ id, orgId }, sessionIds, by): Promise<Approval> => {
    const { rows } = await ownedBy(database, orgId).query({ text: APPROVE, values: [id, sessionIds, by, orgId] })
    const missing = rows[0].missing as readonly SessionId[]
    return missing.length > 0 ? { kind: 'missing', sessionIds: missing } : { kind: 'approved', count: rows[0].approved }
  },

  removeApproved: async ({ id, orgId }, commandIds: readonly CommandId[]) => {
    const { rows } = await ownedBy(database, orgId).query({ text: BEGIN_APPROVED, values: [id, commandIds, orgId] })
    return rows[0].removing
  },
})

type Judged = { readonly entries: number; readonly orgId: OrgId | null; readonly halted: string | null }

const figuresOf = (row: Row, { entries, orgId, halted }: Judged): BrakeFigures => ({
  asked: row.asked,
  agent: { resources: entries + row.gone_here, removed: row.removed_here },
  together: { of: orgId === null ? 'shared' : 'org', resources: row.sessions, removed: row.removed },
  halted,
})
