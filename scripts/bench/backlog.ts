/** Commands that wait for agents: thousands of creates that were committed while nobody was there to take them. */
import { manySessions } from '../../test/support/many-rows.ts'
import type { BenchDatabase } from './database.ts'

/** `agent`: SQL over `n`, which counts from 1. Sessions and commands are what the product's own statement would have written. */
export const waitingCreates = async (
  { query }: Pick<BenchDatabase, 'query'>,
  count: number,
  agent: string,
): Promise<void> => {
  const ask = (text: string, ...values: unknown[]) => query(text, values)
  const made = 'the backlog of a benchmark'
  await manySessions({ ask }, count, {
    org_id: `'default'`,
    name: `'${made}'`,
    agent_id: agent,
    reserved_on: agent,
    observed_generation: '0',
    status: `'scheduling'`,
    status_reason: `'queued_for_agent'`,
    waiting_since: 'now()',
    status_deadline: `now() + interval '1 hour'`,
    labels: `'{}'`,
    env: `'{"SITE_TITLE": "Home", "SITE_THEME": "light"}'`,
    created_at: 'now()',
  })
  await query(
    `INSERT INTO outbox (command_id, org_id, agent_id, session_id, generation, type, payload, created_at, expires_at)
     SELECT overlay(id::text PLACING 'c' FROM 1 FOR 1)::uuid, -- rises as the id does
            org_id, agent_id, id, generation, 'start_session', '{"state": "running", "incarnation": 0}', now(),
            now() + interval '1 day'
       FROM sessions WHERE name = $1 AND NOT EXISTS (SELECT 1 FROM outbox WHERE session_id = sessions.id)
      ORDER BY id`,
    [made],
  )
  await query(
    `UPDATE agents a SET allocated_sessions = held.n, allocated_cpu_millis = held.cpu, allocated_memory_mib = held.memory
       FROM (SELECT reserved_on, count(*) AS n, sum(cpu_millis) AS cpu, sum(memory_mib) AS memory
               FROM sessions WHERE reserved_on IS NOT NULL GROUP BY 1) held
      WHERE a.id = held.reserved_on`,
  )
  await query('VACUUM ANALYZE sessions, outbox')
}
