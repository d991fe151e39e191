import { expect } from 'chai'
import { ranWell, repair, repairedOften, repairsAllowed } from '../../../domain/session/repair.ts'
import type { Session } from '../../../domain/session/session.ts'
import { AGENT, anIntent, aSession, heard, later, T0 } from '../../support/a-session.ts'

type Restart = NonNullable<Session['spec']['restart']>
const restarting = (restart: Restart | null, changes: Partial<Session> = {}): Session => {
  const session = aSession(changes)
  return restart === null ? session : { ...session, spec: { ...session.spec, restart } }
}

describe('how often the server repairs a session', () => {
  const cases: readonly (readonly [Restart | null, number])[] = [
    [null, 0],
    [{ policy: 'never' }, 0],
    [{ policy: 'never', maxRetries: 5 }, 0],
    [{ policy: 'on-failure' }, 3],
    [{ policy: 'always' }, 3],
    [{ policy: 'always', maxRetries: 7 }, 7],
    [{ policy: 'on-failure', maxRetries: 0 }, 0],
  ]
  for (const [restart, allowed] of cases)
    it(`is ${allowed} times with ${JSON.stringify(restart)}`, () =>
      expect(repairsAllowed(restarting(restart))).to.equal(allowed))
})

describe('repairs in a row', () => {
  it('say which one it is; the first does not wait, each later one twice as long, at most half a minute', () => {
    const session = restarting({ policy: 'always', maxRetries: 9 })
    const told = [0, 1, 2, 3, 4, 5, 8].map((earlier) => {
      const decision = repair(session, earlier, anIntent())
      return [decision.command?.delayMs, decision.session.statusMessage, decision.command?.payload.repair]
    })
    const because = 'it was removed outside of this service'
    expect(told).to.deep.equal([
      [0, `repaired (1 of 9): ${because}`, 1],
      [2_000, `repaired (2 of 9), starting in 2 s: ${because}`, 2],
      [4_000, `repaired (3 of 9), starting in 4 s: ${because}`, 3],
      [8_000, `repaired (4 of 9), starting in 8 s: ${because}`, 4],
      [16_000, `repaired (5 of 9), starting in 16 s: ${because}`, 5],
      [30_000, `repaired (6 of 9), starting in 30 s: ${because}`, 6],
      [30_000, `repaired (9 of 9), starting in 30 s: ${because}`, 9],
    ])
  })

  it('are told in the history, and the time to start begins after the wait', () => {
    const { session, events } = repair(restarting({ policy: 'on-failure' }), 2, anIntent())
    expect(events.map(({ data }) => data)).to.deep.equal([
      { status: 'scheduling', reason: 'removed_outside', repair: 3, of: 3 },
    ])
    expect(session.statusDeadline).to.deep.equal(later(404))
  })

  it('end as failed, with what happened and how often', () => {
    const before = restarting({ policy: 'on-failure' })
    const { session, events, command } = repairedOften(before, 3, heard())
    expect(session).to.deep.include({
      status: 'failed',
      statusReason: 'restart_limit',
      statusMessage: `agent ${AGENT} no longer has it: it was removed outside of this service; it was repaired 3 times, as often as its restart policy allows`,
      desiredState: 'running',
      generation: before.generation,
      reservedOn: null,
    })
    expect(events.map(({ type, actor, data }) => [type, actor, data.reason])).to.deep.equal([
      ['failed', 'reconciler', 'restart_limit'],
    ])
    expect(command).to.equal(null)
  })
})

describe('a session ran well', () => {
  it('when it has been running for ten minutes', () => {
    expect(ranWell(aSession({ startedAt: T0 }), later(599))).to.equal(false)
    expect(ranWell(aSession({ startedAt: T0 }), later(600))).to.equal(true)
  })

  it('not while it is starting again, and not when it never ran', () => {
    expect(ranWell(aSession({ status: 'scheduling', startedAt: T0 }), later(900))).to.equal(false)
    expect(ranWell(aSession({ startedAt: null }), later(900))).to.equal(false)
  })
})
