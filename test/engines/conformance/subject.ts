/**
 * One place for all tests of a platform, and a crew of agents for each of them: agents of an id of its own, killed when the test
 * is over. Where a platform takes its time, tests run side by side: all begin together, and mocha waits for one after
 * the other.
 */
import { readFileSync } from 'node:fs'
import { expect } from 'chai'
import { createLimiter } from '../../../adapters/websocket/limiter.ts'
import type { InventoryItem, WireObserved } from '../../../agents/protocol.ts'
import type { SessionId } from '../../../domain/ids.ts'
import type { AgentProcess } from '../../support/agent-process.ts'
import { eventually } from '../../support/eventually.ts'
import { aSessionId, target } from '../../support/process-agent.ts'
import type { AgentOptions, Place, PlatformUnderTest } from './platform-under-test.ts'

export type Crew = {
  /** Of its agents: what they made is told apart by it. */
  readonly agentId: string
  readonly place: Place
  readonly agent: (options?: AgentOptions) => Promise<AgentProcess>
}

export type Subject = {
  readonly platform: PlatformUnderTest
  /** As soon as there is room for one more crew. */
  readonly withCrew: <A>(work: (crew: Crew) => Promise<A>) => Promise<A>
  /** A test with a crew. */
  readonly test: (name: string, work: (crew: Crew) => Promise<void>) => void
  /** A test of many crews: it calls `withCrew` itself. */
  readonly testOfMany: (name: string, work: () => Promise<void>) => void
}

/** Mocha was asked for some of the tests: those alone are to run. */
const isAPart = process.argv.some((argument) => /^(-g|-f|--f?grep)/.test(argument))

/** Call it inside `describe`. */
export const subject = (platform: PlatformUnderTest): Subject => {
  let place: Place | undefined
  const takeTurn = createLimiter(platform.atOnce)
  const begin: (() => void)[] = []

  before(platform.needs)
  before(async function () {
    this.timeout(platform.openMs)
    place = await platform.place()
    if (platform.atOnce > 1 && !isAPart) for (const each of begin) each()
  })
  after(() => place?.close())

  const here = (): Place => {
    if (place === undefined) throw new Error('asked before the tests began')
    return place
  }
  const withCrew: Subject['withCrew'] = (work) =>
    takeTurn(async () => {
      const agentId = `crew-${aSessionId().slice(0, 8)}`
      const agents: AgentProcess[] = []
      const agent: Crew['agent'] = async (options = {}) => {
        const one = await here().agent({ agentId, ...options })
        agents.push(one)
        return one
      }
      try {
        return await work({ agentId, place: here(), agent })
      } finally {
        await killed(agents)
      }
    })
  const testOfMany: Subject['testOfMany'] = (name, work) => {
    let running: Promise<void> | undefined
    const run = (): Promise<void> => {
      running ??= work()
      return running
    }
    // Its failure is told by its own test.
    begin.push(() => void run().catch(() => {}))
    it(name, run)
  }
  return { platform, withCrew, test: (name, work) => testOfMany(name, () => withCrew(work)), testOfMany }
}

/** As if the machine had gone down, but for the sessions. */
export const killed = async (agents: readonly AgentProcess[]): Promise<void> => {
  for (const agent of agents) if (agent.child.exitCode === null && agent.child.signalCode === null) await agent.kill9()
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

/**
 * As it ended, or one more did. containerd does not see each time, before it tells of a kill, that it was for want of memory
 * (containerd/containerd#8180): then it is an end by SIGKILL, and a second or a third one shows it.
 */
export const killedForMemory = async <A extends { readonly observed?: WireObserved | null | undefined }>(
  begin: () => Promise<A>,
  tries: number,
): Promise<A> => {
  const end = await begin()
  const { reason, exitSignal } = end.observed ?? {}
  const isMissed = reason === 'exited_early' && exitSignal === 'SIGKILL'
  return isMissed && tries > 1 ? killedForMemory(begin, tries - 1) : end
}

export const ended = async (agent: AgentProcess, sessionId: SessionId, generation: number): Promise<void> => {
  await applied(agent, sessionId, {}, { generation, state: 'deleted' })
}

/** What there is of sessions, agents apart. */
export const leftOf = async (place: Place, ...sessionIds: readonly SessionId[]): Promise<readonly string[]> =>
  (await place.left()).filter((name) => sessionIds.some((id) => name.includes(id)))

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
  // A connection of its own: one to whoever answered before this did would be kept, and asked again.
  const answer = await fetch(url, { headers: { connection: 'close' } })
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
    { within: 60_000 },
  )
}
