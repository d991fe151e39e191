import { expect } from 'chai'
import { E } from '../../../domain/fp.ts'
import { changeOf, nothing, takenBy } from '../../../domain/quota/amounts.ts'
import { inOrder, limitsAnything, noLimits, noQuota } from '../../../domain/quota/quota.ts'
import { create, forceRemove, remove, restart, start, stop, update } from '../../../domain/session/decide.ts'
import type { Decision, Session } from '../../../domain/session/session.ts'
import { anIntent, aSession, noRoom } from '../../support/a-session.ts'

const right = (decided: E.Either<unknown, Decision>): Decision => {
  if (E.isLeft(decided)) throw new Error(JSON.stringify(decided.left))
  return decided.right
}

describe('what a session takes of a quota', () => {
  const created = create(
    aSession({ agentId: null, reservedOn: null, resources: { cpuMillis: 250, memoryMib: 128 } }),
    noRoom,
    anIntent(),
  )
  const whole = { sessions: 1, running: 1, cpuMillis: 250, memoryMib: 128 }
  const asked = { running: 1, cpuMillis: 250, memoryMib: 128 }
  const givenBack = { running: -1, cpuMillis: -250, memoryMib: -128 }

  it('is all of it from its creation on, though it waits for an agent', () => {
    expect(created.session.status).to.equal('pending')
    expect(changeOf(created)).to.deep.equal(whole)
  })

  it('is a kept session, while it is not to run', () => {
    const stopping = right(stop(created.session, anIntent()))
    expect(takenBy(stopping.session)).to.deep.equal({ ...nothing, sessions: 1 })
    expect(changeOf(stopping)).to.deep.equal({ sessions: 0, ...givenBack })
    expect(changeOf(right(start(stopping.session, 'wake', noRoom, anIntent())))).to.deep.equal({
      sessions: 0,
      ...asked,
    })
  })

  it('is nothing from the moment in which its deletion is asked for', () => {
    expect(changeOf(right(remove(created.session, anIntent())))).to.deep.equal({ sessions: -1, ...givenBack })
    const placed: Session = { ...created.session, agentId: 'edge' as Session['agentId'] }
    const removing = right(remove(placed, anIntent()))
    expect(removing.session.deletedAt).to.equal(null)
    expect(takenBy(removing.session)).to.deep.equal(nothing)
    // It was given back already.
    expect(changeOf(forceRemove(removing.session, anIntent()))).to.equal(null)
  })

  it('does not change with a restart of what is to run, nor with a new name', () => {
    const running: Session = { ...created.session, status: 'running' }
    expect(changeOf(right(restart(running, noRoom, anIntent())))).to.equal(null)
    expect(changeOf(update(running, { name: 'another' }, anIntent()))).to.equal(null)
    const failed: Session = { ...running, status: 'failed', desiredState: 'hibernated' }
    expect(changeOf(right(restart(failed, noRoom, anIntent())))).to.deep.equal({ sessions: 0, ...asked })
  })
})

describe('a quota', () => {
  it('limits something where any of its limits does; 0 is one', () => {
    expect(limitsAnything(noQuota)).to.equal(false)
    expect(limitsAnything({ ...noQuota, perTemplate: { desk: noLimits } })).to.equal(false)
    expect(limitsAnything({ ...noQuota, maxRunning: 0 })).to.equal(true)
    expect(limitsAnything({ ...noQuota, perUser: { ...noLimits, cpuMillis: 1 } })).to.equal(true)
    expect(limitsAnything({ ...noQuota, perTemplate: { desk: { ...noLimits, memoryMib: 1 } } })).to.equal(true)
  })

  it('is the same text in whatever order it was written', () => {
    const { memoryMib, cpuMillis, maxRunning, maxSessions } = noLimits
    const backwards = { memoryMib, cpuMillis, maxRunning, maxSessions }
    const quota = { perTemplate: { b: backwards, a: backwards }, perUser: backwards, ...backwards }
    expect(JSON.stringify(inOrder(quota))).to.equal(
      JSON.stringify({ ...noQuota, perTemplate: { a: noLimits, b: noLimits } }),
    )
  })
})
