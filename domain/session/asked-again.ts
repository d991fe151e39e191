/**
 * After a restore of the database an agent may know later generations of a session than its row, though nothing of
 * the session is left that would show them: what is asked of it then is `superseded` for good. The intent is raised
 * above everything that the agent can have seen.
 */
import type { Intent } from './decision.ts'
import type { Decision, Session } from './session.ts'
import { after, startTimeoutMs } from './timeouts.ts'
import type { CommandType, DesiredState, SessionStatus } from './words.ts'

/** More than one session can have lost with the history that a restore undid. If not, it is raised once more. */
export const LOST_GENERATIONS = 1_000

const waits: { readonly [D in DesiredState]: { readonly status: SessionStatus; readonly command: CommandType } } = {
  running: { status: 'scheduling', command: 'start_session' },
  hibernated: { status: 'hibernating', command: 'hibernate_session' },
  stopped: { status: 'stopping', command: 'stop_session' },
  deleted: { status: 'deleting', command: 'delete_session' },
}

/** The same intent under a generation above that one too. Of a session that has an agent. */
export const askedAgain = (session: Session, above: number, intent: Intent): Decision => {
  const { status, command } = waits[session.desiredState]
  const timeoutMs =
    session.desiredState === 'running' ? startTimeoutMs(session.spec, intent.timeouts) : intent.timeouts.stopMs
  const next: Session = {
    ...session,
    generation: Math.max(session.generation, above) + LOST_GENERATIONS,
    version: session.version + 1,
    revision: session.revision + 1,
    status,
    statusReason: 'restored',
    statusMessage: `agent ${session.agentId} knows later generations: the database was restored from an older state, and it is asked again`,
    waitingSince: intent.at,
    statusDeadline: after(intent.at, timeoutMs),
    updatedAt: intent.at,
  }
  const { actor, at } = intent
  const { generation, agentId, desiredState, incarnation } = next
  return {
    previous: session,
    session: next,
    events: [{ type: 'repair_requested', generation, actor, at, data: { status, reason: 'restored' } }],
    command:
      agentId === null
        ? null
        : {
            commandId: intent.commandId,
            agentId,
            type: command,
            generation,
            payload: { state: desiredState, incarnation },
          },
  }
}
