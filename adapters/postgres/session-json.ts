/**
 * Sessions of a list as JSON that PostgreSQL writes: a page of 500 is 20,000 values, which to read into JavaScript and to write out
 * again takes a server three times as long as all else that it does for it. What is written is what `viewFromRow` shows.
 */
import type { SessionField } from '../../domain/session/session-view.ts'
import { IS_REACHABLE } from './session-row.ts'

/** As `Date.toJSON` writes it: milliseconds, cut and not rounded. */
const time = (column: string): string => `to_char(${column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`

/** In the order of the representation. */
const written = (agentSilentAfterMs: string): { readonly [F in SessionField]: string } => ({
  id: 's.id',
  name: 's.name',
  orgId: 's.org_id',
  userId: 's.user_id',
  template: `json_build_object('name', s.template_name, 'version', s.template_version)`,
  platform: 's.platform',
  region: 's.region',
  labels: 's.labels',
  parameters: 's.parameters',
  env: 's.env',
  persistentHome: 's.persistent_home',
  agentId: 's.agent_id',
  agentReachable: IS_REACHABLE(agentSilentAfterMs),
  desiredState: 's.desired_state',
  status: 's.status',
  statusReason: 's.status_reason',
  statusMessage: 's.status_message',
  refusals: `CASE s.status WHEN 'pending' THEN coalesce(s.refusals, '[]') ELSE '[]' END`,
  waitingSince: time('s.waiting_since'),
  deadline: time('s.status_deadline'),
  generation: 's.generation',
  observedGeneration: 's.observed_generation',
  endpoint: 's.endpoint',
  namespace: 's.namespace',
  podName: 's.pod_name',
  serviceName: 's.service_name',
  incarnation: 's.incarnation',
  resources: `json_build_object('cpuMillis', s.cpu_millis, 'memoryMib', s.memory_mib)`,
  idleTimeoutSeconds: 's.idle_timeout_s',
  maxDurationSeconds: 's.max_duration_s',
  lastActivityAt: time('s.last_activity_at'),
  createdAt: time('s.created_at'),
  updatedAt: time('s.updated_at'),
  startedAt: time('s.started_at'),
  deletedAt: time('s.deleted_at'),
  restarts: 's.restarts',
  exitCode: 's.exit_code',
  exitSignal: 's.exit_signal',
  lastOutput: 's.last_output',
  node: 's.node',
  image: 's.image',
  imageDigest: 's.image_digest',
  containerId: 's.container_id',
  version: 's.version',
})

/** The columns of a row of which `row_to_json` makes a session; `fields` null: all of them. */
export const jsonColumns = (fields: readonly SessionField[] | null, agentSilentAfterMs: string): string =>
  Object.entries(written(agentSilentAfterMs))
    .filter(([field]) => fields === null || fields.includes(field as SessionField))
    .map(([field, expression]) => `${expression} AS "${field}"`)
    .join(', ')

/** Without it nothing of the agent is looked up. */
export const showsReachable = (fields: readonly SessionField[] | null): boolean =>
  fields === null || fields.includes('agentReachable')
