/**
 * A session leaves its agent for another: it is put to rest there, which leaves nothing of one without a kept home, and started
 * elsewhere when its agent has said that it rests. Never in two places: what starts it is another intent, with a generation of its own.
 */
import type { TransitionRefused } from '../errors.ts'
import type { E } from '../fp.ts'
import { start } from './decide.ts'
import { decided, type Intent, raised, type Slot, waiting } from './decision.ts'
import type { Decision, Session } from './session.ts'

/** Of one that runs. */
export const leave = (session: Session, intent: Intent): Decision => {
  const resting = waiting(
    raised(session, intent, 'hibernated'),
    'hibernating',
    'draining',
    intent,
    intent.timeouts.stopMs,
  )
  const next: Session = {
    ...resting,
    statusMessage: `agent ${session.agentId ?? ''} is drained: it is started elsewhere as soon as it rests`,
  }
  return decided(session, next, 'hibernate_requested', intent, 'hibernate_session', {
    reason: 'draining',
    agentId: session.agentId,
  })
}

/** Of one that rests by now. */
export const arrive = (session: Session, slot: Slot, intent: Intent): E.Either<TransitionRefused, Decision> =>
  start(session, 'wake', slot, intent)
