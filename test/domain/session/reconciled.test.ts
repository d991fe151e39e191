import { expect } from 'chai'
import { released, removedOutside, restored } from '../../../domain/session/reconciled.ts'
import type { DesiredState, ObservedStatus, SessionStatus } from '../../../domain/session/words.ts'
import { AGENT, anEndpoint, aSession, aTombstone, heard, later, observing, T0 } from '../../support/a-session.ts'

describe('what follows from an inventory', () => {
  it('a resource that was removed outside fails its session, and its capacity is free', () => {
    const before = aSession(observing({ endpoint: anEndpoint }))
    const { session, events, command } = removedOutside(before, heard())
    expect(session).to.deep.include({
      status: 'failed',
      statusReason: 'removed_outside',
      desiredState: 'running',
      reservedOn: null,
      generation: before.generation,
      version: before.version,
      revision: before.revision + 1,
    })
    expect(session.observed.endpoint).to.equal(null)
    expect(session.statusMessage).to.match(/removed outside/)
    expect(events.map(({ type, actor, generation }) => [type, actor, generation])).to.deep.equal([
      ['failed', 'reconciler', before.generation],
    ])
    expect(command).to.equal(null)
  })

  it('a release lets the capacity go and nothing else', () => {
    const before = aSession({ status: 'failed', reservedOn: AGENT })
    const { session, events } = released(before, heard())
    expect(session).to.deep.equal({
      ...before,
      reservedOn: null,
      updatedAt: later(100),
      revision: before.revision + 1,
    })
    expect(events).to.deep.equal([])
  })

  it('a tombstone whose agent has nothing left is confirmed', () => {
    const { session } = released(aTombstone({ reservedOn: AGENT }), heard())
    expect(session).to.deep.include({ reservedOn: null, observedGeneration: 3, deletedAt: T0 })
  })
})

describe('a row older than its resource', () => {
  type Case = readonly [ObservedStatus, SessionStatus, DesiredState, reservedOn: typeof AGENT | null]
  const cases: readonly Case[] = [
    ['starting', 'scheduling', 'running', AGENT],
    ['running', 'running', 'running', AGENT],
    ['failed', 'failed', 'running', null],
    ['stopped', 'stopped', 'stopped', null],
    ['hibernated', 'hibernated', 'hibernated', null],
  ]
  for (const [said, status, desiredState, reservedOn] of cases)
    it(`takes over that it is ${said}, at that generation, without a command`, () => {
      for (const from of ['running', 'stopping', 'pending', 'deleting', 'failed'] as const) {
        const before = aSession({ status: from })
        const { session, events, command } = restored(before, { generation: 40, status: said }, heard())
        const waits = status === 'scheduling'
        expect(session, from).to.deep.include({
          generation: 40,
          observedGeneration: 40,
          status,
          desiredState,
          statusReason: 'restored',
          reservedOn,
          version: before.version + 1,
          revision: before.revision + 1,
          waitingSince: waits ? later(100) : null,
          statusDeadline: waits ? later(400) : null,
        })
        expect(events.map(({ type, generation, data }) => [type, generation, data.from])).to.deep.equal([
          ['restored', 40, 3],
        ])
        expect(command).to.equal(null)
      }
    })

  it('has had as many restarts as there can have been: the next one is none that the agent has made already', () => {
    const before = aSession({ incarnation: 2, generation: 3 })
    expect(restored(before, { generation: 5, status: 'running' }, heard()).session.incarnation).to.equal(4)
    const claimed = restored(before, { generation: 2 ** 48, status: 'running' }, heard()).session.incarnation
    expect(claimed).to.be.below(2 ** 31 - 1)
  })

  it('takes over where the resource is served and how it ended, and nothing of what the older row knew', () => {
    const before = aSession({ status: 'failed', ...observing({ exitCode: 1, lastOutput: 'old', restarts: 1 }) })
    const running = restored(before, { generation: 4, status: 'running', endpoint: anEndpoint, restarts: 2 }, heard())
    expect(running.session.observed).to.deep.include({
      endpoint: anEndpoint,
      restarts: 2,
      exitCode: null,
      lastOutput: null,
    })
    const failed = restored(before, { generation: 4, status: 'failed', exitCode: 9, lastOutput: 'new' }, heard())
    expect(failed.session.observed).to.deep.include({ endpoint: null, exitCode: 9, lastOutput: 'new' })
  })
})
