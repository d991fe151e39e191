/**
 * Leases: who speaks for an agent, under which epoch. Whoever connects locks the lease row, which waits for
 * every writer of the old epoch (they hold it FOR SHARE), and raises the epoch, which stops all later ones.
 *
 * What a connection makes due again is found by a second statement in the same transaction: the first one's
 * snapshot is older than what those writers wrote, so that it would miss the rows that they took out of the
 * read set, and nobody would ever send them again. The same pair of statements connects any number of agents:
 * thousands come back at once.
 */
import { E } from '../../domain/fp.ts'
import type { AgentId, OrgId, ReplicaId } from '../../domain/ids.ts'
import type { AgentIdentity, Connected, Connecting, LeaseBatches, LeaseStore, Peer } from '../../domain/ports/agents.ts'
import { haltRemoval, type Older, type OlderFound } from './orphan-halts.ts'
import type { Database } from './pool.ts'

const LOCK_LEASES =
  'SELECT agent_id, epoch FROM agent_leases WHERE agent_id = ANY($1::text[]) ORDER BY agent_id FOR NO KEY UPDATE'

/**
 * Lock order: leases (held by now), agents, outbox; each by id. Liveness is nobody's but the connection's own. A token
 * that was rotated since the upgrade opens nothing any more: rotating takes the lease first, so that this statement,
 * which begins when the leases are held, sees the token that counts. An agent that says of itself what it said before
 * leaves its row alone: that one is hot.
 */
const TAKE_OVER = `
WITH asked AS MATERIALIZED (
  SELECT * FROM jsonb_to_recordset($1::jsonb) AS a (
    agent_id text, token_hash text, last_epoch bigint, version text, region text, labels jsonb,
    max_sessions int, cpu_millis int, memory_mib int)
),
known AS MATERIALIZED (
  SELECT asked.* FROM asked JOIN agents a ON a.id = asked.agent_id
   WHERE asked.token_hash IS NULL OR a.token_hash = decode(asked.token_hash, 'hex')
),
raised AS (
  UPDATE agent_leases l
     SET epoch = greatest(l.epoch, COALESCE(k.last_epoch, 0)) + 1, replica_id = $2, connected_at = now(),
         disconnected_at = NULL, restored_at = CASE WHEN k.last_epoch > l.epoch THEN now() ELSE l.restored_at END
    FROM known k WHERE l.agent_id = k.agent_id
  RETURNING l.agent_id, l.epoch
),
changed AS MATERIALIZED (
  SELECT a.id FROM agents a JOIN known k ON k.agent_id = a.id
   WHERE (a.version, a.region, a.reported_labels, a.max_sessions, a.cpu_millis, a.memory_mib)
         IS DISTINCT FROM (k.version, COALESCE(k.region, a.region), k.labels, k.max_sessions, k.cpu_millis, k.memory_mib)
   ORDER BY a.id FOR NO KEY UPDATE OF a
),
agent AS (
  UPDATE agents a
     SET version = k.version, region = COALESCE(k.region, a.region), reported_labels = k.labels,
         max_sessions = k.max_sessions, cpu_millis = k.cpu_millis, memory_mib = k.memory_mib
    FROM changed c JOIN known k ON k.agent_id = c.id WHERE a.id = c.id
),
live AS (
  INSERT INTO agent_liveness AS v (agent_id, last_heartbeat_at)
  SELECT agent_id, now() FROM known ORDER BY agent_id
  ON CONFLICT (agent_id) DO UPDATE
     SET last_heartbeat_at = now(), degraded_reason = NULL, inventory_hash = NULL, active_sessions = 0
),
held AS MATERIALIZED (
  SELECT id FROM outbox
   WHERE agent_id = ANY(ARRAY(SELECT agent_id FROM known)) AND status = 'pending'
     AND (acked_epoch IS NOT NULL OR next_attempt_at IS NOT NULL)
     -- A repair that was never sent waits as its restart policy says, whoever connects meanwhile.
     AND NOT (payload ? 'repair' AND sent_at IS NULL AND COALESCE(next_attempt_at > now(), false))
     AND (SELECT count(*) FROM changed) >= 0 -- the agents are locked by then
   ORDER BY id FOR NO KEY UPDATE
),
due AS (
  UPDATE outbox o SET acked_epoch = NULL, next_attempt_at = NULL
    FROM held WHERE o.id = held.id AND o.status = 'pending'
)
SELECT agent_id, epoch FROM raised`

/**
 * Whether a lease, found by its agent, is this replica's. Not `=`: PostgreSQL would look in the index of replicas, which
 * seems to have a row or two for each until the table is analyzed, and go through all agents of the replica for each.
 */
const isHeldBy = (replica: string): string => `l.replica_id IS NOT DISTINCT FROM ${replica}`

const DISCONNECT = `
WITH held AS MATERIALIZED (
  SELECT l.agent_id, l.epoch
    FROM unnest($1::text[], $2::bigint[]) AS gone (agent_id, epoch) JOIN agent_leases l USING (agent_id, epoch)
   WHERE ${isHeldBy('$3')} ORDER BY l.agent_id FOR NO KEY UPDATE OF l
)
UPDATE agent_leases l SET replica_id = NULL, disconnected_at = now()
  FROM held WHERE l.agent_id = held.agent_id AND l.epoch = held.epoch AND ${isHeldBy('$3')}`

const HEARTBEAT = `
WITH beat AS (
  SELECT * FROM unnest($1::text[], $2::bigint[], $3::int[], $4::text[], $5::text[])
      AS b (agent_id, epoch, active_sessions, inventory_hash, degraded_reason)
),
held AS (
  SELECT l.agent_id FROM agent_leases l JOIN beat USING (agent_id, epoch)
   WHERE ${isHeldBy('$6')}
   ORDER BY l.agent_id FOR SHARE OF l
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
         SELECT 1 FROM agent_leases l WHERE l.agent_id = h.agent_id AND l.epoch = h.epoch AND ${isHeldBy('$3')})`

export type LeaseSettings = {
  /** Told of an agent that was welcomed by a newer state of the database than this one. */
  readonly onOlderDatabase?: (found: OlderFound) => void
}

/** As they are in the frames of an agent, and `null` where it may say nothing. */
const asked = ({ capacity, ...connecting }: Connecting) => ({
  agent_id: connecting.agentId,
  token_hash: connecting.tokenHash?.toString('hex') ?? null,
  last_epoch: connecting.lastEpoch,
  version: connecting.version,
  region: connecting.region,
  labels: connecting.labels,
  max_sessions: capacity.maxSessions,
  cpu_millis: capacity.cpuMillis,
  memory_mib: capacity.memoryMib,
})

const connectMany = async (
  database: Database,
  { onOlderDatabase }: LeaseSettings,
  connecting: readonly Connecting[],
): Promise<readonly Connected[]> => {
  const replicaId = connecting[0]?.replicaId
  const { epochs, older } = await database.transaction(async (query) => {
    const agentIds = connecting.map(({ agentId }) => agentId)
    const held = await query({ name: 'lock_leases', text: LOCK_LEASES, values: [agentIds] })
    const values = [JSON.stringify(connecting.map(asked)), replicaId]
    const { rows } = await query({ name: 'take_over_agents', text: TAKE_OVER, values })
    const epochs = new Map(rows.map((row) => [row.agent_id as AgentId, row.epoch as number]))
    const before = new Map(held.rows.map((row) => [row.agent_id as AgentId, row.epoch as number]))
    const older = connecting.flatMap(({ agentId, lastEpoch }): readonly Older[] => {
      const epoch = before.get(agentId)
      const isOlder = lastEpoch !== null && epoch !== undefined && epochs.has(agentId) && lastEpoch > epoch
      return isOlder ? [{ agentId, lastEpoch, epoch }] : []
    })
    return { epochs, older: await haltRemoval(query, older) }
  })
  for (const found of older) onOlderDatabase?.(found)
  return connecting.map(({ agentId }) => {
    const epoch = epochs.get(agentId)
    return epoch === undefined ? E.left({ _tag: 'AgentGone' }) : E.right({ epoch })
  })
}

const identifyMany = async (
  database: Database,
  tokenHashes: readonly Buffer[],
): Promise<readonly (AgentIdentity | null)[]> => {
  const { rows } = await database.query({
    name: 'identify_agents',
    text: 'SELECT id, org_id, platform, token_hash FROM agents WHERE token_hash = ANY($1::bytea[])',
    values: [tokenHashes],
  })
  const byHash = new Map(rows.map((row) => [(row.token_hash as Buffer).toString('hex'), row]))
  return tokenHashes.map((tokenHash) => {
    const row = byHash.get(tokenHash.toString('hex'))
    return row === undefined
      ? null
      : { agentId: row.id as AgentId, orgId: row.org_id as OrgId | null, platform: row.platform as string, tokenHash }
  })
}

const disconnectMany = async (database: Database, peers: readonly Peer[], replicaId: ReplicaId): Promise<void> => {
  await database.query({
    name: 'disconnect_agents',
    text: DISCONNECT,
    values: [peers.map(({ agentId }) => agentId), peers.map(({ epoch }) => epoch), replicaId],
  })
}

export const createLeaseStore = (database: Database, settings: LeaseSettings = {}): LeaseStore & LeaseBatches => ({
  identify: async (tokenHash) => (await identifyMany(database, [tokenHash]))[0] ?? null,
  identifyMany: (tokenHashes) => identifyMany(database, tokenHashes),
  connect: async (connecting) =>
    (await connectMany(database, settings, [connecting]))[0] ?? E.left({ _tag: 'AgentGone' } as const),
  connectMany: (connecting) => connectMany(database, settings, connecting),

  disconnect: (peer, replicaId) => disconnectMany(database, [peer], replicaId),
  disconnectMany: (peers, replicaId) => disconnectMany(database, peers, replicaId),

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
