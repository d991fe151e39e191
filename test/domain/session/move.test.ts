/** A session that leaves the agent that is drained, and what its user asks of it meanwhile: the later wish counts. */
import { expect } from 'chai'
import { E } from '../../../domain/fp.ts'
import { deadlinePassed } from '../../../domain/session/deadline.ts'
import { allowedActions, hibernate, remove, restart, start, stop, update } from '../../../domain/session/decide.ts'
import { arrive, leave, moveStage } from '../../../domain/session/move.ts'
import { observe } from '../../../domain/session/observe.ts'
import { isUnchanged, type Session } from '../../../domain/session/session.ts'
import type { SessionAction } from '../../../domain/session/words.ts'
import {
  AGENT,
  anIntent,
  aReport,
  aSession,
  heard,
  later,
  noRoom,
  OTHER_AGENT,
  placedOn,
  timeouts,
} from '../../support/a-session.ts'

const drain = anIntent({ actor: 'drain' })

/** What the agent says of what it was last asked for; of a rest, that it is as it was asked. */
const said = (session: Session, status: 'hibernated' | 'stopped' | 'failed'): Session => {
  const report = aReport({ generation: session.generation, status, reason: status === 'failed' ? null : 'by_request' })
  const outcome = observe(session, report, heard())
  if (outcome.kind !== 'decided') return expect.fail(outcome.kind)
  return outcome.decision.session
}
const overdue = (session: Session, agentReachable: boolean): Session =>
  deadlinePassed(session, { at: later(200), agentReachable, timeouts }).decision.session
const arrived = (session: Session, slot: Parameters<typeof arrive>[1]): Session => {
  const decided = arrive(session, slot, drain)
  return E.isRight(decided) ? decided.right.session : expect.fail('refused')
}

const running = aSession({ status: 'running', persistentHome: false })
const leaving = leave(running, drain).session
const resting = said(leaving, 'hibernated')

const acts: { readonly [A in SessionAction | 'patch']: (session: Session) => ReturnType<typeof hibernate> } = {
  start: (session) => start(session, 'start', placedOn(OTHER_AGENT), anIntent()),
  wake: (session) => start(session, 'wake', placedOn(OTHER_AGENT), anIntent()),
  hibernate: (session) => hibernate(session, anIntent()),
  stop: (session) => stop(session, anIntent()),
  restart: (session) => restart(session, placedOn(OTHER_AGENT), anIntent()),
  delete: (session) => remove(session, anIntent()),
  patch: (session) => E.right(update(session, { name: 'Another name' }, anIntent())),
}

/** `status of what is asked`, at a generation of its own; or that the session goes on as it is, or that it is refused. */
type Meant =
  | 'scheduling to running'
  | 'hibernating to hibernated'
  | 'stopping to stopped'
  | 'deleting to deleted'
  | 'as it is'
  | 'refused'
type Phase = {
  readonly of: string
  readonly session: Session
  readonly means: { readonly [A in keyof typeof acts]: Meant }
}

const takenOver = {
  start: 'scheduling to running',
  wake: 'scheduling to running',
  hibernate: 'hibernating to hibernated',
  stop: 'stopping to stopped',
  restart: 'refused',
  delete: 'deleting to deleted',
  patch: 'as it is',
} as const
/** As of anything else that is being started, wherever. */
const startedElsewhere = { ...takenOver, start: 'as it is', wake: 'as it is', hibernate: 'refused' } as const

const phases: readonly Phase[] = [
  {
    of: 'has not left yet',
    session: running,
    means: { ...takenOver, start: 'as it is', wake: 'as it is', restart: 'scheduling to running' },
  },
  { of: 'is put to rest', session: leaving, means: takenOver },
  { of: 'is put to rest, and has not in time', session: overdue(leaving, true), means: takenOver },
  { of: 'is put to rest by an agent that is away', session: overdue(leaving, false), means: takenOver },
  { of: 'rests', session: resting, means: takenOver },
  { of: 'rests, which was late', session: said(overdue(leaving, true), 'hibernated'), means: takenOver },
  { of: 'had stopped by itself before it rested', session: said(leaving, 'stopped'), means: takenOver },
  {
    of: 'could not be put to rest',
    session: said(leaving, 'failed'),
    means: { ...takenOver, restart: 'scheduling to running' },
  },
  { of: 'is started elsewhere', session: arrived(resting, placedOn(OTHER_AGENT)), means: startedElsewhere },
  { of: 'waits for room elsewhere', session: arrived(resting, noRoom), means: startedElsewhere },
]

describe('a session that leaves its agent', () => {
  it('says that it is the drain’s while it is put to rest and while it rests, however late, and where it goes', () => {
    for (const session of [
      leaving,
      overdue(leaving, true),
      overdue(leaving, false),
      resting,
      said(leaving, 'stopped'),
    ]) {
      expect(session.statusReason).to.equal('draining')
      expect(session.statusMessage).to.match(/^agent edge-1 is drained: it is started elsewhere as soon as it rests/)
    }
    expect(overdue(leaving, true).statusMessage).to.match(/asked again after \d+ s: stop_overdue$/)
    expect(overdue(leaving, false).statusMessage).to.match(/agent_unreachable$/)
    expect(resting).to.include({ status: 'hibernated', observedGeneration: leaving.generation, reservedOn: null })
    // An inventory says the same again.
    expect(said(resting, 'hibernated')).to.equal(resting)
  })

  it('is started by the drain when it rests, unless something else was asked or it could not be put to rest', () => {
    const { generation } = leaving
    expect(moveStage(leaving, generation)).to.equal('leaving')
    expect(moveStage(overdue(leaving, true), generation)).to.equal('leaving')
    expect(moveStage(resting, generation)).to.equal('rests')
    expect(moveStage(said(leaving, 'failed'), generation)).to.equal('over')
    // As it waits when an operator has its command sent again, and no other way.
    expect(moveStage({ ...leaving, statusReason: 'queued_for_agent' }, generation)).to.equal('over')
    expect(moveStage({ ...leaving, statusReason: 'stop_overdue' }, generation)).to.equal('leaving')
    expect(moveStage({ ...resting, statusReason: 'by_request' }, generation)).to.equal('rests')
    expect(moveStage(arrived(resting, placedOn(OTHER_AGENT)), generation)).to.equal('over')
  })

  for (const { of, session, means } of phases)
    describe(of, () => {
      for (const [act, meant] of Object.entries(means) as [keyof typeof acts, Meant][])
        it(`${act}: ${meant}`, () => {
          const decided = acts[act](session)
          if (act !== 'patch') expect(allowedActions(session).includes(act)).to.equal(meant !== 'refused')
          expect(E.isLeft(decided)).to.equal(meant === 'refused')
          if (E.isLeft(decided)) return
          const { session: next, command } = decided.right
          if (meant === 'as it is') {
            // The drain goes on where it was; who writes first makes the other look again.
            expect([next.generation, next.status, next.statusReason]).to.deep.equal([
              session.generation,
              session.status,
              session.statusReason,
            ])
            expect(isUnchanged(decided.right)).to.equal(act !== 'patch')
            expect(command).to.equal(null)
            return
          }
          expect(`${next.status} to ${next.desiredState}`).to.equal(meant)
          expect(next).to.include({ generation: session.generation + 1, version: session.version + 1 })
          expect(command).to.include({ generation: next.generation })
          expect(next.statusReason).to.equal(meant === 'scheduling to running' ? 'queued_for_agent' : 'by_request')
          // Its user's wish is the later one: whatever the drain still meant to do is over, for good.
          expect(moveStage(next, session.generation)).to.equal('over')
        })
    })

  it('that its user keeps at rest is his: to ask again changes nothing, it rests by request, and wakes where there is room', () => {
    for (const before of [leaving, resting]) {
      const asked = hibernate(before, anIntent())
      if (E.isLeft(asked)) return expect.fail('refused')
      const rests = said(asked.right.session, 'hibernated')
      for (const his of [asked.right.session, rests]) {
        expect(his).to.include({ statusReason: 'by_request', statusMessage: null })
        const again = hibernate(his, anIntent())
        expect(E.isRight(again) && isUnchanged(again.right)).to.equal(true)
      }
      expect(rests).to.include({ status: 'hibernated', agentId: AGENT, reservedOn: null })
      const woken = start(rests, 'wake', placedOn(OTHER_AGENT), anIntent())
      expect(E.isRight(woken) && woken.right.command).to.include({ type: 'wake_session', agentId: OTHER_AGENT })
    }
  })
})
