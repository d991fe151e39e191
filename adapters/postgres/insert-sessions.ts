/**
 * New sessions in ONE statement, each with its event, its command and the capacity that it takes: all of that or
 * nothing. Several at a time cost little more than one, as what a statement and a commit cost is paid once.
 *
 * Quotas are locked first, where there are any: of those that there is room for on agents, the first get what the quota has
 * left, and the others are told so (migration 011), and what is written is counted.
 *
 * The agents' rows are locked next, so that what is read of their room is what the statement then takes. Of
 * several sessions that want the same agent, those that come first get what there is. What was asked before under the same
 * Idempotency-Key is not made again: its key is there, or comes to be there while this waits. Nothing that is written is read again:
 * the sessions of several orgs may be written together, and none of them may be seen then.
 */
import type { Kept } from '../../domain/ports/idempotency.ts'
import type { Creation, QuotaWait, SecretEnv } from '../../domain/ports/unit-of-work.ts'
import { auditRecord, insertAudit } from './audit.ts'
import { answerInput, byteaOf } from './idempotency.ts'
import { countNew } from './quota-asked.ts'

export type InsertSettings = {
  /** How long a start or wake may wait for its agent, in milliseconds. Stops and deletes never expire. */
  readonly commandTtlMs: number
  readonly seal: (secrets: SecretEnv) => Buffer
  /** `only`: what is counted is refused by no quota. Left out: it is. */
  readonly quotas?: 'only'
}

/** `lockQuotas`: the function of the database that does it. */
const insertSessions = (lockQuotas: string): string => `
WITH input AS MATERIALIZED (
  SELECT * FROM jsonb_to_recordset($1::jsonb) AS i (
    place int, id uuid, org_id text, user_id text, name text, template_id uuid, template_name text,
    template_version int, placement jsonb, agent_id text, platform text, region text, desired_state text, status text,
    status_reason text, status_message text, refusals jsonb, waiting_since timestamptz, status_deadline timestamptz, labels jsonb,
    parameters jsonb, env jsonb, spec jsonb, secrets bytea, persistent_home boolean, cpu_millis int, memory_mib int,
    idle_timeout_s int, max_duration_s int, created_at timestamptz, event_type text, event_data jsonb, actor text,
    command_id uuid, command_type text, payload jsonb, expires_at timestamptz,
    caller text, key_hash bytea, fingerprint bytea, answer_status smallint, answer_location text, answer_body text, audit jsonb)
),
quota AS MATERIALIZED (
  SELECT unnest(${lockQuotas}(ARRAY(SELECT DISTINCT org_id FROM input))) AS org_id
),
room AS MATERIALIZED (
  SELECT id, max_sessions - allocated_sessions AS sessions, cpu_millis - allocated_cpu_millis AS cpu_millis,
         memory_mib - allocated_memory_mib AS memory_mib
    FROM agents WHERE id = ANY($2::text[]) AND NOT cordoned AND (SELECT count(*) FROM quota) >= 0
   ORDER BY id FOR NO KEY UPDATE
),
placed AS MATERIALIZED (
  SELECT taking.id, taking.agent_id, taking.cpu_millis, taking.memory_mib
    FROM (SELECT id, agent_id, cpu_millis, memory_mib, count(*) OVER so_far AS sessions_so_far,
                 sum(cpu_millis) OVER so_far AS cpu_so_far, sum(memory_mib) OVER so_far AS memory_so_far
            FROM input WINDOW so_far AS (PARTITION BY agent_id ORDER BY place)) taking
    JOIN room ON room.id = taking.agent_id
   WHERE sessions_so_far <= room.sessions AND cpu_so_far <= room.cpu_millis AND memory_so_far <= room.memory_mib
),
placeable AS MATERIALIZED (
  SELECT id FROM input WHERE agent_id IS NULL OR id IN (SELECT id FROM placed)
),
refused AS MATERIALIZED (
  SELECT id, refusal
    FROM quota_refusals((
           SELECT jsonb_agg(jsonb_build_object('place', place, 'id', id, 'org_id', org_id, 'user_id', user_id,
                    'template_name', template_name, 'sessions', 1, 'running', 1, 'cpu_millis', cpu_millis,
                    'memory_mib', memory_mib, 'caller', caller, 'key_hash', key_hash))
             FROM input WHERE org_id IN (SELECT org_id FROM quota) AND id IN (SELECT id FROM placeable)))
),
able AS MATERIALIZED (
  SELECT id FROM placeable WHERE id NOT IN (SELECT id FROM refused)
),
kept AS (
  INSERT INTO idempotency_keys (org_id, caller, key_hash, fingerprint, status, location, body)
  SELECT org_id, caller, key_hash, fingerprint, answer_status, answer_location, convert_to(answer_body, 'UTF8')
    FROM input WHERE key_hash IS NOT NULL AND id IN (SELECT id FROM able) ORDER BY org_id, caller, key_hash, place
  ON CONFLICT DO NOTHING RETURNING location
),
taken AS MATERIALIZED (
  SELECT id FROM input
   WHERE id IN (SELECT id FROM able) AND (key_hash IS NULL OR answer_location IN (SELECT location FROM kept))
),
reserved AS (
  UPDATE agents a
     SET allocated_sessions = a.allocated_sessions + held.sessions,
         allocated_cpu_millis = a.allocated_cpu_millis + held.cpu_millis,
         allocated_memory_mib = a.allocated_memory_mib + held.memory_mib
    FROM (SELECT agent_id, count(*)::int AS sessions, sum(cpu_millis) AS cpu_millis, sum(memory_mib) AS memory_mib
            FROM placed WHERE id IN (SELECT id FROM taken) GROUP BY agent_id) held
   WHERE a.id = held.agent_id
),
session AS (
  INSERT INTO sessions (
    id, org_id, user_id, name, template_id, template_name, template_version, placement, agent_id, platform,
    region, reserved_on, desired_state, generation, observed_generation, status, status_reason,
    status_message, refusals, waiting_since, status_deadline, incarnation, labels, parameters, env, spec, secrets,
    persistent_home, cpu_millis, memory_mib, idle_timeout_s, max_duration_s, created_at, updated_at,
    last_activity_at, version, revision)
  SELECT id, org_id, user_id, name, template_id, template_name, template_version, placement, agent_id, platform,
         region, agent_id, desired_state, 1, 0, status, status_reason,
         status_message, refusals, waiting_since, status_deadline, 0, labels, parameters, env, spec, secrets,
         persistent_home, cpu_millis, memory_mib, idle_timeout_s, max_duration_s, created_at, created_at,
         created_at, 1, 1
    FROM input WHERE id IN (SELECT id FROM taken)
),
counted AS (${countNew('(SELECT * FROM input WHERE id IN (SELECT id FROM taken))', 'SELECT org_id FROM quota')}
),
event AS (
  INSERT INTO session_events (org_id, session_id, type, generation, data, actor, at)
  SELECT org_id, id, event_type, 1, event_data, actor, created_at FROM input WHERE id IN (SELECT id FROM taken)
),
command AS (
  INSERT INTO outbox (command_id, org_id, agent_id, session_id, generation, type, payload, expires_at, created_at)
  SELECT command_id, org_id, agent_id, id, 1, command_type, payload, expires_at, created_at
    FROM input WHERE command_id IS NOT NULL AND id IN (SELECT id FROM taken) ORDER BY place
),
audited AS (${insertAudit('made.audit', '(SELECT audit FROM input WHERE id IN (SELECT id FROM taken)) made')}
)
SELECT id, id IN (SELECT id FROM taken) AS is_new, NULL::jsonb AS refusal FROM able
 UNION ALL
SELECT id, false, refusal FROM refused`

const STATEMENTS = {
  briefly: { name: 'insert_sessions', text: insertSessions('lock_quota_usage_of_new_briefly') },
  patiently: { name: 'insert_sessions_patiently', text: insertSessions('lock_quota_usage_of_new') },
} as const satisfies Record<QuotaWait, { name: string; text: string }>

/** Exported for the benchmark, whose raw floor is this very statement. */
export const insertion = (creations: readonly Creation[], settings: InsertSettings, wait: QuotaWait = 'briefly') => ({
  ...STATEMENTS[wait],
  values: [
    JSON.stringify(creations.map((creation, place) => inputOf(creation, place, settings))),
    [...new Set(creations.flatMap(({ decision: { session } }) => session.agentId ?? []))],
  ] as const,
})

/** Also of what is adopted. */
export const inputOf = ({ decision, secrets, kept }: Creation, place: number, settings: InsertSettings) => {
  const { session, command, events } = decision
  const [event] = events
  if (event === undefined || events.length > 1) throw new Error('a new session has exactly one event')
  return {
    place,
    id: session.id,
    org_id: session.orgId,
    user_id: session.userId,
    name: session.name,
    template_id: session.template.id,
    template_name: session.template.name,
    template_version: session.template.version,
    placement: session.placement,
    agent_id: session.agentId,
    platform: session.platform,
    region: session.region,
    desired_state: session.desiredState,
    status: session.status,
    status_reason: session.statusReason,
    status_message: session.statusMessage,
    ...(session.refusals.length === 0 ? {} : { refusals: session.refusals }),
    waiting_since: session.waitingSince,
    status_deadline: session.statusDeadline,
    labels: session.labels,
    parameters: session.parameters,
    env: session.env,
    spec: session.spec,
    secrets: sealed(secrets, settings),
    persistent_home: session.persistentHome,
    cpu_millis: session.resources.cpuMillis,
    memory_mib: session.resources.memoryMib,
    idle_timeout_s: session.idleTimeoutSeconds,
    max_duration_s: session.maxDurationSeconds,
    created_at: session.createdAt,
    event_type: event.type,
    event_data: event.data,
    actor: event.actor,
    command_id: command?.commandId ?? null,
    command_type: command?.type ?? null,
    payload: command?.payload ?? null,
    expires_at: command === null ? null : new Date(session.createdAt.getTime() + settings.commandTtlMs),
    ...(kept === undefined ? {} : keptInput(kept)),
  }
}

const keptInput = ({ answer, audit }: Kept) => ({
  ...(answer === null ? {} : answerInput(answer)),
  ...(audit === null ? {} : { audit: auditRecord(audit) }),
})

/** As `bytea` reads it. */
const sealed = (secrets: SecretEnv | undefined, { seal }: InsertSettings): string | null =>
  secrets === undefined || Object.keys(secrets).length === 0 ? null : byteaOf(seal(secrets).toString('hex'))
