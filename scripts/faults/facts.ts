/** Reads what a run is judged by: rows from the database, lines from the ledgers. */
import {
  type AgentRow,
  createLedgers,
  type Facts,
  type Ledgers,
  type OutboxRow,
  type Restore,
  type SessionRow,
} from './check.ts'
import type { RunDatabase } from './database.ts'
import { ledgerLines } from './ledger.ts'
import type { Promised } from './promises.ts'

const SESSIONS = `
SELECT id, agent_id AS "agentId", reserved_on AS "reservedOn", desired_state AS desired, generation::float8 AS generation,
       observed_generation::float8 AS "observedGeneration", status, status_reason AS reason, deleted_at IS NOT NULL AS deleted,
       labels->>'n' AS label
  FROM sessions`

const OUTBOX = `
SELECT session_id AS session, generation::float8 AS generation, agent_id AS "agentId", status,
       extract(epoch FROM sent_at)::float8 * 1000 AS "sentAtMs"
  FROM outbox`

/** Sessions, processor and memory: one figure that is wrong when any of the three is. */
const AGENTS = `
SELECT a.id, (a.allocated_sessions + a.allocated_cpu_millis + a.allocated_memory_mib)::float8 AS "allocatedSessions",
       (SELECT count(*) + coalesce(sum(s.cpu_millis), 0) + coalesce(sum(s.memory_mib), 0)
          FROM sessions s WHERE s.reserved_on = a.id)::float8 AS "reservedSessions"
  FROM agents a`

export type FactSources = {
  readonly database: RunDatabase
  readonly agents: readonly { readonly id: string; readonly ledger: string }[]
  readonly promises: () => Iterable<Promised>
  readonly restores: readonly Restore[]
}

export const readLedgers = async (agents: FactSources['agents']): Promise<Ledgers> => {
  const ledgers = createLedgers()
  for (const { id, ledger } of agents) for await (const line of ledgerLines(ledger)) ledgers.add(id, line)
  return ledgers.done()
}

export const readFacts = async ({ database, agents, promises, restores }: FactSources): Promise<Facts> => {
  const rows = await database.query(SESSIONS)
  return {
    sessions: rows as SessionRow[],
    outbox: (await database.query(OUTBOX)) as OutboxRow[],
    agents: (await database.query(AGENTS)) as AgentRow[],
    ledgers: await readLedgers(agents),
    promises: [...promises()],
    restores,
  }
}
