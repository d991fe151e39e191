import { expect } from 'chai'
import fc from 'fast-check'
import type { Agent } from '../../../domain/agent/agent.ts'
import type { OrgId } from '../../../domain/ids.ts'
import { type Constraints, explain, load, type Placement, place, refuse } from '../../../domain/placement/place.ts'
import { AGENT, ORG, OTHER_AGENT } from '../../support/a-session.ts'
import { anAgent, full } from '../../support/an-agent.ts'

const wanted = (changes: Partial<Constraints> = {}): Constraints => ({
  orgId: ORG,
  platforms: ['process'],
  platform: null,
  region: null,
  agentId: null,
  resources: { cpuMillis: 500, memoryMib: 512 },
  tieBreaker: 'session-1',
  ...changes,
})
const chosen = (placement: Placement): string =>
  placement.kind === 'placed' ? placement.agent.id : expect.fail(`it was ${placement.kind}`)

describe('placement', () => {
  it('takes the agent that fits', () => {
    expect(place(wanted(), [anAgent()])).to.deep.equal({ kind: 'placed', agent: anAgent(), refusals: [] })
  })

  type Case = readonly [why: string, agent: Agent, constraints: Partial<Constraints>, reason: string, detail: RegExp]
  const refusals: readonly Case[] = [
    ['another agent was asked for', anAgent(), { agentId: OTHER_AGENT }, 'other_agent_asked', /edge-2 was asked for/],
    ['the template is for another platform', anAgent(), { platforms: ['docker'] }, 'other_platform', /for docker/],
    [
      'another platform was asked for',
      anAgent(),
      { platforms: ['process', 'docker'], platform: 'docker' },
      'other_platform',
      /runs process; docker was asked for/,
    ],
    ['it is in another region', anAgent(), { region: 'us' }, 'other_region', /is in eu; us was asked for/],
    ['it has no region', anAgent({ region: null }), { region: 'us' }, 'other_region', /no region/],
    ['it is cordoned', anAgent({ cordoned: true }), {}, 'agent_cordoned', /an operator cordoned it/],
    ['it is offline', anAgent({ status: 'offline' }), {}, 'no_agent_online', /not connected/],
    ['it never connected', anAgent({ capacity: null }), {}, 'no_agent_online', /not connected/],
    [
      'it is degraded',
      anAgent({ status: 'degraded', statusReason: 'the engine hangs' }),
      {},
      'agent_degraded',
      /the engine hangs/,
    ],
    ['it has as many sessions as it can hold', anAgent(full), {}, 'no_capacity', /holds 10 of 10 sessions/],
    [
      'its CPU is taken',
      anAgent({ allocated: { sessions: 1, cpuMillis: 3_501, memoryMib: 0 } }),
      {},
      'no_capacity',
      /499 of 4000 cpuMillis free, 500 asked/,
    ],
    [
      'its memory is taken',
      anAgent({ allocated: { sessions: 1, cpuMillis: 0, memoryMib: 7_681 } }),
      {},
      'no_capacity',
      /511 of 8192 memoryMib free, 512 asked/,
    ],
  ]
  for (const [why, agent, constraints, reason, detail] of refusals)
    it(`refuses an agent when ${why}, and says so`, () => {
      const placement = place(wanted(constraints), [agent])
      expect(placement.kind).not.to.equal('placed')
      expect(placement.refusals).to.have.length(1)
      expect(placement.refusals[0]).to.deep.include({ agentId: AGENT, reason })
      expect(placement.refusals[0]?.detail).to.match(detail)
    })

  it('fills an agent to the last of its capacity', () => {
    const nearly = anAgent({ allocated: { sessions: 9, cpuMillis: 3_500, memoryMib: 7_680 } })
    expect(chosen(place(wanted(), [nearly]))).to.equal(AGENT)
  })

  it('names the refusals of all others beside the one that it takes', () => {
    const placement = place(wanted(), [
      anAgent({ id: 'a', cordoned: true }),
      anAgent({ id: 'b' }),
      anAgent({ id: 'c', ...full }),
    ])
    expect(chosen(placement)).to.equal('b')
    expect(placement.refusals.map(({ agentId, reason }) => [agentId, reason])).to.deep.equal([
      ['a', 'agent_cordoned'],
      ['c', 'no_capacity'],
    ])
  })

  it('is impossible when nothing that is enrolled could ever take it', () => {
    const elsewhere = [
      anAgent({ id: 'a', platform: 'docker' }),
      anAgent({ id: 'b', region: 'us' }),
      anAgent({ id: 'c', orgId: 'other' as OrgId }),
    ]
    expect(place(wanted(), []).kind).to.equal('impossible')
    expect(place(wanted({ region: 'eu' }), elsewhere).kind).to.equal('impossible')
  })

  it('waits when somebody fits but cannot now, for the reason that is nearest to a cure', () => {
    const cordoned = anAgent({ id: 'a', cordoned: true })
    const offline = anAgent({ id: 'b', status: 'offline' })
    const noRoom = anAgent({ id: 'c', ...full })
    const elsewhere = anAgent({ id: 'd', platform: 'docker' })
    const reason = (...agents: Agent[]) => {
      const placement = place(wanted(), agents)
      return placement.kind === 'waiting' ? placement.reason : expect.fail(`it was ${placement.kind}`)
    }
    expect(reason(cordoned, elsewhere)).to.equal('agent_cordoned')
    expect(reason(cordoned, offline)).to.equal('no_agent_online')
    expect(reason(cordoned, offline, noRoom)).to.equal('no_capacity')
  })

  it('waits for an agent that has not connected yet: its region is not known', () => {
    expect(place(wanted({ region: 'us' }), [anAgent({ region: null, capacity: null })]).kind).to.equal('waiting')
  })

  it('says nothing of what belongs to another org, not even that it is there', () => {
    const foreign = anAgent({ id: 'secret', orgId: 'other' as OrgId })
    expect(place(wanted(), [foreign])).to.deep.equal({ kind: 'impossible', refusals: [] })
    expect(JSON.stringify(place(wanted(), [foreign, anAgent(full)]))).not.to.include('secret')
    expect(place(wanted({ agentId: foreign.id }), [foreign]).refusals).to.deep.equal([])
  })

  it('uses shared agents', () => {
    expect(chosen(place(wanted(), [anAgent({ orgId: null })]))).to.equal(AGENT)
  })

  it('spreads: the least loaded in its scarcest resource is the best', () => {
    const byMemory = anAgent({ id: 'a', allocated: { sessions: 1, cpuMillis: 0, memoryMib: 6_000 } })
    const byCpu = anAgent({ id: 'b', allocated: { sessions: 1, cpuMillis: 1_000, memoryMib: 0 } })
    const bySessions = anAgent({ id: 'c', allocated: { sessions: 6, cpuMillis: 0, memoryMib: 0 } })
    for (const order of [
      [byMemory, byCpu, bySessions],
      [bySessions, byMemory, byCpu],
    ])
      expect(chosen(place(wanted(), order))).to.equal('b')
  })

  it('spreads creates that see the same figures over agents that are alike', () => {
    const agents = Array.from({ length: 8 }, (_, i) => anAgent({ id: `edge-${i}` }))
    const counts = new Map<string, number>()
    for (let i = 0; i < 800; i += 1) {
      const tieBreaker = `01890a5d-ac96-774b-${(0x8000 + i).toString(16)}-b302099a${(i * 7919).toString(16).padStart(4, '0')}`
      const id = chosen(place(wanted({ tieBreaker }), agents))
      counts.set(id, (counts.get(id) ?? 0) + 1)
    }
    expect(counts.size).to.equal(8)
    for (const [id, count] of counts) expect(count, id).to.be.within(50, 150)
  })

  const someAgent = fc
    .record({
      id: fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f', 'g'),
      orgId: fc.constantFrom(ORG, null, 'other' as OrgId),
      platform: fc.constantFrom('process', 'process', 'docker'),
      region: fc.constantFrom('eu', 'us', null),
      status: fc.constantFrom('online' as const, 'online' as const, 'offline' as const, 'degraded' as const),
      cordoned: fc.constantFrom(false, false, true),
      allocated: fc.record({ sessions: fc.nat(11), cpuMillis: fc.nat(4_000), memoryMib: fc.nat(8_192) }),
    })
    .map(anAgent)
  const someConstraints = fc
    .record({
      platform: fc.constantFrom(null, 'process', 'docker'),
      region: fc.constantFrom(null, 'eu', 'us'),
      platforms: fc.constantFrom(['process'], ['process', 'docker']),
      tieBreaker: fc.string({ maxLength: 4 }),
    })
    .map(wanted)

  it('chooses one that fits if any does, never one that does not, and nearly the least loaded', () => {
    fc.assert(
      fc.property(someConstraints, fc.uniqueArray(someAgent, { selector: ({ id }) => id }), (constraints, agents) => {
        const fitting = agents.filter((agent) => refuse(constraints, agent) === null)
        const placement = place(constraints, agents)
        expect(placement.kind === 'placed').to.equal(fitting.length > 0)
        if (placement.kind !== 'placed') return
        expect(fitting).to.include(placement.agent)
        const { agent } = placement
        expect(agent).to.include({ status: 'online', cordoned: false })
        expect(agent.allocated.sessions + 1).to.be.at.most(agent.capacity?.maxSessions ?? 0)
        const least = Math.min(...fitting.map((one) => load(one, constraints.resources)))
        expect(load(agent, constraints.resources)).to.be.at.most(least + 0.01)
      }),
      { numRuns: 200 },
    )
  })

  it('does not drift from near tie to near tie to a loaded agent', () => {
    const agents = Array.from({ length: 100 }, (_, i) =>
      anAgent({ id: `edge-${i}`, allocated: { sessions: 0, cpuMillis: 36 * i, memoryMib: 0 } }),
    )
    for (let i = 0; i < 50; i += 1)
      expect(['edge-0', 'edge-1']).to.include(
        chosen(place(wanted({ resources: { cpuMillis: 400, memoryMib: 1 }, tieBreaker: `session ${i}` }), agents)),
      )
  })
})

describe('the explanation of a wait', () => {
  it('is one sentence, agent by agent, and not longer than five of them', () => {
    const refusal = (agentId: string) => ({ agentId, reason: 'no_capacity' as const, detail: 'is full' })
    expect(explain([])).to.equal('no agent is enrolled')
    expect(explain([refusal('a'), refusal('b')])).to.equal('a: is full; b: is full')
    expect(explain(['a', 'b', 'c', 'd', 'e', 'f', 'g'].map(refusal))).to.match(/e: is full; and 2 more$/)
  })
})
