/**
 * Leases: who speaks for an agent, under which epoch. Raising the epoch is one UPDATE of the lease row,
 * which waits for every writer of the old epoch (they hold the row FOR SHARE) and stops all later ones.
 *
 * What a connection makes due again is found by a second statement in the same transaction: the first one's
 * snapshot is older than what those writers wrote, so that it would miss the rows that they took out of the
 * read set, and nobody would ever send them again.
 */
import { E } from '../../domain/fp.ts'
import type { AgentId, OrgId, ReplicaId } from '../../domain/ids.ts'
import type { LeaseStore } from '../../domain/ports/agents.ts'
import { haltRemoval } from './orphan-removal.ts'
import type { Database } from './pool.ts'

const RAISE_EPOCH = `
UPDATE agent_leases l
   SET epoch = greatest(l.epoch, COALESCE($2::bigint, 0)) + 1, replica_id = $3, connected_at = now(), disconnected_at = NULL
  FROM (SELECT agent_id, epoch FROM agent_leases WHERE agent_id = $1 FOR UPDATE) AS held
 WHERE l.agent_id = held.agent_id
   -- A token that was rotated since the upgrade opens nothing any more.
   AND ($4::bytea IS NULL OR EXISTS (SELECT 1 FROM agents WHERE id = $1 AND token_hash = $4))
RETURNING l.epoch, held.epoch AS epoch_before`

/** Lock order: lease (held by now), agents, outbox. Liveness is nobody's but the connection's own. */
const TAKE_OVER = `
WITH agent AS (
  UPDATE agents a
     SET version = $2, region = COALESCE($3, region), reported_labels = $4::jsonb,
         max_sessions = $5, cpu_millis = $6, memory_mib = $7
   WHERE id = $1
  RETURNING a.id
),
live AS (
  INSERT INTO agent_liveness AS v (agent_id, last_heartbeat_at)
  SELECT id, now() FROM agent
  ON CONFLICT (agent_id) DO UPDATE
     SET last_heartbeat_at = now(), degraded_reason = NULL, inventory_hash = NULL, active_sessions = 0
),
held AS MATERIALIZED (
  SELECT id FROM outbox
   WHERE agent_id = (SELECT id FROM agent) AND status = 'pending' AND (acked_epoch IS NOT NULL OR next_attempt_at IS NOT NULL)
   ORDER BY id FOR NO KEY UPDATE
)
UPDATE outbox o SET acked_epoch = NULL, next_attempt_at = NULL
  FROM held WHERE o.id = held.id AND o.status = 'pending'`

const HEARTBEAT = `
WITH beat AS (
  SELECT * FROM unnest($1::text[], $2::bigint[], $3::int[], $4::text[], $5::text[])
      AS b (agent_id, epoch, active_sessions, inventory_hash, degraded_reason)
),
held AS (
  SELECT l.agent_id FROM agent_leases l
   WHERE l.agent_id = ANY($1::text[]) AND l.replica_id = $6
     AND l.epoch = (SELECT b.epoch FROM beat b WHERE b.agent_id = l.agent_id)
   ORDER BY l.agent_id FOR SHARE
)
INSERT INTO agent_liveness AS v (agent_id, last_heartbeat_at, active_sessions, inventory_hash, degraded_reason)
SELECT b.agent_id, now(), b.active_sessions, b.inventory_hash, b.degraded_reason
  FROM beat b JOIN held USING (agent_id) ORDER BY b.agent_id
ON CONFLICT (agent_id) DO UPDATE
   SET last_heartbeat_at = excluded.last_heartbeat_at, active_sessions = excluded.active_sessions,
       inventory_hash = excluded.inventory_hash, degraded_reason = excluded.degraded_reason
RETURNING v.agent_id`

const CAPACITY = `
WITH offered AS MATERIALIZED (
  SELECT * FROM unnest($1::text[], $2::int[], $3::int[], $4::int[], $5::bigint[])
      AS o (agent_id, max_sessions, cpu_millis, memory_mib, epoch)
),
lease AS MATERIALIZED (
  SELECT agent_id, epoch FROM agent_leases WHERE agent_id = ANY($1::text[]) ORDER BY agent_id FOR SHARE
),
changed AS MATERIALIZED (
  SELECT a.id, o.max_sessions, o.cpu_millis, o.memory_mib
    FROM agents a JOIN offered o ON o.agent_id = a.id
   WHERE (o.agent_id, o.epoch) IN (SELECT agent_id, epoch FROM lease)
     AND (a.max_sessions, a.cpu_millis, a.memory_mib) IS DISTINCT FROM (o.max_sessions, o.cpu_millis, o.memory_mib)
   ORDER BY a.id FOR NO KEY UPDATE OF a
)
UPDATE agents a SET max_sessions = c.max_sessions, cpu_millis = c.cpu_millis, memory_mib = c.memory_mib
  FROM changed c WHERE a.id = c.id`

const LOST = `
SELECT h.place::int - 1 AS index
  FROM unnest($1::text[], $2::bigint[]) WITH ORDINALITY AS h (agent_id, epoch, place)
 WHERE NOT EXISTS (
         SELECT 1 FROM agent_leases l WHERE l.agent_id = h.agent_id AND l.epoch = h.epoch AND l.replica_id = $3)`

export type LeaseSettings = {
  /** Told of an agent that was welcomed by a newer state of the database than this one. */
  readonly onOlderDatabase?: (found: {
    readonly agentId: AgentId
    readonly lastEpoch: number
    readonly epoch: number
  }) => void
}

export const createLeaseStore = (database: Database, settings: LeaseSettings = {}): LeaseStore => ({
  identify: async (tokenHash) => {
    const { rows } = await database.query({
      name: 'identify_agent',
      text: 'SELECT id, org_id, platform FROM agents WHERE token_hash = $1',
      values: [tokenHash],
    })
    const row = rows[0]
    return row === undefined
      ? null
      : { agentId: row.id as AgentId, orgId: row.org_id as OrgId | null, platform: row.platform as string, tokenHash }
  },

  connect: async (connecting) => {
    const { agentId, lastEpoch } = connecting
    const connected = await database.transaction(async (query) => {
      const { rows } = await query({
        name: 'raise_epoch',
        text: RAISE_EPOCH,
        values: [connecting.agentId, connecting.lastEpoch, connecting.replicaId, connecting.tokenHash ?? null],
      })
      if (rows[0] === undefined) return null
      await query({
        name: 'take_over_agent',
        text: TAKE_OVER,
        values: [
          connecting.agentId,
          connecting.version,
          connecting.region,
          JSON.stringify(connecting.labels),
          connecting.capacity.maxSessions,
          connecting.capacity.cpuMillis,
          connecting.capacity.memoryMib,
        ],
      })
      const { epoch, epoch_before: before } = rows[0] as { readonly epoch: number; readonly epoch_before: number }
      const older = lastEpoch !== null && lastEpoch > before ? { agentId, lastEpoch, epoch: before } : null
      if (older !== null) await haltRemoval(query, older)
      return { epoch, older }
    })
    if (connected === null) return E.left({ _tag: 'AgentGone' })
    if (connected.older !== null) settings.onOlderDatabase?.(connected.older)
    return E.right({ epoch: connected.epoch })
  },

  disconnect: async (peer, replicaId) => {
    await database.query({
      name: 'disconnect_agent',
      text: `UPDATE agent_leases SET replica_id = NULL, disconnected_at = now()
              WHERE agent_id = $1 AND epoch = $2 AND replica_id = $3`,
      values: [peer.agentId, peer.epoch, replicaId],
    })
  },

  heartbeat: async (beats, replicaId) => {
    // Two connections of one agent may beat in one batch: only the newest epoch can be held.
    const byAgent = new Map(beats.toSorted((a, b) => a.epoch - b.epoch).map((beat) => [beat.agentId, beat]))
    const newest = [...byAgent.values()]
    const { rows } = await database.query({
      name: 'heartbeat',
      text: HEARTBEAT,
      values: [
        newest.map((beat) => beat.agentId),
        newest.map((beat) => beat.epoch),
        newest.map((beat) => beat.activeSessions),
        newest.map((beat) => beat.inventoryHash),
        newest.map((beat) => beat.degradedReason),
        replicaId,
      ],
    })
    const capacities = newest.filter((beat) => beat.capacity !== null)
    if (capacities.length > 0)
      await database.query({
        name: 'heartbeat_capacity',
        text: CAPACITY,
        values: [
          capacities.map((beat) => beat.agentId),
          capacities.map((beat) => beat.capacity?.maxSessions),
          capacities.map((beat) => beat.capacity?.cpuMillis),
          capacities.map((beat) => beat.capacity?.memoryMib),
          capacities.map((beat) => beat.epoch),
        ],
      })
    const held = new Set(rows.map((row) => row.agent_id as string))
    return beats.filter((beat) => !held.has(beat.agentId) || byAgent.get(beat.agentId)?.epoch !== beat.epoch)
  },

  lost: async (held, replicaId) => {
    const { rows } = await database.query({
      name: 'lost_leases',
      text: LOST,
      values: [held.map(({ agentId }) => agentId), held.map(({ epoch }) => epoch), replicaId],
    })
    if (rows.length === 0) return []
    // Why is asked of those alone: the token's hash is long, and hardly any lease is ever lost.
    const hashes = rows.map((row) => held[row.index]?.tokenHash ?? null)
    const known = await database.query({
      name: 'known_tokens',
      text: 'SELECT place::int - 1 AS at FROM unnest($1::bytea[]) WITH ORDINALITY AS t (hash, place) JOIN agents ON token_hash = hash',
      values: [hashes],
    })
    const isKnown = new Set(known.rows.map((row) => row.at as number))
    return rows.map((row, at) => ({
      index: row.index as number,
      why: hashes[at] === null || isKnown.has(at) ? 'replaced' : 'revoked',
    }))
  },

  holders: async (agentIds) => {
    const { rows } = await database.query({
      name: 'lease_holders',
      text: 'SELECT agent_id, replica_id FROM agent_leases WHERE agent_id = ANY($1::text[]) AND replica_id IS NOT NULL',
      values: [agentIds],
    })
    return rows.map((row) => ({ agentId: row.agent_id as AgentId, replicaId: row.replica_id as ReplicaId }))
  },
})
