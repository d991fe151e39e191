import { expect } from 'chai'
import { agentStatus } from '../../../domain/agent/agent.ts'
import { later, T0 } from '../../support/a-session.ts'

const seen = (secondsAgo: number, changes: { connected?: boolean; degradedReason?: string | null } = {}) =>
  agentStatus({ connected: true, degradedReason: null, lastHeartbeatAt: T0, ...changes }, later(secondsAgo), 10_000)

describe('what is shown of an agent', () => {
  it('is online while it beats, and when it has only just come', () => {
    expect(seen(30)).to.deep.equal({ status: 'online', statusReason: null })
    expect(
      agentStatus({ connected: true, degradedReason: null, lastHeartbeatAt: null }, later(900), 10_000).status,
    ).to.equal('online')
  })

  it('is degraded when more than three beats are missing, or when the agent says so', () => {
    expect(seen(31)).to.deep.equal({ status: 'degraded', statusReason: 'last heartbeat 31 s ago' })
    expect(seen(1, { degradedReason: 'the engine does not answer' })).to.deep.equal({
      status: 'degraded',
      statusReason: 'the engine does not answer',
    })
  })

  it('is offline without a connection, and when more than six beats are missing, whatever it said before', () => {
    expect(seen(0, { connected: false }).status).to.equal('offline')
    expect(seen(60).status).to.equal('degraded')
    expect(seen(61, { degradedReason: 'engine' })).to.deep.equal({ status: 'offline', statusReason: 'silent for 61 s' })
  })
})
