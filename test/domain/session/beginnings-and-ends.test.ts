/** What is no row of the action table: creating, placing what waited, repairing, changing, and ending by force. */
import { expect } from 'chai'
import { create, forceRemove, placePending, update } from '../../../domain/session/decide.ts'
import { repair } from '../../../domain/session/repair.ts'
import { isUnchanged } from '../../../domain/session/session.ts'
import {
  AGENT,
  anEndpoint,
  anIntent,
  aSession,
  later,
  noRoom,
  OTHER_AGENT,
  observing,
  placedOn,
  T0,
} from '../../support/a-session.ts'

const draft = aSession({
  status: 'pending',
  agentId: null,
  generation: 1,
  observedGeneration: 0,
  version: 1,
  revision: 1,
  statusReason: null,
  statusMessage: null,
  statusDeadline: null,
})

describe('creating a session', () => {
  it('with a place is scheduling, holds capacity, and is started by the first command', () => {
    const { previous, session, events, command } = create(draft, placedOn(), anIntent())
    expect(previous).to.equal(null)
    expect(session).to.deep.include({
      status: 'scheduling',
      desiredState: 'running',
      agentId: AGENT,
      reservedOn: AGENT,
      generation: 1,
      observedGeneration: 0,
      version: 1,
      revision: 1,
      statusDeadline: later(400),
    })
    expect(events).to.have.length(1)
    expect(events[0]).to.deep.include({ type: 'created', generation: 1, actor: 'user:ada' })
    expect(events[0]?.data).to.deep.equal({
      status: 'scheduling',
      template: 'hello-web',
      templateVersion: 2,
      agentId: AGENT,
    })
    expect(command).to.deep.include({ type: 'start_session', generation: 1, agentId: AGENT })
  })

  it('without a place is pending with the reason, and there is no command yet', () => {
    const { session, events, command } = create(draft, noRoom, anIntent())
    expect(session).to.deep.include({
      status: 'pending',
      statusReason: 'no_capacity',
      agentId: null,
      reservedOn: null,
      statusDeadline: later(700),
    })
    expect(events[0]?.data).to.deep.include({ reason: 'no_capacity', message: noRoom.message })
    expect(command).to.equal(null)
  })
})

describe('placing what waits', () => {
  const pending = aSession({ status: 'pending', agentId: null, statusMessage: noRoom.message })

  it('sends the start of the generation that was asked for: neither generation nor version rise again', () => {
    const { session, events, command } = placePending(pending, placedOn(OTHER_AGENT), anIntent({ actor: 'placement' }))
    expect(session).to.deep.include({
      status: 'scheduling',
      agentId: OTHER_AGENT,
      reservedOn: OTHER_AGENT,
      generation: pending.generation,
      version: pending.version,
      revision: pending.revision + 1,
      waitingSince: later(100),
      statusDeadline: later(400),
    })
    expect(events.map(({ type, actor }) => [type, actor])).to.deep.equal([['placed', 'placement']])
    expect(command).to.deep.include({ type: 'start_session', generation: pending.generation, agentId: OTHER_AGENT })
  })

  it('changes nothing while it waits for the same reason', () => {
    expect(isUnchanged(placePending(pending, noRoom, anIntent()))).to.equal(true)
  })

  it('brings the words up to date without an event, and not more often than every ten seconds', () => {
    const slot = { ...noRoom, message: 'edge-1: holds 9 of 9 sessions' }
    const fresh = aSession({ ...pending, updatedAt: later(95) })
    expect(isUnchanged(placePending(fresh, slot, anIntent()))).to.equal(true)
    const { session, events } = placePending(pending, slot, anIntent())
    expect(session).to.deep.include({ statusMessage: slot.message, revision: pending.revision + 1 })
    expect(events).to.deep.equal([])
  })

  it('tells another reason at once, and neither since when nor until when it waits moves', () => {
    const fresh = aSession({ ...pending, updatedAt: later(100) })
    const slot = { kind: 'waiting', reason: 'no_agent_online', message: 'edge-1: is not connected' } as const
    const { session, events, command } = placePending(fresh, slot, anIntent())
    expect(session).to.deep.include({
      status: 'pending',
      statusReason: 'no_agent_online',
      waitingSince: T0,
      statusDeadline: later(600),
      generation: pending.generation,
    })
    expect(events.map(({ type }) => type)).to.deep.equal(['waiting'])
    expect(command).to.equal(null)
  })
})

describe('a repair', () => {
  it('is an intent of the reconciler: a new generation, started again where it was', () => {
    const running = aSession(observing({ endpoint: anEndpoint, exitCode: 1 }))
    const { session, events, command } = repair(running, 0, anIntent({ actor: 'reconciler' }))
    expect(session).to.deep.include({
      status: 'scheduling',
      statusReason: 'restarting',
      desiredState: 'running',
      generation: running.generation + 1,
      version: running.version + 1,
      incarnation: running.incarnation,
      agentId: AGENT,
      reservedOn: AGENT,
      statusDeadline: later(400),
    })
    expect(session.observed, 'nothing of what was removed').to.deep.include({ endpoint: null, exitCode: null })
    expect(events.map(({ type, actor }) => [type, actor])).to.deep.equal([['repair_requested', 'reconciler']])
    expect(command).to.deep.include({ type: 'start_session', generation: running.generation + 1 })
  })
})

describe('changing a session', () => {
  it('raises the version but not the generation, and tells no agent', () => {
    const before = aSession()
    const { session, events, command } = update(before, { name: 'Desk', labels: { a: 'b' } }, anIntent())
    expect(session).to.deep.equal({
      ...before,
      name: 'Desk',
      labels: { a: 'b' },
      version: before.version + 1,
      revision: before.revision + 1,
      updatedAt: later(100),
    })
    expect(events[0]?.data).to.deep.equal({ status: 'running', name: 'Desk', labels: { a: 'b' } })
    expect(command).to.equal(null)
  })

  it('by nothing changes nothing', () => {
    expect(isUnchanged(update(aSession(), {}, anIntent()))).to.equal(true)
  })
})

describe('a forced delete', () => {
  for (const status of ['scheduling', 'running', 'stopping', 'stopped', 'failed', 'deleting'] as const)
    it(`ends a session that is ${status} at once; its agent is told, and keeps its capacity until it answers`, () => {
      const before = aSession({ status })
      const { session, events, command } = forceRemove(before, anIntent())
      expect(session).to.deep.include({
        status: 'deleting',
        desiredState: 'deleted',
        deletedAt: later(100),
        waitingSince: null,
        statusDeadline: null,
        reservedOn: before.reservedOn,
        generation: before.generation + 1,
        observedGeneration: before.observedGeneration,
      })
      expect(events.map(({ type, data }) => [type, data.force])).to.deep.equal([
        ['delete_requested', true],
        ['deleted', true],
      ])
      expect(command).to.deep.include({ type: 'delete_session', agentId: AGENT, generation: before.generation + 1 })
    })

  it('of what was never placed tells nobody', () => {
    const { session, command } = forceRemove(aSession({ status: 'pending', agentId: null }), anIntent())
    expect(session).to.deep.include({ deletedAt: later(100), observedGeneration: session.generation })
    expect(command).to.equal(null)
  })

  it('leaves nothing of what the session wrote or of where it was', () => {
    const before = aSession({ status: 'failed', ...observing({ endpoint: anEndpoint, lastOutput: 'boom' }) })
    expect(forceRemove(before, anIntent()).session.observed).to.deep.include({ endpoint: null, lastOutput: null })
  })
})
