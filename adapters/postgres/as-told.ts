/**
 * What an inventory says that the rows say too. A server with many agents is told all of their sessions again every
 * other minute: rows that nothing follows from are compared where they are, and only their ids leave the database.
 */
import type { SessionId } from '../../domain/ids.ts'
import type { InventoryEntry } from '../../domain/ports/delivery.ts'
import type { ReportStore } from '../../domain/ports/reports.ts'
import { reportOf } from '../../domain/session/report.ts'
import type { Database } from './pool.ts'

const AS_TOLD = `
SELECT s.id
  FROM unnest($2::uuid[], $3::bigint[], $4::text[], $5::jsonb[], $6::int[]) AS t (id, generation, status, endpoint, restarts)
  JOIN sessions s USING (id)
 WHERE s.agent_id = $1 AND s.deleted_at IS NULL
   AND s.generation = t.generation AND s.observed_generation = t.generation
   AND s.status = t.status AND s.desired_state = t.status
   AND s.reserved_on IS NOT DISTINCT FROM CASE t.status WHEN 'running' THEN $1 END
   AND (t.endpoint IS NULL OR s.endpoint = t.endpoint)
   AND (t.restarts IS NULL OR s.restarts = t.restarts)
   AND NOT EXISTS (SELECT FROM outbox o
                    WHERE o.session_id = s.id AND o.generation <= t.generation AND o.status = 'pending')`

export const asToldIn =
  (database: Database): ReportStore['asTold'] =>
  async (agentId, inventory) => {
    const plain = inventory.filter(isPlain)
    if (plain.length === 0) return new Set()
    const { rows } = await database.query({
      name: 'as_told',
      text: AS_TOLD,
      values: [
        agentId,
        plain.map(({ sessionId }) => sessionId),
        plain.map(({ generation }) => generation),
        plain.map(({ status }) => status),
        plain.map((entry) => {
          const { endpoint } = reportOf(entry.generation, entry).observed
          return endpoint === undefined ? null : JSON.stringify(endpoint)
        }),
        plain.map(({ restarts }) => restarts ?? null),
      ],
    })
    return new Set(rows.map((row) => row.id as SessionId))
  }

/** Says how it is and where it is reached, and nothing of how it came to be so. */
const isPlain = (entry: InventoryEntry): boolean => {
  const { sessionId: _, generation: __, restarts: ___, status, endpoint, reason, message, ...more } = entry
  return (
    (status === 'running' || status === 'stopped' || status === 'hibernated') &&
    endpoint !== null &&
    (reason ?? null) === null &&
    (message ?? null) === null &&
    Object.values(more).every((value) => value === undefined)
  )
}
