import { expect } from 'chai'
import { deleted, observe, type Report, type ReportOutcome, undeliverable } from '../../../domain/session/observe.ts'
import { type Decision, isUnchanged, type Session } from '../../../domain/session/session.ts'
import type { DesiredState, SessionStatus, StatusReason } from '../../../domain/session/words.ts'
import {
  AGENT,
  anEndpoint,
  aReport,
  aSession,
  aTombstone,
  heard,
  later,
  OTHER_AGENT,
  observing,
  T0,
} from '../../support/a-session.ts'

const decisionOf = (outcome: ReportOutcome): Decision => {
  if (outcome.kind !== 'decided') expect.fail(`it was ${outcome.kind}`)
  return outcome.decision
}
const told = (session: Session, report: Partial<Report>): Session =>
  decisionOf(observe(session, aReport(report), heard())).session

describe('who may speak of a session, and of which generation', () => {
  const report = (session: Session, generation: number, agentId = AGENT) =>
    observe(session, aReport({ generation }), heard({ agentId })).kind
  const removal = (session: Session, generation: number, agentId = AGENT) =>
    deleted(session, generation, heard({ agentId })).kind

  it('only its own agent', () => {
    expect(report(aSession(), 3, OTHER_AGENT)).to.equal('not_yours')
    expect(report(aSession({ agentId: null, status: 'pending' }), 3)).to.equal('not_yours')
    expect(removal(aSession({ status: 'deleting' }), 3, OTHER_AGENT)).to.equal('not_yours')
  })

  it('also the agent on which it still holds capacity', () => {
    expect(report(aSession({ agentId: OTHER_AGENT, reservedOn: AGENT }), 3)).to.equal('decided')
  })

  it('what is said of an earlier generation is stale, of a later one unexpected', () => {
    expect(report(aSession(), 2)).to.equal('stale')
    expect(report(aSession(), 4)).to.equal('unexpected_generation')
    expect(removal(aSession({ status: 'deleting' }), 2)).to.equal('stale')
    expect(removal(aSession({ status: 'deleting' }), 4)).to.equal('unexpected_generation')
  })

  it('that nothing is left of a session that is not to be deleted is stale', () => {
    expect(removal(aSession({ status: 'stopping' }), 3)).to.equal('stale')
  })
})

describe('what a report makes of a session', () => {
  type Case = readonly [
    asked: DesiredState,
    from: SessionStatus,
    said: Report['status'],
    becomes: SessionStatus,
    reason: StatusReason | null,
    reservedOn: typeof AGENT | null,
  ]
  const cases: readonly Case[] = [
    ['running', 'scheduling', 'starting', 'scheduling', 'starting', AGENT],
    ['running', 'scheduling', 'running', 'running', null, AGENT],
    ['running', 'scheduling', 'failed', 'failed', 'exited_early', null],
    ['running', 'scheduling', 'stopped', 'stopped', 'exited_early', null],
    ['running', 'scheduling', 'hibernated', 'hibernated', 'exited_early', null],
    ['running', 'running', 'starting', 'scheduling', 'restarting', AGENT],
    ['running', 'running', 'failed', 'failed', 'exited_early', null],
    ['running', 'running', 'stopped', 'stopped', 'exited_early', null],
    ['running', 'failed', 'starting', 'scheduling', 'starting', AGENT],
    ['running', 'failed', 'running', 'running', null, AGENT],
    ['running', 'stopped', 'starting', 'scheduling', 'starting', AGENT],
    ['running', 'hibernated', 'starting', 'scheduling', 'starting', AGENT],
    ['stopped', 'stopping', 'stopped', 'stopped', 'by_request', null],
    ['stopped', 'stopping', 'hibernated', 'stopped', 'by_request', null],
    ['stopped', 'stopping', 'failed', 'failed', 'platform_error', null],
    ['stopped', 'failed', 'stopped', 'stopped', 'by_request', null],
    ['hibernated', 'hibernating', 'hibernated', 'hibernated', 'by_request', null],
    ['hibernated', 'hibernating', 'stopped', 'hibernated', 'by_request', null],
    ['hibernated', 'hibernating', 'failed', 'failed', 'platform_error', null],
  ]
  for (const [desiredState, status, said, becomes, reason, reservedOn] of cases)
    it(`asked to be ${desiredState}, ${status}: the agent says ${said}, so it is ${becomes}`, () => {
      const session = aSession({ desiredState, status, generation: 3, observedGeneration: 2 })
      const decision = decisionOf(observe(session, aReport({ status: said }), heard()))
      const waits = becomes === 'scheduling'
      expect(decision.session).to.deep.include({
        status: becomes,
        statusReason: reason,
        reservedOn,
        desiredState,
        generation: 3,
        observedGeneration: waits ? 2 : 3,
        version: session.version,
        revision: session.revision + 1,
        updatedAt: later(100),
      })
      expect(decision.session.waitingSince !== null, 'waits since').to.equal(waits)
      expect(decision.session.statusDeadline !== null, 'waits until').to.equal(waits)
      expect(decision.command).to.equal(null)
      expect(decision.events.map((event) => [event.type, event.actor, event.generation])).to.deep.equal([
        [waits ? 'starting' : becomes, `agent:${AGENT}`, 3],
      ])
    })

  it('what is for its history is an event, and changes nothing else of it', () => {
    const session = aSession()
    const note = { type: 'projection_edited', message: 'spec.user was changed' } as const
    const decision = decisionOf(observe(session, aReport({ status: 'running', note }), heard()))
    expect(decision.session).to.deep.equal({
      ...session,
      revision: session.revision + 1,
      updatedAt: decision.session.updatedAt,
    })
    expect(decision.events).to.deep.equal([
      {
        type: 'projection_edited',
        generation: session.generation,
        actor: `agent:${AGENT}`,
        at: later(100),
        data: { message: note.message },
      },
    ])
    const failed = decisionOf(observe(session, aReport({ status: 'failed', note }), heard()))
    expect(failed.events.map(({ type }) => type)).to.deep.equal(['failed', 'projection_edited'])
    expect(failed.session).to.include({ status: 'failed', revision: session.revision + 1 })
    expect(observe(session, aReport({ generation: 2, note }), heard()).kind).to.equal('stale')
  })

  it('capacity of a session that is to rest is not released while the agent says that it runs', () => {
    for (const said of ['starting', 'running'] as const) {
      const stopping = aSession({ status: 'stopping', statusMessage: null })
      expect(isUnchanged(decisionOf(observe(stopping, aReport({ status: said }), heard())))).to.equal(true)
      const { session, events } = decisionOf(
        observe(stopping, aReport({ status: said, message: 'waiting for a process' }), heard()),
      )
      expect(session).to.deep.include({ status: 'stopping', reservedOn: AGENT, statusMessage: 'waiting for a process' })
      expect(events).to.deep.equal([])
    }
  })

  it('nothing that is said of a session on its way out changes it, nor of a tombstone', () => {
    for (const session of [aSession({ status: 'deleting' }), aTombstone()])
      for (const status of ['starting', 'running', 'hibernated', 'stopped', 'failed'] as const)
        expect(isUnchanged(decisionOf(observe(session, aReport({ status }), heard()))), status).to.equal(true)
  })

  it('the same said twice is written once, in whatever order the fields of an endpoint come', () => {
    const { url, host, port, protocol, ports } = anEndpoint
    const running = told(aSession({ status: 'scheduling' }), { observed: { endpoint: anEndpoint } })
    const fromRow = { ...running, observed: { ...running.observed, endpoint: { ports, protocol, port, host, url } } }
    for (const session of [running, fromRow])
      expect(
        isUnchanged(decisionOf(observe(session, aReport({ observed: { endpoint: anEndpoint } }), heard()))),
      ).to.equal(true)
  })

  it('details that change while it runs are written without an event; a restart has one', () => {
    const running = aSession()
    const moved = decisionOf(observe(running, aReport({ observed: { node: 'n2' } }), heard()))
    expect([moved.session.observed.node, moved.events]).to.deep.equal(['n2', []])
    const again = decisionOf(observe(running, aReport({ observed: { restarts: 1 } }), heard()))
    expect(again.events.map(({ type, data }) => [type, data.restarts])).to.deep.equal([['running', 1]])
  })

  it('what the agent did not mention stays as it was', () => {
    const running = aSession(observing({ endpoint: anEndpoint, node: 'n1', restarts: 2 }))
    expect(told(running, { observed: { image: 'busybox' } }).observed).to.deep.include({
      endpoint: anEndpoint,
      node: 'n1',
      restarts: 2,
      image: 'busybox',
    })
  })

  it('an endpoint is gone with what served it, and so are the marks of an earlier failure when it runs again', () => {
    const running = aSession(observing({ endpoint: anEndpoint }))
    for (const status of ['starting', 'failed', 'stopped'] as const)
      expect(told(running, { status }).observed.endpoint, status).to.equal(null)
    const failed = aSession({
      status: 'failed',
      ...observing({ exitCode: 1, exitSignal: 'SIGKILL', lastOutput: 'boom' }),
    })
    expect(told(failed, {}).observed).to.deep.include({ exitCode: null, exitSignal: null, lastOutput: null })
  })

  it('the last output is shown of a failed session only', () => {
    const said = { observed: { exitCode: 3, lastOutput: 'boom' } }
    expect(told(aSession(), { status: 'failed', ...said }).observed.lastOutput).to.equal('boom')
    for (const status of ['starting', 'running', 'stopped', 'hibernated'] as const)
      expect(told(aSession(), { status, ...said }).observed.lastOutput, status).to.equal(null)
    expect(told(aSession({ status: 'stopping' }), { status: 'stopped', ...said }).observed.lastOutput).to.equal(null)
  })

  it('why and how it ended is in the row and in the event', () => {
    const { session, events } = decisionOf(
      observe(
        aSession(),
        aReport({
          status: 'failed',
          reason: 'out_of_memory',
          message: 'killed',
          observed: { exitCode: 137, exitSignal: 'SIGKILL' },
        }),
        heard(),
      ),
    )
    expect(session).to.deep.include({ statusReason: 'out_of_memory', statusMessage: 'killed' })
    expect(events[0]?.data).to.deep.equal({
      status: 'failed',
      reason: 'out_of_memory',
      message: 'killed',
      exitCode: 137,
      exitSignal: 'SIGKILL',
    })
  })

  it('it has started when it began to run, not each time that it says so', () => {
    const first = told(aSession({ status: 'scheduling' }), {})
    expect(first.startedAt).to.deep.equal(later(100))
    const second = decisionOf(observe(first, aReport({ message: 'fine' }), heard({ at: later(200) }))).session
    expect(second.startedAt).to.deep.equal(later(100))
  })
})

describe('progress of a start', () => {
  const pulling = (message: string, session = aSession({ status: 'scheduling' })) =>
    decisionOf(observe(session, aReport({ status: 'starting', reason: 'pulling_image', message }), heard()))

  it('a pull that advances extends the deadline', () => {
    const first = pulling('10 %').session
    expect(first).to.deep.include({ statusReason: 'pulling_image', statusDeadline: later(400), waitingSince: T0 })
    const second = decisionOf(
      observe(
        first,
        aReport({ status: 'starting', reason: 'pulling_image', message: '20 %' }),
        heard({ at: later(200) }),
      ),
    )
    expect(second.session.statusDeadline).to.deep.equal(later(500))
    expect(second.events, 'each reason is one event').to.deep.equal([])
  })

  it('a pull that repeats itself does not', () => {
    const first = pulling('10 %').session
    expect(isUnchanged(pulling('10 %', first))).to.equal(true)
  })

  it('neither does any other word', () => {
    const session = told(aSession({ status: 'scheduling' }), {
      status: 'starting',
      reason: 'starting',
      message: 'port 80',
    })
    expect(session).to.deep.include({ statusDeadline: later(300), waitingSince: T0 })
  })

  it('what was settled and begins anew has a whole new time', () => {
    for (const status of ['running', 'failed', 'stopped', 'hibernated'] as const)
      expect(told(aSession({ status, desiredState: 'running' }), { status: 'starting' }), status).to.deep.include({
        waitingSince: later(100),
        statusDeadline: later(400),
      })
  })
})

describe('the end of a session', () => {
  it('when the agent confirms a deletion the row is a tombstone and its capacity is free', () => {
    const deleting = aSession({ status: 'deleting', ...observing({ endpoint: anEndpoint, lastOutput: 'boom' }) })
    const { session, events } = decisionOf(deleted(deleting, 3, heard()))
    expect(session).to.deep.include({
      status: 'deleting',
      deletedAt: later(100),
      reservedOn: null,
      observedGeneration: 3,
      waitingSince: null,
      statusDeadline: null,
      statusReason: 'by_request',
    })
    expect(session.observed).to.deep.include({ endpoint: null, lastOutput: null })
    expect(events.map(({ type }) => type)).to.deep.equal(['deleted'])
  })

  it('a forced one lets its capacity go in silence, and stays dated as it was', () => {
    const { session, events } = decisionOf(deleted(aTombstone({ reservedOn: AGENT }), 3, heard()))
    expect(session).to.deep.include({ deletedAt: T0, reservedOn: null, observedGeneration: 3 })
    expect(events).to.deep.equal([])
  })

  it('confirmed twice is written once', () => {
    const once = decisionOf(deleted(aSession({ status: 'deleting' }), 3, heard())).session
    expect(isUnchanged(decisionOf(deleted(once, 3, heard({ at: later(300) }))))).to.equal(true)
  })
})

describe('a command that cannot be delivered', () => {
  const given = (session: Session, generation = 3) =>
    undeliverable(session, generation, 'delivery_failed', 'sent 20 times without an ack', {
      actor: 'delivery',
      at: heard().at,
    })

  it('fails its session with the reason, and keeps what was asked and its capacity', () => {
    for (const status of ['scheduling', 'stopping', 'hibernating'] as const) {
      const before = aSession({ status })
      const { session, events } = given(before)
      expect(session, status).to.deep.include({
        status: 'failed',
        statusReason: 'delivery_failed',
        statusMessage: 'sent 20 times without an ack',
        desiredState: before.desiredState,
        generation: 3,
        version: before.version,
        reservedOn: AGENT,
        waitingSince: null,
        statusDeadline: null,
      })
      // Not in the name of an agent that has never heard of it.
      expect(events.map(({ type, actor }) => [type, actor])).to.deep.equal([['failed', 'delivery']])
    }
  })

  it('leaves a deleting session deleting, and its deadline too', () => {
    const { session, events } = given(aSession({ status: 'deleting' }))
    expect(session).to.deep.include({
      status: 'deleting',
      statusReason: 'delivery_failed',
      waitingSince: T0,
      statusDeadline: later(60),
    })
    expect(events.map(({ type }) => type)).to.deep.equal(['delivery_failed'])
  })

  it('of an older generation does not touch it, and neither a tombstone', () => {
    expect(isUnchanged(given(aSession({ status: 'scheduling' }), 2))).to.equal(true)
    expect(isUnchanged(given(aTombstone()))).to.equal(true)
  })
})
