/** The `sessions` row and the two shapes read from it: the domain's `Session` and the API's `SessionView`. */
import type { AgentId, OrgId, SessionId, TemplateId, UserId } from '../../domain/ids.ts'
import type { Refusal } from '../../domain/placement/refusal.ts'
import type { Session } from '../../domain/session/session.ts'
import type { SessionView } from '../../domain/session/session-view.ts'
import type { Row } from './pool.ts'

/** In the order in which they were written: jsonb has one of its own, and an ETag is made of the text. */
const refusalsFrom = (refusals: readonly Refusal[] | null): readonly Refusal[] =>
  (refusals ?? []).map(({ agentId, reason, detail }) => ({ agentId, reason, detail }))

/** Every column of a session but its secrets and its optimistic lock's neighbours. */
export const SESSION_COLUMNS = `
  s.id, s.org_id, s.user_id, s.name, s.template_id, s.template_name, s.template_version, s.placement, s.platform,
  s.region, s.agent_id, s.reserved_on, s.desired_state, s.generation, s.observed_generation, s.status,
  s.status_reason, s.status_message, s.refusals, s.waiting_since, s.status_deadline, s.incarnation, s.labels, s.parameters,
  s.env, s.spec, s.persistent_home, s.cpu_millis, s.memory_mib, s.endpoint, s.namespace, s.pod_name,
  s.service_name, s.container_id, s.node, s.image, s.image_digest, s.restarts, s.exit_code, s.exit_signal,
  s.last_output, s.idle_timeout_s, s.max_duration_s, s.last_activity_at, s.started_at, s.created_at,
  s.updated_at, s.deleted_at, s.version, s.revision`

export const sessionFromRow = (row: Row): Session => ({
  id: row.id as SessionId,
  orgId: row.org_id as OrgId,
  userId: row.user_id as UserId,
  name: row.name,
  template: { id: row.template_id as TemplateId, name: row.template_name, version: row.template_version },
  placement: row.placement,
  platform: row.platform,
  region: row.region,
  agentId: row.agent_id as AgentId | null,
  reservedOn: row.reserved_on as AgentId | null,
  desiredState: row.desired_state,
  generation: row.generation,
  observedGeneration: row.observed_generation,
  status: row.status,
  statusReason: row.status_reason,
  statusMessage: row.status_message,
  refusals: refusalsFrom(row.refusals),
  waitingSince: row.waiting_since,
  statusDeadline: row.status_deadline,
  incarnation: row.incarnation,
  labels: row.labels,
  parameters: row.parameters,
  env: row.env,
  spec: row.spec,
  resources: { cpuMillis: row.cpu_millis, memoryMib: row.memory_mib },
  persistentHome: row.persistent_home,
  observed: {
    endpoint: row.endpoint,
    namespace: row.namespace,
    podName: row.pod_name,
    serviceName: row.service_name,
    containerId: row.container_id,
    node: row.node,
    image: row.image,
    imageDigest: row.image_digest,
    restarts: row.restarts,
    exitCode: row.exit_code,
    exitSignal: row.exit_signal,
    lastOutput: row.last_output,
  },
  idleTimeoutSeconds: row.idle_timeout_s,
  maxDurationSeconds: row.max_duration_s,
  lastActivityAt: row.last_activity_at,
  startedAt: row.started_at,
  createdAt: row.created_at,
  updatedAt: row.updated_at,
  deletedAt: row.deleted_at,
  version: row.version,
  revision: row.revision,
})

/** What the API shows, without the columns that it does not (spec, placement): lists stay slim. */
export const VIEW_COLUMNS = `
  s.id, s.name, s.org_id, s.user_id, s.template_name, s.template_version, s.platform, s.region, s.labels,
  s.parameters, s.env, s.persistent_home, s.agent_id, s.desired_state, s.status, s.status_reason,
  s.status_message, s.refusals, s.waiting_since, s.status_deadline, s.generation, s.observed_generation, s.endpoint,
  s.namespace, s.pod_name, s.service_name, s.incarnation, s.cpu_millis, s.memory_mib, s.idle_timeout_s,
  s.max_duration_s, s.last_activity_at, s.created_at, s.updated_at, s.started_at, s.deleted_at, s.restarts,
  s.exit_code, s.exit_signal, s.last_output, s.node, s.image, s.image_digest, s.container_id, s.version`

export const viewFromRow = (row: Row): SessionView => ({
  id: row.id,
  name: row.name,
  orgId: row.org_id,
  userId: row.user_id,
  template: { name: row.template_name, version: row.template_version },
  platform: row.platform,
  region: row.region,
  labels: row.labels,
  parameters: row.parameters,
  env: row.env,
  persistentHome: row.persistent_home,
  agentId: row.agent_id,
  agentReachable: row.agent_reachable,
  desiredState: row.desired_state,
  status: row.status,
  statusReason: row.status_reason,
  statusMessage: row.status_message,
  refusals: row.status === 'pending' ? refusalsFrom(row.refusals) : [],
  waitingSince: row.waiting_since,
  deadline: row.status_deadline,
  generation: row.generation,
  observedGeneration: row.observed_generation,
  endpoint: row.endpoint,
  namespace: row.namespace,
  podName: row.pod_name,
  serviceName: row.service_name,
  incarnation: row.incarnation,
  resources: { cpuMillis: row.cpu_millis, memoryMib: row.memory_mib },
  idleTimeoutSeconds: row.idle_timeout_s,
  maxDurationSeconds: row.max_duration_s,
  lastActivityAt: row.last_activity_at,
  createdAt: row.created_at,
  updatedAt: row.updated_at,
  startedAt: row.started_at,
  deletedAt: row.deleted_at,
  restarts: row.restarts,
  exitCode: row.exit_code,
  exitSignal: row.exit_signal,
  lastOutput: row.last_output,
  node: row.node,
  image: row.image,
  imageDigest: row.image_digest,
  containerId: row.container_id,
  version: row.version,
})

/** Whether the session's agent can be reached: connected, and heard of within so many milliseconds. */
export const IS_REACHABLE = (silentMs: string): string => `
  COALESCE(l.replica_id IS NOT NULL AND v.last_heartbeat_at > now() - ${silentMs}::float8 * interval '1 millisecond', false)`
export const REACHABLE = (silentMs: string): string => `${IS_REACHABLE(silentMs)} AS agent_reachable`
export const LIVENESS = `
  LEFT JOIN agent_leases l ON l.agent_id = s.agent_id
  LEFT JOIN agent_liveness v ON v.agent_id = s.agent_id`
