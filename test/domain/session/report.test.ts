import { expect } from 'chai'
import { reportOf } from '../../../domain/session/report.ts'
import { statusReasonOf } from '../../../domain/session/status-reason.ts'
import { statusReasons } from '../../../domain/session/words.ts'
import { anEndpoint } from '../../support/a-session.ts'

describe('a report in the words of an agent', () => {
  it('has only what was mentioned', () => {
    expect(reportOf(7, { status: 'running' })).to.deep.equal({
      generation: 7,
      status: 'running',
      reason: null,
      message: null,
      observed: {},
    })
  })

  it('has what was said to be no longer so', () => {
    const { observed } = reportOf(7, { status: 'running', endpoint: null, exitCode: null, restarts: 0 })
    expect(observed).to.deep.equal({ endpoint: null, exitCode: null, restarts: 0 })
  })

  it('has every detail', () => {
    const said = {
      namespace: 'n',
      podName: 'p',
      serviceName: 's',
      containerId: 'c',
      node: 'o',
      image: 'i',
      imageDigest: 'd',
      restarts: 2,
      exitCode: 3,
      exitSignal: 'SIGTERM',
      lastOutput: 'bye',
    }
    expect(reportOf(7, { status: 'failed', ...said }).observed).to.deep.equal(said)
  })

  it('has what is for the history, where its type is one of ours', () => {
    const message = 'spec.user was changed'
    const noteOf = (type: string) => reportOf(3, { status: 'running', note: { type, message } }).note
    expect(noteOf('projection_edited')).to.deep.equal({ type: 'projection_edited', message })
    for (const type of ['failed', 'of_a_newer_agent', '']) expect(noteOf(type)).to.equal(undefined)
  })

  it('an endpoint without ports has none', () => {
    const { ports, ...bare } = anEndpoint
    expect(ports).to.have.length(1)
    expect(reportOf(7, { status: 'running', endpoint: bare }).observed.endpoint).to.deep.equal({ ...bare, ports: [] })
  })

  it('every reason of ours is understood, and no other', () => {
    for (const reason of statusReasons) {
      expect(statusReasonOf(reason)).to.equal(reason)
      expect(reportOf(7, { status: 'failed', reason }).reason).to.equal(reason)
    }
    for (const word of ['CrashLoopBackOff', 'toString', '', null, undefined])
      expect(statusReasonOf(word)).to.equal(null)
  })

  it('a reason that is none of ours is the platform’s trouble when it failed, and otherwise none', () => {
    expect(reportOf(7, { status: 'failed', reason: 'CrashLoopBackOff' }).reason).to.equal('platform_error')
    expect(reportOf(7, { status: 'running', reason: 'CrashLoopBackOff' }).reason).to.equal(null)
    for (const reason of ['', null]) expect(reportOf(7, { status: 'failed', reason }).reason).to.equal(null)
  })
})
