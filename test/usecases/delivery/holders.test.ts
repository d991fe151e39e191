import { expect } from 'chai'
import type { AgentId, ReplicaId } from '../../../domain/ids.ts'
import { passOn, rememberedHolders } from '../../../src/delivery/holders.ts'

const ids = (...names: string[]) => names as AgentId[]

describe('who holds an agent', () => {
  const start = () => {
    let at = 0
    const asked: (readonly string[])[] = []
    const held: { [agentId: string]: string } = { a: 'r1', b: 'r2' }
    const leases = {
      holders: async (agentIds: readonly AgentId[]) => {
        asked.push(agentIds)
        return agentIds.flatMap((agentId) => {
          const replicaId = held[agentId] as ReplicaId | undefined
          return replicaId === undefined ? [] : [{ agentId, replicaId }]
        })
      },
    }
    const { holders } = rememberedHolders(leases, () => at)
    return {
      asked,
      held,
      leases,
      pass: (ms: number) => {
        at += ms
      },
      holders: async (...names: string[]) =>
        (await holders(ids(...names))).map(({ agentId, replicaId }) => `${agentId}@${replicaId}`),
    }
  }

  it('is remembered for a moment, and then asked for with all that were wanted meanwhile', async () => {
    const { holders, asked, held, pass } = start()
    expect(await holders('a')).to.deep.equal(['a@r1'])
    expect(await holders('a', 'b')).to.deep.equal(['a@r1', 'b@r2'])
    held.a = 'r3'
    pass(499)
    expect(await holders('b', 'a')).to.deep.equal(['b@r2', 'a@r1'])
    pass(1)
    expect(await holders('b')).to.deep.equal(['b@r2'])
    expect(await holders('a')).to.deep.equal(['a@r3'])
    expect(asked).to.deep.equal([['a'], ['b'], ['a', 'b']])
  })

  it('is asked for each time where nobody does', async () => {
    const { holders, held } = start()
    expect(await holders('a', 'new')).to.deep.equal(['a@r1'])
    held.new = 'r2'
    expect(await holders('a', 'new')).to.deep.equal(['a@r1', 'new@r2'])
  })

  it('is told of a wake that another replica got, unless nobody else holds it', async () => {
    const { leases } = start()
    const sent: string[] = []
    const errors: unknown[] = []
    const drains = { send: async (to: ReplicaId, agents: readonly AgentId[]) => void sent.push(`${to}: ${agents}`) }
    const passes = passOn({ leases, drains, replicaId: 'r1' as ReplicaId, onError: (error) => errors.push(error) })
    for (const agentId of ids('a', 'b', 'nobody')) passes(agentId)
    await new Promise((resolve) => setImmediate(resolve))
    expect([sent, errors]).to.deep.equal([['r2: b'], []])
  })
})
