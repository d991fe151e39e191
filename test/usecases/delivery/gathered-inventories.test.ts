import { expect } from 'chai'
import type { AgentId, SessionId } from '../../../domain/ids.ts'
import type { InventoryBatches } from '../../../domain/ports/inventories.ts'
import { gatherInventories } from '../../../src/delivery/gathered-inventories.ts'

describe('inventories, gathered', () => {
  const start = () => {
    const statements: (readonly string[])[] = []
    const batches: InventoryBatches = {
      asTold: async (asked) => asked.map(() => new Set()),
      sessions: async (asked) => {
        statements.push(asked.map(({ agentId }) => agentId))
        return asked.map(() => [])
      },
      isRecorded: async (asked) => asked.map(({ sessions }) => sessions === 1),
    }
    const reads = gatherInventories(batches)
    const sessions = (agentId: string, entries: number) =>
      reads.sessions({
        agentId: agentId as AgentId,
        mentioned: Array.from({ length: entries }, (_, n) => `${n}` as SessionId),
        asTold: new Set(),
      })
    return { reads, sessions, statements }
  }

  it('that come together are compared by one statement, and a long one by its own', async () => {
    const { sessions, statements } = start()
    await Promise.all([sessions('one', 3), sessions('long', 5_000), sessions('two', 0)])
    expect(statements).to.deep.equal([['one', 'two'], ['long']])
  })

  it('of many sessions are compared one after the other', async () => {
    const { sessions, statements } = start()
    const all = [sessions('first', 5_000), sessions('second', 5_000)]
    await all[0]
    expect(statements).to.deep.equal([['first']])
    await all[1]
    expect(statements).to.deep.equal([['first'], ['second']])
  })

  it('are answered each by its own', async () => {
    const { reads } = start()
    const answers = [0, 1, 2].map((sessions) => reads.isRecorded({ agentId: `a${sessions}` as AgentId, sessions }))
    expect(await Promise.all(answers)).to.deep.equal([false, true, false])
  })
})
