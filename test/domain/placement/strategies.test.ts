/** Spread and pack, labels of agents, and what a plan says of all the others. */
import { expect } from 'chai'
import fc from 'fast-check'
import { type Agent, withOneMore } from '../../../domain/agent/agent.ts'
import type { AgentId, OrgId } from '../../../domain/ids.ts'
import { type Placement, place } from '../../../domain/placement/place.ts'
import { MOST_REFUSALS, planOf } from '../../../domain/placement/plan.ts'
import { type Constraints, refuse } from '../../../domain/placement/refusal.ts'
import { ORG } from '../../support/a-session.ts'
import { anAgent, full } from '../../support/an-agent.ts'

const resources = { cpuMillis: 100, memoryMib: 128 }
const wanted = (changes: Partial<Constraints> = {}): Constraints => ({
  orgId: ORG,
  platforms: ['process'],
  platform: null,
  region: null,
  agentId: null,
  resources,
  tieBreaker: 'session-1',
  ...changes,
})
const placedOn = (placement: Placement): Agent =>
  placement.kind === 'placed' ? placement.agent : expect.fail(`it was ${placement.kind}`)

/** So many sessions, one after another, each seeing those before it. */
const fill = (count: number, agents: readonly Agent[], constraints: Partial<Constraints>): readonly Agent[] => {
  let now = agents
  for (let index = 0; index < count; index += 1) {
    const placement = place(wanted({ tieBreaker: `session-${index}`, ...constraints }), now)
    if (placement.kind !== 'placed') break
    now = now.map((agent) => (agent.id === placement.agent.id ? withOneMore(agent, resources) : agent))
  }
  return now
}
const sessionsOf = (agents: readonly Agent[]): readonly number[] => agents.map(({ allocated }) => allocated.sessions)

describe('a strategy of placement', () => {
  const three = ['a', 'b', 'c'].map((id) => anAgent({ id }))

  it('spreads where nothing is said', () => {
    expect(sessionsOf(fill(9, three, {}))).to.deep.equal([3, 3, 3])
  })

  it('packs: one agent is filled before the next is begun', () => {
    expect(sessionsOf(fill(13, three, { strategy: 'pack' }))).to.deep.equal([10, 3, 0])
  })

  it('packs onto what is the fullest already, by whichever resource is the scarcest', () => {
    const busy = anAgent({ id: 'b', allocated: { sessions: 1, cpuMillis: 100, memoryMib: 7_000 } })
    const agents = [anAgent({ id: 'a', allocated: { sessions: 4, cpuMillis: 400, memoryMib: 512 } }), busy]
    expect(placedOn(place(wanted({ strategy: 'pack' }), agents)).id).to.equal('b')
  })

  it('does not pack onto the last place of an agent when somebody is on the way to it', () => {
    const nearlyFull = anAgent({ id: 'a', allocated: { sessions: 9, cpuMillis: 900, memoryMib: 1_152 } })
    const agents = [nearlyFull, anAgent({ id: 'b' })]
    const underWay = new Map([['a' as AgentId, 1]])
    expect(placedOn(place(wanted({ strategy: 'pack' }), agents)).id).to.equal('a')
    expect(placedOn(place(wanted({ strategy: 'pack', underWay }), agents)).id).to.equal('b')
  })

  it('packs among ten thousand as well: nobody opens an agent while a begun one has room', () => {
    const many = Array.from({ length: 10_000 }, (_, index) =>
      anAgent({ id: `agent-${String(index).padStart(5, '0')}` }),
    )
    const filled = fill(25, many, { strategy: 'pack' })
    expect(filled.filter(({ allocated }) => allocated.sessions > 0)).to.have.length(3)
  })

  it('never chooses an agent that refuses, and always one when some agent does not', () => {
    const agent = fc
      .record({
        sessions: fc.integer({ min: 0, max: 10 }),
        memoryMib: fc.integer({ min: 7_900, max: 8_192 }),
        cordoned: fc.boolean(),
        zone: fc.constantFrom('a', 'b'),
      })
      .map(({ sessions, memoryMib, cordoned, zone }) => ({
        cordoned,
        labels: { zone },
        allocated: { sessions, cpuMillis: 0, memoryMib },
      }))
    fc.assert(
      fc.property(
        fc.array(agent, { maxLength: 8 }),
        fc.constantFrom('spread', 'pack'),
        fc.string(),
        (drawn, strategy, tieBreaker) => {
          const agents = drawn.map((one, index) => anAgent({ id: `agent-${index}`, ...one }))
          const constraints = wanted({ strategy, tieBreaker, agentLabels: { zone: 'a' } })
          const placement = place(constraints, agents)
          const fitting = agents.filter((one) => refuse(constraints, one) === null)
          if (placement.kind === 'placed') expect(fitting).to.include(placement.agent)
          else expect(fitting).to.deep.equal([])
        },
      ),
    )
  })
})

describe('labels that an agent has to have', () => {
  const gpu = wanted({ agentLabels: { gpu: 'a100', disk: 'nvme' } })

  it('are all of them', () => {
    const agents = [
      anAgent({ id: 'a', labels: { gpu: 'a100' } }),
      anAgent({ id: 'b', labels: { gpu: 'a100', disk: 'nvme', rack: '7' } }),
    ]
    expect(placedOn(place(gpu, agents)).id).to.equal('b')
  })

  it('are named where one is missing or other', () => {
    expect(refuse(gpu, anAgent({ labels: { gpu: 'a100' } }))).to.deep.include({
      reason: 'other_labels',
      detail: 'has no label disk; disk=nvme was asked for',
    })
    expect(refuse(gpu, anAgent({ labels: { gpu: 't4', disk: 'nvme' } }))?.detail).to.equal(
      'has gpu=t4; gpu=a100 was asked for',
    )
  })

  it('that nobody has make it impossible; those of an agent that never connected are not known yet', () => {
    expect(place(gpu, [anAgent()]).kind).to.equal('impossible')
    expect(place(gpu, [anAgent({ capacity: null, status: 'offline' })]).kind).to.equal('waiting')
    expect(place(gpu, [anAgent({ capacity: null, labels: { gpu: 't4' } })]).kind).to.equal('impossible')
  })

  it('are not those of a prototype', () => {
    expect(refuse(wanted({ agentLabels: { constructor: 'x' } }), anAgent())?.reason).to.equal('other_labels')
  })
})

describe('a plan', () => {
  const planned = (agents: readonly Agent[], changes: Partial<Constraints> = {}) => {
    const constraints = wanted(changes)
    const placement = place(constraints, agents)
    if (placement.kind === 'impossible') return expect.fail('it was impossible')
    return planOf(constraints, agents, placement)
  }

  it('says where it would go, and of each other agent why not', () => {
    const agents = [
      anAgent({ id: 'docker', platform: 'docker' }),
      anAgent({ id: 'full', ...full }),
      anAgent({ id: 'emptiest' }),
      anAgent({ id: 'fuller', allocated: { sessions: 3, cpuMillis: 0, memoryMib: 0 } }),
      anAgent({ id: 'secret', orgId: 'other' as OrgId }),
    ]
    const plan = planned(agents)
    expect(plan).to.deep.include({ agentId: 'emptiest', status: 'scheduling', strategy: 'spread', refused: 3 })
    expect(plan.refusals.map(({ agentId, reason }) => [agentId, reason])).to.deep.equal([
      ['fuller', 'not_preferred'],
      ['full', 'no_capacity'],
      ['docker', 'other_platform'],
    ])
    expect(plan.refusals[0]?.detail).to.equal(
      'could take it, but is fuller: 40 % of it would be in use, 10 % of emptiest',
    )
  })

  it('of packing says that the others are emptier', () => {
    const agents = [anAgent({ id: 'a' }), anAgent({ id: 'b', allocated: { sessions: 3, cpuMillis: 0, memoryMib: 0 } })]
    const plan = planned(agents, { strategy: 'pack' })
    expect(plan).to.deep.include({ agentId: 'b', strategy: 'pack' })
    expect(plan.refusals[0]?.detail).to.match(/is emptier: 10 % of it would be in use, 40 % of b/)
  })

  it('tells of no shared agent how much of it is in use, whether it is chosen or not', () => {
    const some = { allocated: { sessions: 3, cpuMillis: 0, memoryMib: 0 } } as const
    const told = (...agents: readonly Agent[]) => {
      const plan = planned(agents)
      return [plan.statusMessage, ...plan.refusals.map(({ detail }) => detail)]
    }
    const shared = (id: string, changes: Partial<Agent> = {}) => anAgent({ orgId: null, ...changes, id })
    expect(told(shared('a'), anAgent({ id: 'b', ...some }))).to.deep.equal([
      'would go to agent a',
      'could take it, but is fuller',
    ])
    expect(told(anAgent({ id: 'a' }), shared('b', some))).to.deep.equal([
      'would go to agent a: 10 % of it would be in use',
      'could take it, but is fuller',
    ])
    const plan = planned([shared('a'), shared('b')])
    expect(plan.refusals[0]?.detail).to.equal(`could take it as well as ${plan.agentId}`)
  })

  it('that would wait says why, and refuses every agent', () => {
    const plan = planned([anAgent({ id: 'a', ...full }), anAgent({ id: 'b', cordoned: true })])
    expect(plan).to.deep.include({ agentId: null, status: 'pending', statusReason: 'no_capacity', refused: 2 })
    expect(plan.statusMessage).to.match(/a: holds 10 of 10 sessions/)
  })

  it('names as many as help, and counts all', () => {
    const plan = planned([...Array(1_000).keys()].map((index) => anAgent({ id: `agent-${index}` })))
    expect([plan.refusals.length, plan.refused]).to.deep.equal([MOST_REFUSALS, 999])
  })
})
