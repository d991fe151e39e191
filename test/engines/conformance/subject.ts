/** One place for a group of tests, whose agents end with each test. */
import { readFileSync } from 'node:fs'
import { expect } from 'chai'
import type { InventoryItem, WireObserved } from '../../../agents/protocol.ts'
import type { SessionId } from '../../../domain/ids.ts'
import type { AgentProcess } from '../../support/agent-process.ts'
import { eventually } from '../../support/eventually.ts'
import { target } from '../../support/process-agent.ts'
import type { AgentOptions, Place, PlatformUnderTest } from './platform-under-test.ts'

export type Subject = {
  readonly place: () => Place
  readonly agent: (options?: AgentOptions) => Promise<AgentProcess>
  /** As if the machine had gone down, but for the sessions. */
  readonly killAgents: () => Promise<void>
}

/** Call it inside `describe`. */
export const subject = (platform: PlatformUnderTest): Subject => {
  let place: Place | undefined
  const agents: AgentProcess[] = []
  const killAgents = async (): Promise<void> => {
    for (const agent of agents.splice(0))
      if (agent.child.exitCode === null && agent.child.signalCode === null) await agent.kill9()
  }
  before(platform.needs)
  before(async () => {
    place = await platform.place()
  })
  afterEach(killAgents)
  after(() => place?.close())
  const here = (): Place => {
    if (place === undefined) throw new Error('asked before the tests began')
    return place
  }
  return {
    place: here,
    agent: async (options) => {
      const agent = await here().agent(options)
      agents.push(agent)
      return agent
    },
    killAgents,
  }
}

type Want = Partial<Parameters<typeof target>[2]>

/** A program for the platform, at a generation. */
export const wanting = (sessionId: SessionId, spec: object, rest: Want = {}) => target(sessionId, spec, rest)

/** The session's status when the command was applied. Fails when it was not. */
export const applied = async (
  agent: AgentProcess,
  ...about: Parameters<typeof wanting>
): Promise<WireObserved | null> => {
  const result = await agent.command(wanting(...about))
  expect(result.outcome, JSON.stringify(result)).to.equal('applied')
  return result.observed ?? null
}

export const ended = async (agent: AgentProcess, sessionId: SessionId, generation: number): Promise<void> => {
  await applied(agent, sessionId, {}, { generation, state: 'deleted' })
}

export const itemOf = (
  agent: AgentProcess,
  sessionId: SessionId,
  check: (item: InventoryItem) => boolean,
  within = 8_000,
): Promise<InventoryItem> =>
  eventually(
    async () => {
      const item = await agent.inventoryOf(sessionId)
      if (item === undefined || !check(item)) throw new Error(`it is ${JSON.stringify(item)}`)
      return item
    },
    { within },
  )

/** What the session's web server says of a file in its home. */
export const served = async (observed: WireObserved | InventoryItem | null, file: string): Promise<string> => {
  const url = new URL(observed?.endpoint?.url ?? 'http://no-endpoint.invalid')
  url.pathname = `/${file}`
  const answer = await fetch(url)
  if (!answer.ok) throw new Error(`${url} answered ${answer.status}`)
  return answer.text()
}

export const startsOf = async (place: Place, sessionId: SessionId): Promise<number> =>
  (await place.homeFile(sessionId, 'starts')).split('\n').filter((line) => line !== '').length

/** Whether the agent has really been stopped at its step (not only sent the signal), or has done what it was asked. */
export const stoppedOr = async (agent: AgentProcess, asked: Promise<unknown>): Promise<'stopped' | 'done'> => {
  let done = false
  const over = (): void => {
    done = true
  }
  asked.then(over, over)
  return eventually(
    () => {
      if (done) return 'done'
      const stat = readFileSync(`/proc/${agent.child.pid}/stat`, 'utf8')
      const state = stat.slice(stat.lastIndexOf(')') + 2, stat.lastIndexOf(')') + 3)
      if (agent.stopped === null || state !== 'T') throw new Error(`state ${state}, stopped at ${agent.stopped}`)
      return 'stopped'
    },
    { within: 30_000 },
  )
}
