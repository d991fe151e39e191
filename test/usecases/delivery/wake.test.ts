import { expect } from 'chai'
import type { AgentId, ReplicaId } from '../../../domain/ids.ts'
import { createWake } from '../../../src/delivery/wake.ts'
import { eventually } from '../../support/eventually.ts'

const ids = (...names: string[]) => names as AgentId[]
const turn = () => new Promise((resolve) => setImmediate(resolve))

/** Agents `r1-…` are held by replica r1, and so on; `here-…` by this one; `gone-…` by nobody. */
const waking = (nudge: 'on' | 'off' = 'on', everyMs = 0) => {
  const drained: string[] = []
  const asked: (readonly string[])[] = []
  const sent: [string, readonly string[]][] = []
  const errors: unknown[] = []
  const gates: (() => void)[] = []
  let failures = 0
  const wake = createWake(
    {
      gateway: {
        holds: (id) => id.startsWith('here'),
        drain: (id) => void drained.push(id),
        requestInventory: () => {},
        disconnect: () => {},
      },
      leases: {
        holders: async (agentIds) => {
          asked.push(agentIds)
          if (failures > 0) {
            failures -= 1
            throw new Error('no database')
          }
          return agentIds
            .filter((id) => !id.startsWith('gone'))
            .map((agentId) => ({ agentId, replicaId: agentId.split('-')[0] as ReplicaId }))
        },
      },
      drains: {
        send: (replicaId, agentIds) =>
          new Promise((resolve) => {
            sent.push([replicaId, agentIds])
            gates.push(resolve)
          }),
      },
      onError: (error) => errors.push(error),
    },
    { nudge, everyMs },
  )
  return {
    wake: (...names: string[]) => wake.agents(ids(...names)),
    /** Lets the jobs be in the queue that were sent so far. */
    release: async () => {
      for (const open of gates.splice(0)) open()
      await turn()
    },
    failNext: (times: number) => {
      failures = times
    },
    drained,
    asked,
    sent,
    errors,
  }
}

describe('a wake', () => {
  it('drains this replica’s own agents at once, without a look into the database', () => {
    const { wake, drained, asked } = waking()
    wake('here-1', 'here-2')
    expect(drained).to.deep.equal(['here-1', 'here-2'])
    expect(asked).to.deep.equal([])
  })

  it('sends one job to each replica that holds others, and none for those that nobody holds', async () => {
    const { wake, sent } = waking()
    wake('r1-a', 'r2-a', 'r1-b', 'gone-a')
    await turn()
    expect(sent).to.deep.equal([
      ['r1', ['r1-a', 'r1-b']],
      ['r2', ['r2-a']],
    ])
  })

  it('goes through the queue even here when nudges are off', async () => {
    const { wake, drained, sent } = waking('off')
    wake('here-1')
    await turn()
    expect(drained).to.deep.equal([])
    expect(sent).to.deep.equal([['here', ['here-1']]])
  })

  it('collects while one is in flight: many become one', async () => {
    const { wake, asked, release } = waking()
    wake('r1-a')
    await turn()
    for (const name of ['r1-b', 'r1-c', 'r1-b', 'r2-a', 'r1-a']) wake(name)
    await turn()
    expect(asked, 'the first is still in flight').to.deep.equal([['r1-a']])
    await release()
    expect(asked).to.deep.equal([['r1-a'], ['r1-b', 'r1-c', 'r2-a', 'r1-a']])
    await release()
    wake('r1-d')
    await turn()
    expect(asked).to.have.length(3)
  })

  it('collects for a moment after one was sent, too', async () => {
    const { wake, asked, release } = waking('on', 30)
    wake('r1-a')
    await turn()
    await release()
    for (const name of ['r1-b', 'r1-c']) wake(name)
    expect(asked).to.deep.equal([['r1-a']])
    await eventually(() => expect(asked).to.deep.equal([['r1-a'], ['r1-b', 'r1-c']]))
  })

  it('that fails is said, and neither what was collected meanwhile nor later wakes are lost', async () => {
    const { wake, failNext, errors, sent } = waking()
    failNext(1)
    wake('r1-a')
    wake('r1-b')
    await turn()
    expect(errors).to.have.length(1)
    expect(sent).to.deep.equal([['r1', ['r1-b']]])
    const later = waking()
    later.failNext(1)
    later.wake('r1-a')
    await turn()
    later.wake('r1-c')
    await turn()
    expect(later.sent).to.deep.equal([['r1', ['r1-c']]])
  })

  it('of nobody does nothing', async () => {
    const { wake, asked } = waking()
    wake()
    await turn()
    expect(asked).to.deep.equal([])
  })
})
