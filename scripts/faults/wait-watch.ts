/** Looks at every waiting session about once a second for as long as a run lasts, over a connection of its own. */
import { setTimeout as wait } from 'node:timers/promises'
import type { Finding } from './check.ts'
import type { Scene } from './scene.ts'
import type { Victims } from './stage.ts'
import { type Calm, type WaitingRow, waitsTooLong } from './waits.ts'

const EVERY_MS = 1_000

/** A session that holds room somewhere, or keeps a home there, can go nowhere else; nor can one that was asked for there. */
const WAITING = `
SELECT id, status, status_reason AS reason, generation::float8 AS generation,
       extract(epoch FROM clock_timestamp() - waiting_since)::float8 * 1000 AS "waitingForMs",
       extract(epoch FROM clock_timestamp() - status_deadline)::float8 * 1000 AS "overdueMs",
       coalesce(reserved_on, CASE WHEN persistent_home THEN agent_id END, placement->>'agentId') AS "onlyOn"
  FROM sessions
 WHERE status IN ('pending', 'scheduling', 'hibernating', 'stopping', 'deleting') AND deleted_at IS NULL`

const AGENTS = `
SELECT id, replica_id IS NOT NULL AS held, extract(epoch FROM clock_timestamp() - last_heartbeat_at)::float8 AS "beatSecondsAgo"
  FROM agents JOIN agent_leases ON agent_id = id LEFT JOIN agent_liveness USING (agent_id) ORDER BY id`
const DUTIES = `
SELECT name, state, count(*)::int, extract(epoch FROM clock_timestamp() - max(created_on))::float8 AS "createdSecondsAgo",
       extract(epoch FROM clock_timestamp() - max(started_on))::float8 AS "startedSecondsAgo"
  FROM pgboss.job WHERE name IN ('duty.placement', 'duty.deadlines') GROUP BY name, state`

export type WaitWatch = {
  /** How often the rows could be looked at, and what was found, each session and word once. */
  readonly looks: () => number
  readonly findings: () => readonly Finding[]
  readonly stop: () => Promise<void>
}

export const watchWaits = (scene: Scene, victims: Victims): WaitWatch => {
  const found = new Map<string, Finding>()
  const over = new AbortController()
  let looks = 0

  const look = async (): Promise<void> => {
    // Before the reading: what happens to anybody while it lasts is no calm.
    const calm = calmOf(scene, victims)
    const rows = await scene.database.tryQuery(WAITING)
    if (rows === null) return
    looks += 1
    const waiting = rows as WaitingRow[]
    const keyOf = ({ session, what }: Finding): string => `${session} ${what}`
    const fresh = waitsTooLong(waiting, calm).filter((finding) => !found.has(keyOf(finding)))
    if (fresh.length === 0) return
    const around = await surroundings(calm)
    for (const finding of fresh) {
      const facts = { row: waiting.find(({ id }) => id === finding.session), ...around }
      found.set(keyOf(finding), { ...finding, seen: { atMs: Date.now(), facts } })
    }
  }

  /** Whoever reads it needs to know why nobody acted: who was there for the server, and what became of its duties. */
  const surroundings = async (calm: Calm): Promise<object> => ({
    calm: { service: calm.service, agents: Object.fromEntries(calm.agents) },
    agents: await scene.database.tryQuery(AGENTS),
    duties: await scene.database.tryQuery(DUTIES),
  })

  const watching = (async () => {
    while (!over.signal.aborted) {
      await look()
      await wait(EVERY_MS, undefined, { signal: over.signal }).catch(() => {})
    }
  })()

  return {
    looks: () => looks,
    findings: () => [...found.values()],
    stop: async () => {
      over.abort()
      await watching
    },
  }
}

const calmOf = ({ replicas, agents }: Scene, victims: Victims): Calm => {
  const replicaCalm = (replica: Scene['replicas'][number] | null): number =>
    replica?.isUp() ? victims.leftAloneFor(replica.name) : 0
  return {
    service: Math.min(victims.leftAloneFor('postgres'), Math.max(0, ...replicas.map(replicaCalm))),
    agents: new Map(
      agents.map((agent) => {
        const connection = Math.min(agent.connectedFor(), replicaCalm(agent.speaksWith()))
        return [agent.id, Math.min(victims.leftAloneFor(agent.id), connection)]
      }),
    ),
  }
}
