/** An agent with the real runtime on a platform that only writes down what it was told to do. */
import { expect } from 'chai'
import { startAgent } from '../../../agents/runtime/agent.ts'
import { createLedgerPlatform, type LedgerPlatform, type LedgerSettings } from '../../support/ledger-platform.ts'
import { eventually } from './eventually.ts'
import type { Json, Rest } from './rest.ts'
import type { Scene } from './scene.ts'

const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }

export type LedgerAgent = { readonly platform: LedgerPlatform; readonly connected: () => boolean }

export type LedgerAgentStart = Pick<LedgerSettings, 'capacity'> & {
  readonly id: string
  readonly token: string
  readonly url: string
}

/** Connected when this resolves. */
export const ledgerAgent = async (here: Scene, start: LedgerAgentStart): Promise<LedgerAgent> => {
  const { id, token, url, ...kind } = start
  const platform = createLedgerPlatform(kind)
  const settings = { url, agentId: id, token, version: '0.0.0', stateDir: await here.folder() }
  const agent = await startAgent({ ...settings, reconnectBaseMs: 50, reconnectCapMs: 500 }, platform, silent)
  here.finally(() => agent.stop('leave'))
  await eventually(() => expect(agent.connected()).to.equal(true))
  return { platform, connected: agent.connected }
}

/** What every run ends with: all that was promised is there and runs, and each took effect once. */
export const allRunOnce = async (
  api: Rest,
  promised: readonly string[],
  agents: readonly LedgerAgent[],
  within = 60_000,
): Promise<readonly Json[]> => {
  const sessions = await eventually(
    async () => {
      const found = await api.all('/sessions?limit=500')
      const waiting = found.filter(({ status }) => status !== 'running')
      expect(waiting.length, `of ${found.length}: ${JSON.stringify(waiting[0])}`).to.equal(0)
      return found
    },
    { within },
  )
  const ids = new Set<string>(sessions.map(({ id }) => id))
  expect(
    promised.filter((id) => !ids.has(id)),
    'promised and lost',
  ).to.deep.equal([])
  const effects = agents.flatMap(({ platform }) => platform.effects)
  expect(effects.map(({ sessionId }) => sessionId).sort(), 'each took effect once').to.deep.equal([...ids].sort())
  expect(
    agents.flatMap(({ platform }) => platform.violations),
    'what an agent may never be told',
  ).to.deep.equal([])
  await eventually(async () => {
    expect(await api.all('/commands?status=pending,dead,failed,expired&limit=500')).to.deep.equal([])
  })
  return sessions
}
