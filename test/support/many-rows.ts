/** Tables of the size at which a wrong plan shows, made by one statement each. */
import type { Stores } from './rows.ts'

/** Ids that rise, as the product's own do: rows made of random ones take several times as long. */
const risingId = (): string => {
  rowsSoFar += 1_000_000
  return `lpad(to_hex(${rowsSoFar} + n), 32, '0')::uuid`
}
let rowsSoFar = 0

/** `count` live sessions. Every expression is SQL over `n`, which counts from 1. */
export const manySessions = async (
  { ask }: Pick<Stores, 'ask'>,
  count: number,
  expressions: { readonly [column: string]: string } = {},
): Promise<void> => {
  const columns: { readonly [column: string]: string } = {
    id: risingId(),
    org_id: `'acme'`,
    user_id: `'user-' || n % 500`,
    name: `'session ' || n`,
    template_id: `'00000000-0000-7000-8000-000000000000'`,
    template_name: `'template-' || n % 50`,
    template_version: '1',
    placement: `'{"platforms": ["process"], "platform": null, "region": null, "agentId": null}'`,
    platform: `'process'`,
    agent_id: `'agent-' || n % 100`,
    desired_state: `'running'`,
    generation: '1',
    observed_generation: '1',
    status: `CASE WHEN n % 100 = 0 THEN 'failed' ELSE 'running' END`,
    incarnation: '0',
    labels: `jsonb_build_object('team', 'team-' || n % 200)`,
    parameters: `'{}'`,
    env: `'{}'`,
    spec: `'{"resources": {"cpuMillis": 500, "memoryMib": 512}, "env": {}}'`,
    persistent_home: 'true',
    cpu_millis: '500',
    memory_mib: '512',
    created_at: `now() - n * interval '1 second'`,
    updated_at: 'now()',
    version: '1',
    revision: '1',
    ...expressions,
  }
  for (let from = 1; from <= count; from += AT_ONCE)
    await ask(
      `INSERT INTO sessions (${Object.keys(columns).join(', ')})
       SELECT ${Object.values(columns).join(', ')} FROM generate_series(${from}, ${Math.min(count, from + AT_ONCE - 1)}) n`,
    )
}

/** No statement of the product's connections may take half a minute. */
const AT_ONCE = 25_000

/** `count` pending commands of sessions that nobody has. */
export const manyCommands = async (
  { ask }: Pick<Stores, 'ask'>,
  count: number,
  expressions: { readonly [column: string]: string } = {},
): Promise<void> => {
  const columns: { readonly [column: string]: string } = {
    command_id: risingId(),
    org_id: `'acme'`,
    agent_id: `'agent-' || n % 300`,
    session_id: risingId(),
    generation: '1',
    type: `'start_session'`,
    payload: `'{"state": "running", "incarnation": 0}'`,
    created_at: 'now()',
    expires_at: `now() + interval '1 hour'`,
    ...expressions,
  }
  await ask(
    `INSERT INTO outbox (${Object.keys(columns).join(', ')})
     SELECT ${Object.values(columns).join(', ')} FROM generate_series(1, ${count}) n`,
  )
}
