import { expect } from 'chai'
import type { Agent } from '../../domain/agent/agent.ts'
import type { AgentId, CommandId, SessionId } from '../../domain/ids.ts'
import type { DutyStore, GivenUp } from '../../domain/ports/duties.ts'
import type { CommitConflict } from '../../domain/ports/unit-of-work.ts'
import type { Session } from '../../domain/session/session.ts'
import { deadlines, placement, sweep } from '../../src/usecases/duties.ts'
import { AGENT, aSession, later, OTHER_AGENT, SESSION, timeouts } from '../support/a-session.ts'
import { anAgent, full } from '../support/an-agent.ts'
import {
  agentsSeen,
  conflict,
  countedIds,
  fixedClock,
  recordedWake,
  scriptedUnitOfWork,
  sessionsSeen,
} from '../support/fake-ports.ts'
import { reportStore } from '../support/report-store.ts'

const duty = (
  sessions: readonly Session[],
  setting: {
    agents?: readonly (readonly Agent[])[]
    conflicts?: readonly CommitConflict[]
    duties?: Partial<DutyStore>
  } = {},
) => {
  const { unitOfWork, committed, tried } = scriptedUnitOfWork(setting.conflicts)
  const { wake, woken } = recordedWake()
  const store = reportStore(sessions, {})
  const deps = {
    sessions: { ...sessionsSeen(...sessions), loadMany: store.loadMany },
    agents: agentsSeen(...(setting.agents ?? [[anAgent()]])),
    reports: store,
    duties: {
      endBackOffs: async () => [],
      giveUp: async () => [],
      givenUpOf: async () => [],
      agentsWithDueCommands: async () => [],
      replicaAlive: async () => 'known' as const,
      replicaIds: async () => [],
      releaseDeadReplicas: async () => [],
      replicaGone: async () => {},
      ...setting.duties,
    },
    unitOfWork,
    wake,
    clock: fixedClock,
    ids: countedIds(),
    timeouts,
  }
  return { deps, committed, tried, woken, store }
}
const expired: GivenUp = {
  commandId: 'command-1' as CommandId,
  sessionId: SESSION,
  agentId: AGENT,
  generation: 3,
  fate: 'expired',
  error: 'not delivered before it expired',
}
const id = (n: number) => `01890a5d-ac96-774b-bcce-b302099a800${n}` as SessionId

describe('the placement duty', () => {
  const waiting = (n: number, changes: Partial<Session> = {}) =>
    aSession({ id: id(n), status: 'pending', agentId: null, updatedAt: later(100), ...changes })

  it('places what waits, by a command of the generation that was asked for, and wakes the agents', async () => {
    const { deps, committed, woken } = duty([waiting(1), waiting(2)])
    expect(await placement(deps).run()).to.deep.equal({ pending: 2, placed: 2 })
    expect(committed.map(({ session, command }) => [session.status, command?.generation])).to.deep.equal([
      ['scheduling', 3],
      ['scheduling', 3],
    ])
    expect(new Set(committed.map(({ command }) => command?.commandId as CommandId)).size).to.equal(2)
    expect(woken).to.deep.equal([AGENT, AGENT])
  })

  it('counts what it placed itself: the agent has room for one', async () => {
    const room = anAgent({ allocated: { sessions: 9, cpuMillis: 0, memoryMib: 0 } })
    const { deps, committed } = duty([waiting(1), waiting(2)], { agents: [[room]] })
    expect(await placement(deps).run()).to.deep.equal({ pending: 2, placed: 1 })
    expect(committed.flatMap(({ command }) => command ?? [])).to.have.length(1)
  })

  it('reads the agents again when someone else took the room: figures have changed', async () => {
    const other = anAgent({ id: OTHER_AGENT })
    const { deps, woken } = duty([waiting(1), waiting(2)], { agents: [[anAgent()], [other]], conflicts: [conflict] })
    expect(await placement(deps).run()).to.deep.equal({ pending: 2, placed: 1 })
    expect(woken).to.deep.equal([OTHER_AGENT])
  })

  it('leaves to the next run what someone else took', async () => {
    const { deps, woken } = duty([waiting(1)], { conflicts: [conflict] })
    expect(await placement(deps).run()).to.deep.equal({ pending: 1, placed: 0 })
    expect(woken).to.deep.equal([])
  })

  it('writes nothing where nothing has changed', async () => {
    const { deps, tried } = duty([waiting(1)], { agents: [[anAgent(full)]] })
    await placement(deps).run()
    expect(tried).to.deep.equal([])
  })
})

describe('the deadline duty', () => {
  it('fails what cannot be asked again, as its command was given up and nobody said so', async () => {
    const { deps, committed, store } = duty([aSession({ status: 'stopping' })], {
      duties: { givenUpOf: async (ids) => (ids.includes(SESSION) ? [expired] : []) },
    })
    const inVain: typeof deps = { ...deps, reports: { ...store, redeliver: async () => [] } }
    expect(await deadlines(inVain).run()).to.deep.equal({ overdue: 1, askedAgain: 0 })
    expect(committed.at(-1)?.session).to.deep.include({ status: 'failed', statusReason: 'delivery_failed' })
  })

  it('fails what was to run, and asks again for what was to end', async () => {
    const { deps, committed, woken, store } = duty([
      aSession({ id: id(1), status: 'scheduling', statusDeadline: later(99) }),
      aSession({ id: id(2), status: 'stopping' }),
    ])
    expect(await deadlines(deps).run()).to.deep.equal({ overdue: 2, askedAgain: 1 })
    expect(committed.map(({ session }) => [session.status, session.statusReason])).to.deep.equal([
      ['failed', 'start_timeout'],
      ['stopping', 'stop_overdue'],
    ])
    expect(store.redelivered).to.deep.equal([id(2)])
    expect(woken).to.deep.equal([AGENT])
  })

  it('asks nobody again for what changed meanwhile', async () => {
    const { deps, store } = duty([aSession({ status: 'stopping' })], { conflicts: [conflict] })
    await deadlines(deps).run()
    expect(store.redelivered).to.deep.equal([])
  })
})

describe('the sweep', () => {
  it('leaves a session alone whose command was sent again before it could be told', async () => {
    const { deps, tried } = duty([aSession({ status: 'scheduling' })], { duties: { giveUp: async () => [expired] } })
    await sweep(deps).run()
    expect(tried).to.deep.equal([])
  })

  it('fails sessions whose command is given up, and wakes agents that have something due', async () => {
    const { deps, committed, woken } = duty([aSession({ status: 'scheduling' })], {
      duties: {
        endBackOffs: async () => [AGENT],
        giveUp: async () => [expired, { ...expired, sessionId: id(9) }],
        givenUpOf: async () => [expired],
        agentsWithDueCommands: async () => [OTHER_AGENT, AGENT],
      },
    })
    expect(await sweep(deps).run()).to.deep.equal({ backOffsOver: 1, givenUp: 2, agentsWoken: 2 })
    expect(committed.map(({ session }) => [session.statusReason, session.statusMessage])).to.deep.equal([
      ['delivery_failed', 'not delivered before it expired'],
    ])
    expect(woken.toSorted()).to.deep.equal([AGENT, OTHER_AGENT] satisfies AgentId[])
  })
})
