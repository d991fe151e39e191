import { expect } from 'chai'
import fc from 'fast-check'
import type { Agent } from '../../../domain/agent/agent.ts'
import type { AgentId, OrgId } from '../../../domain/ids.ts'
import { load, type Placement, place } from '../../../domain/placement/place.ts'
import {
  type Constraints,
  explain,
  type Refusal,
  type Refused,
  refusalsOf,
  refuse,
} from '../../../domain/placement/refusal.ts'
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
const refused = (placement: Placement): readonly Refusal[] =>
  placement.kind === 'placed' ? expect.fail('it was placed') : placement.refusals

describe('placement', () => {
  it('takes the agent that fits', () => {
    expect(place(wanted(), [anAgent()])).to.deep.equal({ kind: 'placed', agent: anAgent() })
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
  it('of a shared agent says what it has too little of, and not how much of it others have', () => {
    const shared = (allocated: Agent['allocated']) =>
      refused(place(wanted(), [anAgent({ orgId: null, allocated })])).map(({ reason, detail }) => [reason, detail])
    expect(shared({ sessions: 10, cpuMillis: 0, memoryMib: 0 })).to.deep.equal([
      ['no_capacity', 'holds as many sessions as it can'],
    ])
    expect(shared({ sessions: 1, cpuMillis: 3_501, memoryMib: 0 })).to.deep.equal([
      ['no_capacity', 'has no 500 cpuMillis free'],
    ])
    expect(shared({ sessions: 1, cpuMillis: 0, memoryMib: 7_681 })).to.deep.equal([
      ['no_capacity', 'has no 512 memoryMib free'],
    ])
  })

  for (const [why, agent, constraints, reason, detail] of refusals)
    it(`refuses an agent when ${why}, and says so`, () => {
      const refusals = refused(place(wanted(constraints), [agent]))
      expect(refusals).to.have.length(1)
      expect(refusals[0]).to.deep.include({ agentId: AGENT, reason })
      expect(refusals[0]?.detail).to.match(detail)
      expect(refusalsOf(wanted(constraints), [agent])).to.deep.equal(refusals)
    })

  it('fills an agent to the last of its capacity', () => {
    const nearly = anAgent({ allocated: { sessions: 9, cpuMillis: 3_500, memoryMib: 7_680 } })
    expect(chosen(place(wanted(), [nearly]))).to.equal(AGENT)
  })

  it('can name the refusals of all others beside the one that it takes', () => {
    const agents = [anAgent({ id: 'a', cordoned: true }), anAgent({ id: 'b' }), anAgent({ id: 'c', ...full })]
    expect(chosen(place(wanted(), agents))).to.equal('b')
    expect(refusalsOf(wanted(), agents).map(({ agentId, reason }) => [agentId, reason])).to.deep.equal([
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
    expect(place(wanted(), [foreign])).to.deep.equal({ kind: 'impossible', refusals: [], refused: 0 })
    expect(JSON.stringify(place(wanted(), [foreign, anAgent(full)]))).not.to.include('secret')
    expect(refused(place(wanted({ agentId: foreign.id }), [foreign]))).to.deep.equal([])
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

  describe('over thousands of agents', () => {
    const thousands = (changes: (index: number) => Partial<Agent> = () => ({})): Agent[] =>
      Array.from({ length: 5_000 }, (_, index) => anAgent({ id: `edge-${index}`, ...changes(index) }))

    it('finds the only one that fits', () => {
      const agents = thousands((index) => (index === 4_321 ? {} : full))
      for (let i = 0; i < 20; i += 1)
        expect(chosen(place(wanted({ tieBreaker: `session ${i}` }), agents))).to.equal('edge-4321')
    })

    it('takes one of the emptiest few percent, and different ones', () => {
      const capacity = { maxSessions: 1_000, cpuMillis: 4_000, memoryMib: 8_192 }
      const agents = thousands((index) => ({
        capacity,
        allocated: { sessions: 0, cpuMillis: 0, memoryMib: (index * 7) % 5_000 },
      }))
      const resources = { cpuMillis: 1, memoryMib: 1 }
      const taken = Array.from({ length: 200 }, (_, i) =>
        place(wanted({ resources, tieBreaker: `session ${i}` }), agents),
      )
      const memory = taken.map((placement) =>
        placement.kind === 'placed' ? placement.agent.allocated.memoryMib : expect.fail('it was not placed'),
      )
      // Ties are within 82 MiB, one percent of 8,192.
      expect(memory.filter((mib) => mib <= 100 + 82)).to.have.length.above(195)
      expect(new Set(taken.map(chosen)).size).to.be.above(50)
    })

    it('says why of the first, and how many there are', () => {
      const placement = place(
        wanted(),
        thousands(() => full),
      )
      expect(refused(placement)).to.have.length(20)
      expect(placement).to.include({ kind: 'waiting', reason: 'no_capacity', refused: 5_000 })
      expect(explain(placement as Refused)).to.match(/; and 4995 more$/)
    })

    it('says of the agent that was asked for why it cannot, before all that were not asked for', () => {
      const agents = thousands((index) => (index === 4_321 ? full : {}))
      const placement = place(wanted({ agentId: 'edge-4321' as AgentId }), agents)
      expect(refused(placement)[0]).to.include({ agentId: 'edge-4321', reason: 'no_capacity' })
    })
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
    const because = (...agentIds: string[]) =>
      explain({
        refusals: agentIds.map((agentId) => ({ agentId, reason: 'no_capacity' as const, detail: 'is full' })),
        refused: agentIds.length,
      })
    expect(because()).to.equal('no agent is enrolled')
    expect(because('a', 'b')).to.equal('a: is full; b: is full')
    expect(because('a', 'b', 'c', 'd', 'e', 'f', 'g')).to.match(/e: is full; and 2 more$/)
  })
})
