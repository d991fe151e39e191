import { expect } from 'chai'
import { deadlinePassed } from '../../../domain/session/deadline.ts'
import { isUnchanged, type Session } from '../../../domain/session/session.ts'
import { LONGEST_STOP_WAIT_MS } from '../../../domain/session/timeouts.ts'
import { AGENT, aSession, aTombstone, later, T0, timeouts } from '../../support/a-session.ts'

const passed = (session: Session, at: Date, agentReachable = true) =>
  deadlinePassed(session, { at, agentReachable, timeouts })

describe('a deadline', () => {
  it('that has not come yet changes nothing, and there is none for what is settled or gone', () => {
    const untouched: readonly Session[] = [
      ...(['pending', 'scheduling', 'hibernating', 'stopping', 'deleting'] as const).map((status) =>
        aSession({ status, statusDeadline: later(1_001) }),
      ),
      ...(['running', 'hibernated', 'stopped', 'failed'] as const).map((status) => aSession({ status })),
      aTombstone(),
      aTombstone({ statusDeadline: T0 }),
      aSession({ statusDeadline: T0 }),
    ]
    for (const session of untouched) {
      const { decision, redeliver } = passed(session, later(1_000))
      expect([isUnchanged(decision), redeliver], session.status).to.deep.equal([true, false])
    }
  })

  type Case = readonly [Session['status'], reachable: boolean, reason: Session['statusReason'], words: RegExp]
  const failures: readonly Case[] = [
    ['pending', true, 'placement_timeout', /no agent could take it: edge-1: full/],
    ['pending', false, 'placement_timeout', /no agent could take it: edge-1: full/],
    ['scheduling', true, 'start_timeout', /last observed: waiting for port 8080/],
    ['scheduling', false, 'agent_unreachable', /edge-1 cannot be reached/],
  ]
  for (const [status, reachable, reason, words] of failures)
    it(`of a session that is ${status}, its agent ${reachable ? 'there' : 'away'}: failed, ${reason}`, () => {
      const message = status === 'pending' ? 'edge-1: full' : 'waiting for port 8080'
      const before = aSession({ status, statusMessage: message })
      const { decision, redeliver } = passed(before, later(1_000), reachable)
      expect(decision.session).to.deep.include({
        status: 'failed',
        statusReason: reason,
        desiredState: 'running',
        reservedOn: AGENT,
        generation: before.generation,
        observedGeneration: before.observedGeneration,
        version: before.version,
        revision: before.revision + 1,
        waitingSince: null,
        statusDeadline: null,
      })
      expect(decision.session.statusMessage).to.match(words)
      expect(decision.events.map(({ type, actor, data }) => [type, actor, data.reason, data.waitedFor])).to.deep.equal([
        ['failed', 'deadline', reason, status],
      ])
      expect([decision.command, redeliver]).to.deep.equal([null, false])
    })

  it('says what there is to say also of a session that nobody said anything of', () => {
    const said = (changes: Partial<Session>) => passed(aSession(changes), later(1_000)).decision.session.statusMessage
    expect(said({ status: 'pending', statusMessage: null })).to.match(/no agent is enrolled/)
    expect(said({ status: 'scheduling', statusMessage: null, statusReason: 'starting' })).to.match(/starting/)
    expect(said({ status: 'scheduling', statusMessage: null, statusReason: null })).to.match(/nothing/)
  })

  const overdue: readonly (readonly [Session['status'], boolean, Session['statusReason']])[] = [
    ['stopping', true, 'stop_overdue'],
    ['stopping', false, 'agent_unreachable'],
    ['hibernating', true, 'stop_overdue'],
    ['hibernating', false, 'agent_unreachable'],
    ['deleting', true, 'delete_overdue'],
    ['deleting', false, 'agent_unreachable'],
  ]
  for (const [status, reachable, reason] of overdue)
    it(`of a session that is ${status}, its agent ${reachable ? 'there' : 'away'}: ${reason}, and it is asked again`, () => {
      const before = aSession({ status })
      const { decision, redeliver } = passed(before, later(60), reachable)
      expect(redeliver).to.equal(true)
      expect(decision.session).to.deep.include({
        status,
        statusReason: reason,
        reservedOn: AGENT,
        deletedAt: null,
        desiredState: before.desiredState,
        generation: before.generation,
        version: before.version,
        waitingSince: T0,
        statusDeadline: later(180),
      })
      expect(decision.events.map(({ type }) => type)).to.deep.equal(['deadline_passed'])
      expect(decision.command).to.equal(null)
    })

  it('of a deletion that is no longer on its way says so still, and asks nobody again', () => {
    const before = aSession({ status: 'deleting', statusReason: 'delivery_failed', statusMessage: 'cancelled' })
    const { decision, redeliver } = passed(before, later(60))
    expect(redeliver).to.equal(false)
    expect(decision.session).to.deep.include({
      status: 'deleting',
      statusReason: 'delivery_failed',
      statusMessage: 'cancelled',
      statusDeadline: later(180),
      revision: before.revision + 1,
    })
    expect(decision.events.map(({ type }) => type)).to.deep.equal(['deadline_passed'])
  })

  it('doubles each time: 60 s, 120 s, 240 s … up to an hour', () => {
    let session = aSession({ status: 'stopping' })
    const waits: number[] = []
    for (let round = 0; round < 9; round += 1) {
      const at = session.statusDeadline ?? expect.fail('a deadline is due')
      session = passed(session, at).decision.session
      waits.push(((session.statusDeadline?.getTime() ?? 0) - at.getTime()) / 1000)
    }
    expect(waits).to.deep.equal([120, 240, 480, 960, 1920, 3600, 3600, 3600, 3600])
    expect(LONGEST_STOP_WAIT_MS).to.equal(3_600_000)
  })
})
