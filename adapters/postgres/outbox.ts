/** The outbox as a lane sees it: what is due, and what became of a send. */
import type { AgentId, CommandId, OrgId, SessionId, UserId } from '../../domain/ids.ts'
import type { DueCommand, Outbox } from '../../domain/ports/delivery.ts'
import type { SecretEnv } from '../../domain/ports/unit-of-work.ts'
import { commandSpec } from '../../domain/session/command-spec.ts'
import type { Database, Row } from './pool.ts'

/** Sends that live sockets outlived without an ack, after which a command is dead (`docs/delivery.md`). */
export const MAX_UNACKED = 20

/**
 * What is due for some lanes, each above an id, without what it has in flight, and at most its own limit (`due_commands` in
 * migrations/007). What is asked (state, incarnation) comes with the command, so that a frame always carries one consistent
 * state; the session's row adds what no intent ever changes. What all lanes have in flight is one list, of which each has a part.
 * The removal of an orphan has no session: all that its frame needs is in the payload (`orphan-removal.ts`).
 */
export const DUE = `
SELECT due.*
  FROM unnest($1::text[], $2::bigint[], $4::int[], $5::bigint[], $6::int[], $7::int[])
    AS lane (agent_id, epoch, at_most, after, first, last)
 CROSS JOIN LATERAL due_commands(
         lane.agent_id, lane.epoch, lane.after, ($3::bigint[])[lane.first:lane.last], lane.at_most) due
 ORDER BY due.id`

const NOTE = `
WITH note AS (
  SELECT * FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::timestamptz[], $5::timestamptz[], $6::int[])
      AS n (command_id, agent_id, epoch, sent_at, acked_at, unacked)
),
lease AS (
  SELECT l.agent_id, l.epoch FROM agent_leases l
   WHERE l.agent_id = ANY($2::text[]) ORDER BY l.agent_id FOR SHARE
),
target AS (
  SELECT o.id, n.epoch, n.sent_at, n.acked_at, n.unacked
    FROM note n JOIN lease USING (agent_id, epoch)
    JOIN outbox o ON o.command_id = n.command_id AND o.agent_id = n.agent_id
   WHERE o.status = 'pending'
   ORDER BY o.id FOR NO KEY UPDATE OF o
)
UPDATE outbox o
   SET sent_at = target.sent_at,
       -- One send may be noted twice, as sent and later as acked: it is the same one while its time is the same.
       attempts = o.attempts + CASE WHEN o.sent_at IS DISTINCT FROM target.sent_at THEN 1 ELSE 0 END,
       acked_at = greatest(target.acked_at, o.acked_at),
       -- An ack that is older than a failure which has made the row due again says nothing any more.
       acked_epoch = CASE WHEN target.acked_at IS NULL OR o.next_attempt_at IS NOT NULL OR target.acked_at <= o.acked_at
                          THEN o.acked_epoch ELSE target.epoch END,
       unacked = o.unacked + target.unacked
  FROM target WHERE o.id = target.id AND o.status = 'pending'`

export type OutboxSettings = {
  readonly unseal: (sealed: Buffer) => SecretEnv
  /** Told once of a start whose secrets cannot be unsealed, as after a change of the key: it is not sent, and expires. */
  readonly onUnreadable?: (command: { readonly commandId: CommandId; readonly sessionId: SessionId }) => void
  /** For templates that set none: agents enforce it too. */
  readonly startTimeoutMs: number
}

const ofRow = (row: Row): Omit<DueCommand, 'sessionId' | 'desired'> => ({
  id: row.id,
  commandId: row.command_id as CommandId,
  agentId: row.agent_id as AgentId,
  generation: row.generation,
  type: row.type,
  attempts: row.attempts,
  expiresAt: row.expires_at,
})

/** So many are remembered as told of, so that each read does not tell of them again. */
const TOLD = 10_000

/** What ends something looks at nothing but the state: the rest is there because a command is complete. */
const removal = (row: Row): DueCommand => ({
  ...ofRow(row),
  sessionId: row.payload.sessionId as SessionId,
  desired: {
    state: row.payload.state,
    incarnation: row.payload.incarnation,
    spec: { resources: { cpuMillis: 0, memoryMib: 0 }, env: {} },
    persistentHome: false,
    orgId: row.payload.orgId as OrgId,
    userId: 'nobody' as UserId,
    name: 'orphan',
    template: { name: 'orphan', version: 1 },
  },
})

export const createOutbox = (database: Database, settings: OutboxSettings): Outbox => {
  const toldOf = new Set<number>()
  const tellUnreadable = (row: Row): void => {
    if (toldOf.has(row.id)) return
    if (toldOf.size === TOLD) toldOf.clear()
    toldOf.add(row.id)
    settings.onUnreadable?.({ commandId: row.command_id as CommandId, sessionId: row.session_id as SessionId })
  }
  /** One row that cannot be read must not keep those of all lanes in the statement. What ends a session needs no secrets. */
  const readable = (row: Row): readonly DueCommand[] => {
    if (row.payload.sessionId !== undefined) return [removal(row)]
    if (row.spec === null) return [] // its session is no more
    if (row.secrets === null) return [command(row, {})]
    try {
      return [command(row, settings.unseal(row.secrets))]
    } catch {
      if (row.type !== 'start_session' && row.type !== 'wake_session') return [command(row, {})]
      tellUnreadable(row)
      return []
    }
  }
  const command = (row: Row, secretEnv: SecretEnv): DueCommand => ({
    ...ofRow(row),
    sessionId: row.session_id as SessionId,
    desired: {
      state: row.payload.state,
      incarnation: row.payload.incarnation,
      spec: commandSpec({
        spec: row.spec,
        platform: row.platform,
        secretEnv,
        env: row.env,
        startTimeoutMs: settings.startTimeoutMs,
      }),
      persistentHome: row.persistent_home,
      orgId: row.org_id as OrgId,
      userId: row.user_id as UserId,
      name: row.name,
      template: { name: row.template_name, version: row.template_version },
    },
  })
  return {
    due: async (reads) => {
      let soFar = 0
      const parts = reads.map(({ inFlight }) => {
        const first = soFar + 1
        soFar += inFlight.length
        return { first, last: soFar }
      })
      const { rows } = await database.query({
        name: 'due_commands',
        text: DUE,
        values: [
          reads.map(({ peer }) => peer.agentId),
          reads.map(({ peer }) => peer.epoch),
          reads.flatMap(({ inFlight }) => inFlight),
          reads.map(({ limit }) => limit),
          reads.map(({ after }) => after),
          parts.map(({ first }) => first),
          parts.map(({ last }) => last),
        ],
      })
      const byAgent = Map.groupBy(rows, (row) => row.agent_id as AgentId)
      return reads.map(({ peer, limit }) => {
        const found = byAgent.get(peer.agentId) ?? []
        // By what was read, not by what of it is sent: a lane that took a few rows for the end would stop before the rest.
        return {
          commands: found.flatMap(readable),
          readUpTo: found.length < limit ? null : found.at(-1).id,
        }
      })
    },
    note: async (notes) => {
      await database.query({
        name: 'note_deliveries',
        text: NOTE,
        values: [
          notes.map((note) => note.commandId),
          notes.map((note) => note.agentId),
          notes.map((note) => note.epoch),
          notes.map((note) => note.sentAt),
          notes.map((note) => note.ackedAt),
          notes.map((note) => note.unacked),
        ],
      })
    },
  }
}
