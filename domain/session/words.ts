/** The words of a session: one table each, for rows, frames, JSON and people. Nothing else is in here. */

export const desiredStates = ['running', 'hibernated', 'stopped', 'deleted'] as const
export type DesiredState = (typeof desiredStates)[number]

export const sessionStatuses = [
  'pending',
  'scheduling',
  'running',
  'hibernating',
  'hibernated',
  'stopping',
  'stopped',
  'failed',
  'deleting',
] as const
export type SessionStatus = (typeof sessionStatuses)[number]

export const sessionActions = ['start', 'wake', 'hibernate', 'stop', 'restart', 'delete'] as const
export type SessionAction = (typeof sessionActions)[number]

/** Those that may be asked of many at once: none of them needs room anywhere. */
export const batchActions = ['stop', 'delete', 'hibernate'] as const satisfies readonly SessionAction[]
export type BatchAction = (typeof batchActions)[number]

/** Why a session is as it is. One table for rows, API and people: `docs/reasons.md` explains each. */
export const statusReasons = [
  'no_agent_online',
  'no_capacity',
  'agent_cordoned',
  'home_agent_full',
  'placement_timeout',
  'queued_for_agent',
  'starting',
  'pulling_image',
  'start_timeout',
  'probe_failed',
  'agent_unreachable',
  'agent_degraded',
  'stop_overdue',
  'delete_overdue',
  'delivery_failed',
  'image_not_found',
  'image_pull_failed',
  'unschedulable',
  'out_of_memory',
  'exited_early',
  'evicted',
  'node_lost',
  'host_restarted',
  'removed_outside',
  'restarting',
  'restart_limit',
  'platform_error',
  'rejected',
  'restored',
  'quota_exceeded',
  'idle',
  'max_duration',
  'draining',
  'by_request',
] as const
export type StatusReason = (typeof statusReasons)[number]

export const commandTypes = [
  'start_session',
  'stop_session',
  'hibernate_session',
  'wake_session',
  'delete_session',
] as const
export type CommandType = (typeof commandTypes)[number]

export const sessionEventTypes = [
  'created',
  'updated',
  'start_requested',
  'wake_requested',
  'hibernate_requested',
  'stop_requested',
  'restart_requested',
  'delete_requested',
  'placed',
  'waiting',
  'starting',
  'running',
  'hibernated',
  'stopped',
  'failed',
  'deleted',
  'deadline_passed',
  'delivery_failed',
  'repair_requested',
  'restored',
  'command_redriven',
  'command_cancelled',
  'projection_edited',
] as const
export type SessionEventType = (typeof sessionEventTypes)[number]

/** Those that an agent may add to a history in a `note`. */
export const noteTypes = ['projection_edited'] as const satisfies readonly SessionEventType[]
export type NoteType = (typeof noteTypes)[number]

export const observedStatuses = ['starting', 'running', 'hibernated', 'stopped', 'failed'] as const
export type ObservedStatus = (typeof observedStatuses)[number]
