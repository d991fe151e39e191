/**
 * A session leaves its agent for another: it is put to rest there, which leaves nothing of one without a kept home, and started
 * elsewhere when its agent has said that it rests. Never in two places: what starts it is another intent, with a generation of its own.
 * So whatever its user asks of it meanwhile, with a generation of its own too, ends the move.
 */
import type { TransitionRefused } from '../errors.ts'
import type { E } from '../fp.ts'
import { start } from './decide.ts'
import { decided, type Intent, leavingWords, raised, type Slot, waiting } from './decision.ts'
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
  const next: Session = { ...resting, statusMessage: leavingWords(session) }
  return decided(session, next, 'hibernate_requested', intent, 'hibernate_session', {
    reason: 'draining',
    agentId: session.agentId,
  })
}

/**
 * How far a session is that was put to rest at this generation. `over`: something else was asked of it since, or it could not
 * be put to rest, and has its reason.
 */
export const moveStage = (session: Session, generation: number): 'over' | 'leaving' | 'rests' => {
  if (session.generation !== generation || session.status === 'failed') return 'over'
  // An operator has that sent again, whose wish the rest is then: so a server of the release before leaves it, and the move with it.
  // By another reason nothing is told of that: that server gave the agent's to what rests, and the deadline's to what is late.
  if (session.status === 'hibernating' && session.statusReason === 'queued_for_agent') return 'over'
  return session.status === 'hibernated' ? 'rests' : 'leaving'
}

/** Of one that rests by now. */
export const arrive = (session: Session, slot: Slot, intent: Intent): E.Either<TransitionRefused, Decision> =>
  start(session, 'wake', slot, intent)
