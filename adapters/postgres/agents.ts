import { type Agent, agentStatus } from '../../domain/agent/agent.ts'
import type { AgentId, OrgId, ReplicaId } from '../../domain/ids.ts'
import {
  type AgentStore,
  type LostSessions,
  MOST_LOST_NAMED,
  MOST_LOST_OF_ORG,
  type OwnedAgent,
} from '../../domain/ports/agents.ts'
import type { Clock } from '../../domain/ports/clock.ts'
import { type Guard, isMatch } from '../../domain/ports/if-match.ts'
import { type Cursors, listOf, pageOf } from './cursor.ts'
import { orderOf } from './order.ts'
import { type Database, ownedBy, type Queries, type Row } from './pool.ts'
import { parameters } from './session-filters.ts'

const SELECT = `
SELECT a.id, a.revision, a.org_id, a.platform, a.region, a.reported_labels || a.labels AS labels, a.version, a.cordoned, a.max_sessions, a.cpu_millis,
       a.memory_mib, a.allocated_sessions, a.allocated_cpu_millis, a.allocated_memory_mib, l.epoch, l.replica_id,
       l.connected_at, l.disconnected_at, v.last_heartbeat_at, v.degraded_reason, b.held_reason,
       d.agent_id IS NOT NULL AS draining
  FROM agents a
  LEFT JOIN agent_leases l ON l.agent_id = a.id
  LEFT JOIN agent_liveness v ON v.agent_id = a.id
  LEFT JOIN orphan_brakes b ON b.agent_id = a.id
  LEFT JOIN agent_drains d ON d.agent_id = a.id`

/**
 * What becomes of an agent's sessions when it is removed. Those that were being deleted are gone with it;
 * the others have failed: they lose their place, and can be started elsewhere (without their home).
 */
const ABANDON_SESSIONS = `
WITH locked AS MATERIALIZED (
  SELECT id FROM sessions
   WHERE id IN (SELECT id FROM sessions WHERE agent_id = $1 AND deleted_at IS NULL
                 UNION ALL
                SELECT id FROM sessions WHERE reserved_on = $1 AND deleted_at IS NOT NULL)
     AND (agent_id = $1 OR reserved_on = $1)
   ORDER BY id FOR NO KEY UPDATE
),
abandoned AS (
  UPDATE sessions s
     SET agent_id = NULL, reserved_on = NULL, endpoint = NULL, waiting_since = NULL, status_deadline = NULL,
         status = CASE s.desired_state WHEN 'deleted' THEN 'deleting' ELSE 'failed' END,
         status_reason = 'removed_outside', status_message = 'agent ' || $1 || ' was removed',
         observed_generation = CASE s.desired_state WHEN 'deleted' THEN s.generation ELSE s.observed_generation END,
         deleted_at = CASE s.desired_state WHEN 'deleted' THEN now() END,
         updated_at = now(), version = s.version + 1, revision = s.revision + 1
    FROM locked WHERE s.id = locked.id AND s.deleted_at IS NULL
  RETURNING s.id, s.org_id, s.name, s.generation, s.status, s.status_reason, s.status_message
),
confirmed AS (
  UPDATE sessions s
     SET agent_id = NULL, reserved_on = NULL, observed_generation = s.generation, revision = s.revision + 1, updated_at = now()
    FROM locked WHERE s.id = locked.id AND s.deleted_at IS NOT NULL
),
told AS (
  INSERT INTO session_events (org_id, session_id, type, generation, data, actor, at)
  SELECT org_id, id, CASE status WHEN 'deleting' THEN 'deleted' ELSE 'failed' END, generation,
         jsonb_build_object('status', status, 'reason', status_reason, 'message', status_message, 'agentId', $1::text),
         'agent_removal', now()
    FROM abandoned ORDER BY id
),
lost AS (
  SELECT id, org_id, name FROM abandoned WHERE status = 'failed'
)
SELECT (SELECT count(*) FROM lost) AS count,
       (SELECT coalesce(jsonb_agg(jsonb_build_object('id', id, 'name', name, 'orgId', org_id) ORDER BY id), '[]')
          FROM (SELECT * FROM lost ORDER BY id LIMIT $2) named) AS sessions,
       (SELECT coalesce(jsonb_agg(jsonb_build_object('orgId', org_id, 'count', count, 'sessionIds', ids[1:$3]) ORDER BY org_id), '[]')
          FROM (SELECT org_id, count(*) AS count, array_agg(id ORDER BY id) AS ids FROM lost GROUP BY org_id) of_org) AS by_org`

const CANCEL_COMMANDS = `
WITH locked AS MATERIALIZED (
  SELECT id FROM outbox WHERE agent_id = $1 AND status = 'pending' ORDER BY id FOR NO KEY UPDATE
)
UPDATE outbox o
   SET status = 'cancelled', finished_at = now(), next_attempt_at = NULL, last_error = 'agent ' || $1 || ' was removed'
  FROM locked WHERE o.id = locked.id AND o.status = 'pending'`

/** Nobody sees them any more; what was removed of them goes on counting. */
const END_ORPHANS = `
WITH locked AS MATERIALIZED (
  SELECT id FROM orphans WHERE agent_id = $1 AND ended_at IS NULL ORDER BY id FOR NO KEY UPDATE
)
UPDATE orphans o SET state = 'gone', ended_at = now() FROM locked WHERE o.id = locked.id AND o.ended_at IS NULL`

/** Agents that are looked at for a page of those of a status. */
const READ_AT_ONCE = 1_000

/** $1 the agent, $2 its org; null: the installation. */
const IS_OWNED = 'id = $1 AND org_id IS NOT DISTINCT FROM $2'

const agentFromRow = (row: Row, now: Date, heartbeatIntervalMs: number): Agent => ({
  id: row.id as AgentId,
  orgId: row.org_id as OrgId | null,
  platform: row.platform,
  region: row.region,
  labels: row.labels,
  version: row.version,
  ...agentStatus(
    {
      connected: row.replica_id !== null,
      lastHeartbeatAt: row.last_heartbeat_at,
      degradedReason: row.degraded_reason,
      orphansHeld: row.held_reason,
    },
    now,
    heartbeatIntervalMs,
  ),
  cordoned: row.cordoned,
  draining: row.draining,
  capacity:
    row.max_sessions === null
      ? null
      : { maxSessions: row.max_sessions, cpuMillis: row.cpu_millis, memoryMib: row.memory_mib },
  allocated: {
    sessions: row.allocated_sessions,
    cpuMillis: row.allocated_cpu_millis,
    memoryMib: row.allocated_memory_mib,
  },
  epoch: row.epoch ?? 0,
  replicaId: row.replica_id as ReplicaId | null,
  connectedAt: row.connected_at,
  disconnectedAt: row.disconnected_at,
  lastHeartbeatAt: row.last_heartbeat_at,
  revision: row.revision,
})

export const createAgentStore = (
  database: Database,
  cursors: Cursors,
  clock: Clock,
  settings: { readonly heartbeatIntervalMs: number },
): AgentStore => {
  const fromRow = (row: Row): Agent => agentFromRow(row, clock.now(), settings.heartbeatIntervalMs)
  return {
    get: async (orgId, id) => {
      const { rows } = await database.of(orgId).query({
        name: 'get_agent',
        text: `${SELECT} WHERE a.id = $2 AND (a.org_id = $1 OR a.org_id IS NULL)`,
        values: [orgId, id],
      })
      return rows[0] === undefined ? null : fromRow(rows[0])
    },

    list: async (orgId, filter, { limit: asked, cursor, sort = 'id' }) => {
      const list = listOf('agents', orgId, { ...filter, sort })
      const from = cursors.decode(list, cursor)
      const { beyond, direction } = orderOf(sort)
      const read = async (after: string | number | null, limit: number): Promise<readonly Row[]> => {
        const { values, add } = parameters()
        const where: string[] = []
        if (after !== null) where.push(`a.id ${beyond} ${add(after)}`)
        if (filter.platform !== undefined) where.push(`a.platform = ANY(${add(filter.platform)}::text[])`)
        if (filter.region !== undefined) where.push(`a.region = ANY(${add(filter.region)}::text[])`)
        const most = add(limit)
        // Two ranges of an index in its order, where an OR would be neither.
        const ids = [`a.org_id = ${add(orgId)}`, 'a.org_id IS NULL'].map(
          (whose) =>
            `(SELECT a.id FROM agents a WHERE ${[whose, ...where].join(' AND ')} ORDER BY a.id ${direction} LIMIT ${most})`,
        )
        const { rows } = await database.of(orgId).query({
          text: `${SELECT}
                  WHERE a.id IN (SELECT id FROM (${ids.join(' UNION ALL ')}) found ORDER BY id ${direction} LIMIT ${most})
                  ORDER BY a.id ${direction}`,
          values,
        })
        return rows
      }
      const shown: Row[] = []
      let after = from?.[0] ?? null
      // What is shown as its status follows from the clock, so it is looked at here.
      for (let isLast = false; !isLast && shown.length <= asked; ) {
        const most = filter.status === undefined ? asked + 1 : READ_AT_ONCE
        const rows = await read(after, most)
        shown.push(...rows.filter((row) => filter.status?.includes(fromRow(row).status) ?? true))
        after = rows.at(-1)?.id ?? null
        isLast = rows.length < most
      }
      return pageOf(shown.slice(0, asked + 1), asked, fromRow, (row: Row) => cursors.encode(list, [row.id]))
    },

    candidates: async (orgId) => {
      const { rows } = await database.of(orgId).query({
        name: 'candidate_agents',
        text: `${SELECT} WHERE a.org_id = $1 OR a.org_id IS NULL`,
        values: [orgId],
      })
      return rows.map(fromRow)
    },

    enrol: async (enrolment) => {
      const { rowCount } = await ownedBy(database, enrolment.orgId).query({
        text: `WITH agent AS (
                 INSERT INTO agents (id, org_id, platform, region, labels, token_hash)
                 VALUES ($1, $2, $3, $4, $5::jsonb, $6) ON CONFLICT (id) DO NOTHING RETURNING id)
               INSERT INTO agent_leases (agent_id) SELECT id FROM agent`,
        values: [
          enrolment.id,
          enrolment.orgId,
          enrolment.platform,
          enrolment.region,
          JSON.stringify(enrolment.labels),
          enrolment.tokenHash,
        ],
      })
      return rowCount > 0
    },

    setTokenHash: (agent, tokenHash, guard) =>
      // The lease first, as everywhere. A raised epoch fences the old token's connection, whichever replica has it.
      ownedBy(database, agent.orgId).transaction(async (query) => {
        if ((await hold(query, agent, guard)) !== 'held') return false
        const values = [agent.id, agent.orgId]
        await query({
          text: `UPDATE agent_leases SET epoch = epoch + 1, replica_id = NULL, disconnected_at = now()
                  WHERE agent_id = (SELECT id FROM agents WHERE ${IS_OWNED})`,
          values,
        })
        await query({ text: `UPDATE agents SET token_hash = $3 WHERE ${IS_OWNED}`, values: [...values, tokenHash] })
        return true
      }),

    setCordoned: async ({ id, orgId }, cordoned, guard = null) => {
      const { rows } = await ownedBy(database, orgId).query({
        // An agent that takes new sessions is not drained any more.
        text: `WITH agent AS (
                 UPDATE agents SET cordoned = $3
                  WHERE ${IS_OWNED} AND ($4::bigint[] IS NULL OR revision = ANY($4)) RETURNING id, cordoned, revision),
               ended AS (DELETE FROM agent_drains d USING agent WHERE d.agent_id = agent.id AND NOT agent.cordoned)
               SELECT revision FROM agent`,
        values: [id, orgId, cordoned, guard],
      })
      return rows[0]?.revision ?? null
    },

    removeEmpty: (agent, guard) =>
      ownedBy(database, agent.orgId).transaction(async (query) => {
        const held = await hold(query, agent, guard)
        if (held !== 'held') return held === 'gone' ? 0 : null
        // Under the locks: what was placed here meanwhile is seen, and nothing more is placed.
        const { rows } = await query({
          text: 'SELECT count(*) AS n FROM sessions WHERE agent_id = $1 AND deleted_at IS NULL',
          values: [agent.id],
        })
        if (rows[0].n === 0) await removeHeld(query, agent.id)
        return rows[0].n
      }),

    remove: (agent, guard) =>
      ownedBy(database, agent.orgId).transaction(async (query) => {
        const held = await hold(query, agent, guard)
        if (held === 'held') return removeHeld(query, agent.id)
        return held === 'gone' ? { count: 0, sessions: [], byOrg: [] } : null
      }),
  }
}

/** Writers of its reports are waited for and fenced, then those who take or give back its capacity. */
const hold = async (
  query: Queries['query'],
  { id, orgId }: OwnedAgent,
  guard: Guard,
): Promise<'held' | 'gone' | 'changed'> => {
  await query({
    text: `SELECT FROM agent_leases WHERE agent_id = (SELECT id FROM agents WHERE ${IS_OWNED}) FOR UPDATE`,
    values: [id, orgId],
  })
  const { rows } = await query({
    text: `SELECT revision FROM agents WHERE ${IS_OWNED} FOR UPDATE`,
    values: [id, orgId],
  })
  if (rows[0] === undefined) return 'gone'
  return isMatch(guard, rows[0].revision) ? 'held' : 'changed'
}

const removeHeld = async (query: Queries['query'], id: AgentId): Promise<LostSessions> => {
  const { rows } = await query({ text: ABANDON_SESSIONS, values: [id, MOST_LOST_NAMED, MOST_LOST_OF_ORG] })
  await query({ text: END_ORPHANS, values: [id] })
  await query({ text: CANCEL_COMMANDS, values: [id] })
  await query({ text: 'DELETE FROM agents WHERE id = $1', values: [id] })
  return { count: rows[0].count, sessions: rows[0].sessions, byOrg: rows[0].by_org }
}
