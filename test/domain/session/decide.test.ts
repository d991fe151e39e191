import { expect } from 'chai'
import fc from 'fast-check'
import { E } from '../../../domain/fp.ts'
import { allowedActions, hibernate, remove, restart, start, stop } from '../../../domain/session/decide.ts'
import type { Intent } from '../../../domain/session/decision.ts'
import { type Decision, isUnchanged, type Session } from '../../../domain/session/session.ts'
import {
  type CommandType,
  type DesiredState,
  desiredStates,
  type SessionAction,
  type SessionEventType,
  type SessionStatus,
  sessionActions,
  sessionStatuses,
} from '../../../domain/session/words.ts'
import { AGENT, anIntent, aSession, later, noRoom, OTHER_AGENT, placedOn } from '../../support/a-session.ts'

const slot = placedOn()

const ask = (session: Session, action: SessionAction, intent: Intent = anIntent(), place = slot) => {
  switch (action) {
    case 'start':
    case 'wake':
      return start(session, action, place, intent)
    case 'hibernate':
      return hibernate(session, intent)
    case 'stop':
      return stop(session, intent)
    case 'restart':
      return restart(session, place, intent)
    case 'delete':
      return remove(session, intent)
  }
}

const decisionOf = (decided: ReturnType<typeof ask>): Decision => {
  if (E.isLeft(decided)) expect.fail(`refused: ${JSON.stringify(decided.left)}`)
  return decided.right
}

type Change = {
  readonly status: SessionStatus
  readonly desired: DesiredState
  readonly events: readonly SessionEventType[]
  readonly command: CommandType | null
  readonly waitsSeconds: number | null
  readonly ends?: true
}
const change = (
  status: SessionStatus,
  desired: DesiredState,
  event: SessionEventType,
  command: CommandType | null,
  waitsSeconds: number | null,
): Change => ({ status, desired, events: [event], command, waitsSeconds })

const starts = change('scheduling', 'running', 'start_requested', 'start_session', 300)
const wakes = change('scheduling', 'running', 'wake_requested', 'wake_session', 300)
const hibernates = change('hibernating', 'hibernated', 'hibernate_requested', 'hibernate_session', 60)
const stops = change('stopping', 'stopped', 'stop_requested', 'stop_session', 60)
const stopsAtOnce = change('stopped', 'stopped', 'stop_requested', null, null)
const restarts = change('scheduling', 'running', 'restart_requested', 'start_session', 300)
const deletes = change('deleting', 'deleted', 'delete_requested', 'delete_session', 60)
const endsAtOnce: Change = {
  ...change('deleting', 'deleted', 'delete_requested', null, null),
  events: ['delete_requested', 'deleted'],
  ends: true,
}
const same = 'changes nothing'
const refused = 'is refused'

type Row = {
  readonly of: string
  readonly session: Session
  readonly means: { readonly [A in SessionAction]: Change | typeof same | typeof refused }
}

const placed = (status: SessionStatus, desiredState: DesiredState, changes: Partial<Session> = {}) =>
  aSession({ status, desiredState, ...changes })
const unplaced = (status: SessionStatus, desiredState: DesiredState) =>
  aSession({ status, desiredState, agentId: null, observedGeneration: 0 })

const waitingToRun = { start: same, wake: same, hibernate: refused, restart: refused } as const
const underway = { ...waitingToRun, stop: stops, delete: deletes } as const
const failed = {
  start: starts,
  wake: starts,
  hibernate: refused,
  stop: stops,
  restart: restarts,
  delete: deletes,
} as const
const endedByItself = { ...failed, restart: refused } as const
const asleep = { start: wakes, wake: wakes, hibernate: same, stop: stops, restart: refused, delete: deletes } as const
const atRest = {
  start: starts,
  wake: starts,
  hibernate: refused,
  stop: same,
  restart: refused,
  delete: deletes,
} as const
const nothingBut = { start: refused, wake: refused, hibernate: refused, stop: refused, restart: refused } as const

/** The table "Status against desired state", with every row that there can be. */
const table: readonly Row[] = [
  {
    of: 'pending, never placed',
    session: unplaced('pending', 'running'),
    means: { ...waitingToRun, stop: stopsAtOnce, delete: endsAtOnce },
  },
  { of: 'pending, with its home on an agent', session: placed('pending', 'running'), means: underway },
  { of: 'scheduling', session: placed('scheduling', 'running'), means: underway },
  {
    of: 'running',
    session: placed('running', 'running'),
    means: { ...underway, hibernate: hibernates, restart: restarts },
  },
  { of: 'failed', session: placed('failed', 'running'), means: failed },
  {
    of: 'failed, never placed',
    session: unplaced('failed', 'running'),
    means: { ...failed, stop: stopsAtOnce, delete: endsAtOnce },
  },
  { of: 'stopped by itself', session: placed('stopped', 'running'), means: endedByItself },
  { of: 'hibernated by itself', session: placed('hibernated', 'running'), means: endedByItself },
  { of: 'hibernating', session: placed('hibernating', 'hibernated'), means: asleep },
  { of: 'hibernated', session: placed('hibernated', 'hibernated'), means: asleep },
  {
    of: 'failed to hibernate',
    session: placed('failed', 'hibernated'),
    means: { start: wakes, wake: wakes, hibernate: hibernates, stop: stops, restart: restarts, delete: deletes },
  },
  { of: 'stopping', session: placed('stopping', 'stopped'), means: atRest },
  { of: 'stopped', session: placed('stopped', 'stopped'), means: atRest },
  {
    of: 'stopped, never placed',
    session: unplaced('stopped', 'stopped'),
    means: { ...atRest, delete: endsAtOnce },
  },
  { of: 'failed to stop', session: placed('failed', 'stopped'), means: failed },
  { of: 'deleting', session: placed('deleting', 'deleted'), means: { ...nothingBut, delete: same } },
  {
    of: 'deleting, undeliverable',
    session: placed('deleting', 'deleted', { statusReason: 'delivery_failed' }),
    means: { ...nothingBut, delete: deletes },
  },
]

describe('what intents do to a session', () => {
  for (const { of, session, means } of table)
    describe(of, () => {
      for (const action of sessionActions) {
        const meant = means[action]
        if (meant === same)
          it(`${action} ${same}`, () => {
            const decision = decisionOf(ask(session, action))
            expect(isUnchanged(decision)).to.equal(true)
            expect([decision.events, decision.command]).to.deep.equal([[], null])
          })
        else if (meant === refused)
          it(`${action} ${refused}, with the state and what is allowed instead`, () => {
            const allowed = sessionActions.filter((other) => means[other] !== refused)
            expect(ask(session, action)).to.deep.equal(
              E.left({ _tag: 'TransitionRefused', action, state: session.status, allowedActions: allowed }),
            )
          })
        else
          it(`${action} makes it ${meant.ends ? 'a tombstone' : meant.status}${meant.command === null ? '' : ` and sends ${meant.command}`}`, () => {
            const intent = anIntent()
            const { previous, session: next, events, command } = decisionOf(ask(session, action, intent))
            expect(previous).to.equal(session)
            expect(next).to.deep.include({
              status: meant.status,
              desiredState: meant.desired,
              generation: session.generation + 1,
              version: session.version + 1,
              revision: session.revision + 1,
              updatedAt: intent.at,
              incarnation: session.incarnation + (action === 'restart' ? 1 : 0),
              waitingSince: meant.waitsSeconds === null ? null : intent.at,
              statusDeadline: meant.waitsSeconds === null ? null : later(100 + meant.waitsSeconds),
              deletedAt: meant.ends ? intent.at : null,
            })
            expect(next.statusReason).not.to.equal(null)
            expect(next.observedGeneration).to.equal(
              meant === stopsAtOnce || meant === endsAtOnce ? next.generation : session.observedGeneration,
            )
            expect(events.map(({ type }) => type)).to.deep.equal(meant.events)
            for (const event of events)
              expect(event).to.deep.include({ generation: next.generation, actor: intent.actor, at: intent.at })
            expect(command).to.deep.equal(
              meant.command === null
                ? null
                : {
                    commandId: intent.commandId,
                    agentId: AGENT,
                    type: meant.command,
                    generation: next.generation,
                    payload: { state: meant.desired, incarnation: next.incarnation },
                  },
            )
          })
      }
    })

  it('allowed actions are exactly those that are not refused, whatever the row', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...sessionStatuses),
        fc.constantFrom(...desiredStates),
        fc.constantFrom(AGENT, null),
        fc.constantFrom('delivery_failed' as const, 'by_request' as const),
        (status, desiredState, agentId, statusReason) => {
          const session = aSession({ status, desiredState, agentId, statusReason })
          const accepted = sessionActions.filter((action) => E.isRight(ask(session, action)))
          expect(allowedActions(session)).to.deep.equal(accepted)
        },
      ),
      { numRuns: 200 },
    )
  })

  it('what is to run is queued for the agent that it is placed on and holds capacity there', () => {
    const { session } = decisionOf(ask(unplaced('failed', 'running'), 'start', anIntent(), placedOn(OTHER_AGENT)))
    expect(session).to.deep.include({
      agentId: OTHER_AGENT,
      reservedOn: OTHER_AGENT,
      platform: 'process',
      region: 'eu',
      statusReason: 'queued_for_agent',
    })
  })

  for (const action of ['start', 'wake', 'restart'] as const)
    it(`${action} without a place waits as pending, says why, and tells no agent`, () => {
      const before = aSession({ status: 'failed' })
      const decided =
        action === 'restart' ? restart(before, noRoom, anIntent()) : start(before, action, noRoom, anIntent())
      const { session, events, command } = decisionOf(decided)
      expect(session).to.deep.include({
        status: 'pending',
        statusReason: 'no_capacity',
        statusMessage: noRoom.message,
        waitingSince: later(100),
        statusDeadline: later(700),
        agentId: AGENT,
        reservedOn: null,
        generation: before.generation + 1,
      })
      expect(events[0]?.data).to.deep.include({ reason: 'no_capacity', message: noRoom.message })
      expect(command).to.equal(null)
    })

  it('capacity stays held while a stop, a hibernation or a deletion is under way', () => {
    for (const action of ['stop', 'hibernate', 'delete'] as const)
      expect(decisionOf(ask(aSession(), action)).session.reservedOn, action).to.equal(AGENT)
  })

  it("a template's own start timeout overrides the setting", () => {
    const stopped = aSession({ status: 'stopped' })
    const session = { ...stopped, spec: { ...stopped.spec, startTimeoutSeconds: 7 } }
    expect(decisionOf(ask(session, 'start')).session.statusDeadline).to.deep.equal(later(107))
  })
})
