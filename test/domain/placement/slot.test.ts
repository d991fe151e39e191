import { expect } from 'chai'
import type { AgentId, OrgId } from '../../../domain/ids.ts'
import { slotFor, slotOf, tiedTo } from '../../../domain/placement/slot.ts'
import { AGENT, aSession, OTHER_AGENT } from '../../support/a-session.ts'
import { anAgent, full } from '../../support/an-agent.ts'

const home = (changes: Parameters<typeof anAgent>[0] = {}) => anAgent({ id: AGENT, ...changes })
const empty = anAgent({ id: OTHER_AGENT })
const atRest = aSession({ status: 'stopped' })

describe('where a session can run again', () => {
  it('is where its home is, however empty other agents are', () => {
    const busy = home({ allocated: { sessions: 9, cpuMillis: 0, memoryMib: 0 } })
    expect(slotFor(atRest, [empty, busy])).to.deep.equal({
      kind: 'placed',
      agentId: AGENT,
      platform: 'process',
      region: 'eu',
    })
  })

  it('is anywhere when it keeps no home and holds nothing', () => {
    const session = aSession({ status: 'stopped', persistentHome: false })
    expect(tiedTo(session)).to.equal(null)
    expect(slotFor(session, [home(full), empty])).to.deep.include({ kind: 'placed', agentId: OTHER_AGENT })
  })

  it('is on the agent that was asked for as long as that is there, and elsewhere when it was removed', () => {
    const placement = { platforms: ['process'], platform: null, region: null, agentId: AGENT }
    const session = aSession({ status: 'failed', agentId: null, reservedOn: null, placement })
    expect(slotFor(session, [home(), empty])).to.deep.include({ kind: 'placed', agentId: AGENT })
    expect(slotFor(session, [home({ status: 'offline' }), empty]).kind).to.equal('waiting')
    expect(slotFor(session, [empty])).to.deep.include({ kind: 'placed', agentId: OTHER_AGENT })
  })

  it('is where something of it may still run, home or not', () => {
    const session = aSession({ status: 'stopping', persistentHome: false, reservedOn: AGENT })
    expect(slotFor(session, [home({ allocated: { sessions: 8, cpuMillis: 0, memoryMib: 0 } }), empty])).to.deep.include(
      {
        kind: 'placed',
        agentId: AGENT,
      },
    )
  })

  it('needs no further room where it holds its capacity still', () => {
    expect(slotFor(aSession({ status: 'stopping' }), [home(full)])).to.deep.include({ kind: 'placed', agentId: AGENT })
  })

  it('is there also while the agent is away: the command waits for it', () => {
    for (const status of ['offline', 'degraded'] as const)
      expect(slotFor(atRest, [home({ status }), empty]), status).to.deep.include({ kind: 'placed', agentId: AGENT })
  })

  it('is there though another region or platform was asked for when it was created', () => {
    const session = aSession({
      status: 'stopped',
      placement: { platforms: ['process'], platform: null, region: 'us', agentId: null },
    })
    expect(slotFor(session, [home()])).to.deep.include({ kind: 'placed', agentId: AGENT })
  })

  it('has to wait for a home agent that is full, connected or not', () => {
    for (const status of ['online', 'offline', 'degraded'] as const) {
      const slot = slotFor(atRest, [home({ ...full, status }), empty])
      expect(slot, status).to.deep.include({ kind: 'waiting', reason: 'home_agent_full' })
      expect(slot.kind === 'waiting' && slot.message).to.match(/edge-1 keeps .* full: holds 10 of 10 sessions/)
    }
  })

  it('has to wait for a home agent that is cordoned', () => {
    expect(slotFor(atRest, [home({ cordoned: true }), empty])).to.deep.include({
      kind: 'waiting',
      reason: 'agent_cordoned',
    })
  })

  it('has to wait for a home agent that is gone, or enrolled anew and not seen yet', () => {
    for (const agents of [[empty], [home({ capacity: null }), empty]])
      expect(slotFor(atRest, agents)).to.deep.include({ kind: 'waiting', reason: 'no_agent_online' })
  })

  it('says nothing of agents of another org', () => {
    const foreign = anAgent({ id: 'secret', orgId: 'other' as OrgId })
    const slot = slotFor(aSession({ status: 'failed', agentId: null }), [foreign, anAgent({ id: 'mine', ...full })])
    const detail = 'holds 10 of 10 sessions'
    expect(slot).to.deep.equal({
      kind: 'waiting',
      reason: 'no_capacity',
      message: `mine: ${detail}`,
      refusals: [{ agentId: 'mine', reason: 'no_capacity', detail }],
    })
  })
})

describe('a placement as a slot', () => {
  it('waits also for what is impossible as things are now: an agent may be enrolled', () => {
    expect(slotOf({ kind: 'impossible', refusals: [], refused: 0 })).to.deep.equal({
      kind: 'waiting',
      reason: 'no_agent_online',
      message: 'no agent is enrolled',
      refusals: [],
    })
    const refusals = [{ agentId: 'a', reason: 'no_capacity', detail: 'is full' }] as const
    expect(slotOf({ kind: 'waiting', reason: 'no_capacity', refusals, refused: 1 })).to.deep.equal({
      kind: 'waiting',
      reason: 'no_capacity',
      message: 'a: is full',
      refusals,
    })
    expect(slotOf({ kind: 'placed', agent: anAgent({ id: 'x' as AgentId }) })).to.deep.include({
      kind: 'placed',
      agentId: 'x',
    })
  })
})
