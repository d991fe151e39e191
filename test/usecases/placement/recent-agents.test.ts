import { expect } from 'chai'
import type { Agent } from '../../../domain/agent/agent.ts'
import type { AgentId, OrgId } from '../../../domain/ids.ts'
import { createRecentAgents } from '../../../src/placement/recent-agents.ts'
import { AGENT } from '../../support/a-session.ts'
import { anAgent } from '../../support/an-agent.ts'

describe('the agents of a moment ago', () => {
  it('that could not be read end nobody who placed something on them meanwhile', async () => {
    const unhandled: unknown[] = []
    const hear = (reason: unknown): void => void unhandled.push(reason)
    process.on('unhandledRejection', hear)
    try {
      const reading = Promise.withResolvers<never>()
      const recent = createRecentAgents({ candidates: () => reading.promise })
      const asked = recent.fresh('acme' as OrgId)
      recent.placed('acme' as OrgId, AGENT, { cpuMillis: 1, memoryMib: 1 })
      reading.reject(new Error('the database system is shutting down'))
      expect(await asked.catch((error: Error) => error.message)).to.match(/shutting down/)
      await new Promise(setImmediate)
      expect(unhandled).to.deep.equal([])
    } finally {
      process.off('unhandledRejection', hear)
    }
  })

  const ACME = 'acme' as OrgId
  const some = { cpuMillis: 100, memoryMib: 1 }
  const reading = (agents: readonly Agent[]) => {
    const began: PromiseWithResolvers<readonly Agent[]>[] = []
    const clock = { ms: 0 }
    const recent = createRecentAgents(
      {
        candidates: () => {
          const one = Promise.withResolvers<readonly Agent[]>()
          began.push(one)
          return one.promise
        },
      },
      () => clock.ms,
    )
    return { recent, began, clock, arrives: () => began.at(-1)?.resolve(agents) }
  }

  it('are read again when they are older than a fifth of a second', async () => {
    const { recent, began, clock, arrives } = reading([anAgent()])
    const first = recent.recent(ACME)
    arrives()
    await first
    clock.ms = 199
    await recent.recent(ACME)
    expect(began).to.have.length(1)
    clock.ms = 200
    void recent.recent(ACME)
    expect(began).to.have.length(2)
  })

  it('are good for longer where reading them takes long', async () => {
    const { recent, began, clock, arrives } = reading([anAgent()])
    const first = recent.recent(ACME)
    clock.ms = 100
    arrives()
    await first
    clock.ms = 999
    await recent.recent(ACME)
    expect(began).to.have.length(1)
    clock.ms = 1_000
    void recent.recent(ACME)
    expect(began).to.have.length(2)
  })

  it('are good for two seconds at most, however long the database took', async () => {
    const { recent, began, clock, arrives } = reading([anAgent()])
    const first = recent.recent(ACME)
    clock.ms = 30_000
    arrives()
    await first
    clock.ms = 31_999
    await recent.recent(ACME)
    expect(began).to.have.length(1)
    clock.ms = 32_000
    void recent.recent(ACME)
    expect(began).to.have.length(2)
  })

  it('are read afresh once for all who ask while they are being read, and after that', async () => {
    const { recent, began } = reading([])
    const first = recent.fresh(ACME)
    const [second, third] = [recent.fresh(ACME), recent.fresh(ACME)]
    expect(began).to.have.length(1)
    began[0]?.resolve([anAgent({ id: 'old' })])
    expect((await first).map(({ id }) => id)).to.deep.equal(['old'])
    await new Promise(setImmediate)
    expect(began).to.have.length(2)
    began[1]?.resolve([anAgent({ id: 'new' })])
    for (const one of [second, third]) expect((await one).map(({ id }) => id)).to.deep.equal(['new'])
  })

  it('are read afresh though the reading before it failed', async () => {
    const { recent, began } = reading([])
    const first = recent.fresh(ACME).catch((error: Error) => error.message)
    const second = recent.fresh(ACME)
    began[0]?.reject(new Error('the connection was lost'))
    expect(await first).to.equal('the connection was lost')
    await new Promise(setImmediate)
    began[1]?.resolve([anAgent()])
    expect(await second).to.have.length(1)
  })

  it('count what was placed on them, also while they are being read', async () => {
    const { recent, arrives } = reading([anAgent({ id: 'a' }), anAgent({ id: 'b' })])
    const first = recent.recent(ACME)
    recent.placed(ACME, 'b' as AgentId, some)
    arrives()
    await first
    recent.placed(ACME, 'b' as AgentId, some)
    recent.placed(ACME, 'gone' as AgentId, some)
    expect((await recent.recent(ACME)).map(({ allocated }) => allocated)).to.deep.equal([
      { sessions: 0, cpuMillis: 0, memoryMib: 0 },
      { sessions: 2, cpuMillis: 200, memoryMib: 2 },
    ])
  })
})
