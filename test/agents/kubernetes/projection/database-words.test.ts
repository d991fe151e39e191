import { expect } from 'chai'
import { databaseStatus } from '../../../../agents/kubernetes/projection/database-words.ts'
import type { Desired, WireObserved } from '../../../../agents/protocol.ts'
import { observe } from '../../../../domain/session/observe.ts'
import { reportOf } from '../../../../domain/session/report.ts'
import { observedStatuses } from '../../../../domain/session/words.ts'
import { aSession, heard } from '../../../support/a-session.ts'
import { running } from './a-life.ts'

describe('how a session is called in the cluster', () => {
  const reasons = [null, 'by_request', 'evicted', 'restored', 'restarting', 'pulling_image', 'no-word-of-ours']

  it('is what the database calls it after the same report', () => {
    for (const desiredState of ['running', 'stopped', 'hibernated'] as const)
      for (const status of observedStatuses)
        for (const reason of reasons)
          for (const message of [null, 'a message']) {
            const isWay = status === 'starting' || status === 'running'
            // Of what is to rest the database does not say that it runs: it says that it is on its way.
            if (desiredState !== 'running' && isWay) continue
            const before = aSession({ desiredState, status: desiredState === 'running' ? 'scheduling' : 'stopping' })
            const outcome = observe(before, reportOf(before.generation, { status, reason, message }), heard())
            if (outcome.kind !== 'decided') expect.fail(outcome.kind)
            const { session } = outcome.decision
            const said = databaseStatus({
              desiredState,
              settled: true,
              going: false,
              observed: { status, reason, message },
            })
            // Which of the two words for rest it is follows what was asked, and an agent of this kind says that one.
            const rests = said.status === 'stopped' || said.status === 'hibernated'
            if (!(desiredState !== 'running' && rests)) expect(said.status).to.equal(session.status)
            expect(said.reason, `${desiredState} ${status} ${reason}`).to.equal(session.statusReason)
            expect(said.message).to.equal(session.statusMessage)
          }
  })

  it('says what is on its way until it is so', () => {
    const onTheWay = (desiredState: Desired['state'], observed: WireObserved) =>
      databaseStatus({ desiredState, settled: false, going: false, observed })
    expect(onTheWay('stopped', running)).to.deep.equal({ status: 'stopping', reason: null, message: null })
    expect(onTheWay('hibernated', running)).to.include({ status: 'hibernating' })
    expect(onTheWay('deleted', running)).to.include({ status: 'deleting' })
    expect(onTheWay('running', { status: 'failed', reason: 'evicted', message: 'old' })).to.deep.equal({
      status: 'scheduling',
      reason: 'starting',
      message: null,
    })
    expect(onTheWay('running', { status: 'starting', reason: 'pulling_image', message: '10 %' })).to.deep.equal({
      status: 'scheduling',
      reason: 'pulling_image',
      message: '10 %',
    })
  })
})
