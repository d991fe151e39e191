import { expect } from 'chai'
import { E } from '../../../domain/fp.ts'
import type { AgentId, ReplicaId } from '../../../domain/ids.ts'
import type { Connected, Connecting, LeaseBatches, LeaseStore, Peer } from '../../../domain/ports/agents.ts'
import { gatherConnects } from '../../../src/delivery/gathered-connects.ts'

describe('connects, gathered', () => {
  const hello = (agentId: string): Connecting => ({
    agentId: agentId as AgentId,
    replicaId: 'replica-1' as ReplicaId,
    version: '2',
    region: null,
    labels: {},
    capacity: { maxSessions: 1, cpuMillis: 1, memoryMib: 1 },
    lastEpoch: null,
  })

  const start = (connectMany?: LeaseBatches['connectMany']) => {
    const statements: (readonly string[])[] = []
    let epoch = 0
    const leases = gatherConnects({
      identifyMany: async (hashes: readonly Buffer[]) => {
        statements.push(hashes.map(String))
        return hashes.map((tokenHash) => ({
          agentId: String(tokenHash) as AgentId,
          orgId: null,
          platform: 'x',
          tokenHash,
        }))
      },
      disconnectMany: async (peers: readonly Peer[], replicaId: ReplicaId) => {
        statements.push([...peers.map(({ agentId }) => agentId), replicaId])
      },
      connectMany:
        connectMany ??
        (async (all: readonly Connecting[]) => {
          statements.push(all.map(({ agentId }) => agentId))
          return all.map(
            ({ agentId }): Connected =>
              agentId === 'gone' ? E.left({ _tag: 'AgentGone' }) : E.right({ epoch: ++epoch }),
          )
        }),
    } as unknown as LeaseStore & LeaseBatches)
    return { leases, statements }
  }

  it('of agents that come together are one statement, each with its own answer', async () => {
    const { leases, statements } = start()
    const answers = await Promise.all(['one', 'gone', 'two'].map((id) => leases.connect(hello(id))))
    expect(statements).to.deep.equal([['one', 'gone', 'two']])
    expect(answers).to.deep.equal([E.right({ epoch: 1 }), E.left({ _tag: 'AgentGone' }), E.right({ epoch: 2 })])
  })

  it('of one agent are one after the other: the later has the higher epoch', async () => {
    const { leases, statements } = start()
    const answers = await Promise.all(['a', 'b', 'a', 'a'].map((id) => leases.connect(hello(id))))
    expect(statements).to.deep.equal([['a', 'b'], ['a'], ['a']])
    expect(answers).to.deep.equal([1, 2, 3, 4].map((epoch) => E.right({ epoch })))
  })

  it('so are knocks', async () => {
    const { leases, statements } = start()
    const known = await Promise.all(['x', 'y'].map((hash) => leases.identify(Buffer.from(hash))))
    expect(statements).to.deep.equal([['x', 'y']])
    expect(known.map((identity) => identity?.agentId)).to.deep.equal(['x', 'y'])
  })

  it('so are goodbyes', async () => {
    const { leases, statements } = start()
    await Promise.all(
      ['x', 'y'].map((id) => leases.disconnect({ agentId: id as AgentId, epoch: 1 }, 'replica-1' as ReplicaId)),
    )
    expect(statements).to.deep.equal([['x', 'y', 'replica-1']])
  })

  it('that fail, fail for those who came together, and the next is tried', async () => {
    let fails = true
    const { leases } = start(async (all) => {
      if (fails) throw new Error('no database')
      return all.map(() => E.right({ epoch: 1 }))
    })
    const results = await Promise.allSettled(['a', 'b'].map((id) => leases.connect(hello(id))))
    expect(results.map(({ status }) => status)).to.deep.equal(['rejected', 'rejected'])
    fails = false
    expect(await leases.connect(hello('a'))).to.deep.equal(E.right({ epoch: 1 }))
  })
})
