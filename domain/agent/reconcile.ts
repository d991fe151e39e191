/**
 * What an agent's inventory means: a pure function from the rows and what the agent says it has to a list
 * of actions (the table in `docs/delivery.md`). It covers every loss: of frames, of results, of processes.
 * Nothing is destroyed here: what nobody knows is only named.
 */
import type { AgentId, SessionId } from '../ids.ts'
import type { InventoryEntry } from '../ports/delivery.ts'
import type { Session } from '../session/session.ts'

/** A generation this far above the row's is a lie or a bug, not a database that was restored. */
export const RESTORED_AT_MOST = 1_000_000

/** Actions that write the session's row. */
export type RowAction =
  /** What the agent says of the row's own generation is taken over; what it has done needs no command any more. */
  | { readonly type: 'observe'; readonly session: Session; readonly entry: InventoryEntry; readonly settles: boolean }
  /** It ran at this generation and is gone: removed by someone. */
  | { readonly type: 'removed_outside'; readonly session: Session }
  /** Nothing is left of it on the agent: capacity it may still hold is free. */
  | { readonly type: 'release'; readonly session: Session }
  /** The agent is ahead: the database was restored from an older state, and work in use is not ended by it. */
  | { readonly type: 'restore'; readonly session: Session; readonly entry: InventoryEntry }

export type ReconcileAction =
  | RowAction
  /** The newest command is due again. */
  | { readonly type: 'redeliver'; readonly session: Session }
  /** The database has never heard of it, or it belongs to another agent by now. */
  | { readonly type: 'orphan'; readonly entry: InventoryEntry; readonly reason: 'unknown' | 'not_yours' }

export const reconcile = (
  agentId: AgentId,
  sessions: readonly Session[],
  inventory: readonly InventoryEntry[],
): readonly ReconcileAction[] => {
  const rows = new Map<SessionId, Session>(sessions.map((session) => [session.id, session]))
  const entries = new Map<SessionId, InventoryEntry>(inventory.map((entry) => [entry.sessionId, entry]))
  const actions: ReconcileAction[] = []
  for (const entry of entries.values()) actions.push(...present(agentId, rows.get(entry.sessionId), entry))
  for (const session of rows.values())
    if (!entries.has(session.id) && isOf(session, agentId)) actions.push(...missing(session, agentId))
  return actions
}

const isOf = (session: Session, agentId: AgentId): boolean =>
  session.agentId === agentId || session.reservedOn === agentId

const present = (agentId: AgentId, session: Session | undefined, entry: InventoryEntry): readonly ReconcileAction[] => {
  if (session === undefined) return [{ type: 'orphan', entry, reason: 'unknown' }]
  if (!isOf(session, agentId)) return [{ type: 'orphan', entry, reason: 'not_yours' }]
  if (session.deletedAt !== null) return [{ type: 'redeliver', session }]
  if (entry.generation > session.generation)
    return entry.generation - session.generation <= RESTORED_AT_MOST
      ? [{ type: 'restore', session, entry }]
      : [{ type: 'orphan', entry, reason: 'unknown' }]
  if (entry.generation < session.generation) return session.status === 'pending' ? [] : [{ type: 'redeliver', session }]
  if (session.desiredState === 'deleted') return [{ type: 'redeliver', session }]
  if (!agrees(session, entry)) return [{ type: 'redeliver', session }]
  return [{ type: 'observe', session, entry, settles: entry.status !== 'starting' }]
}

/** Whether it is as it was asked to be, whatever its generation. */
export const fulfils = (session: Session, { status }: InventoryEntry): boolean =>
  session.desiredState === 'running' ? status === 'running' || status === 'starting' : status === session.desiredState

/** Whether what the agent has can be what was asked: something that runs is not a session at rest. */
const agrees = (session: Session, entry: InventoryEntry): boolean =>
  session.desiredState === 'running' || (entry.status !== 'running' && entry.status !== 'starting')

const missing = (session: Session, agentId: AgentId): readonly ReconcileAction[] => {
  if (session.deletedAt !== null) return session.reservedOn === agentId ? [{ type: 'release', session }] : []
  // Its deletion is no longer on its way, and there is nothing left to delete.
  if (session.status === 'deleting' && session.statusReason === 'delivery_failed') return [{ type: 'release', session }]
  if (session.observedGeneration < session.generation) return neverSeen(session, agentId)
  switch (session.status) {
    case 'running':
    case 'scheduling':
      return [{ type: 'removed_outside', session }]
    case 'deleting':
      return [{ type: 'redeliver', session }]
    case 'failed':
    case 'stopped':
    case 'hibernated':
    case 'stopping':
    case 'hibernating':
      return releasable(session, agentId)
    case 'pending':
      return []
  }
}

/** This generation of it was never there. */
const neverSeen = (session: Session, agentId: AgentId): readonly ReconcileAction[] => {
  // The place it has is not one it was sent to yet.
  if (session.status === 'pending') return []
  if (session.status !== 'failed') return [{ type: 'redeliver', session }]
  // A deadline only stopped waiting: the start itself stands, and is carried out now that the agent is back.
  const stillAsked = session.statusReason === 'start_timeout' || session.statusReason === 'agent_unreachable'
  return stillAsked ? [{ type: 'redeliver', session }] : releasable(session, agentId)
}

const releasable = (session: Session, agentId: AgentId): readonly ReconcileAction[] =>
  session.reservedOn === agentId ? [{ type: 'release', session }] : []
