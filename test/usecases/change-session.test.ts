import { expect } from 'chai'
import type { Agent } from '../../domain/agent/agent.ts'
import type { UserId } from '../../domain/ids.ts'
import type { CommitConflict } from '../../domain/ports/unit-of-work.ts'
import type { Session } from '../../domain/session/session.ts'
import { actOnSession, removeSession, updateSession } from '../../src/usecases/change-session.ts'
import { aCaller } from '../support/a-caller.ts'
import { AGENT, aSession, OTHER_AGENT, SESSION, timeouts } from '../support/a-session.ts'
import { anAgent, full } from '../support/an-agent.ts'
import {
  agentsSeen,
  conflict,
  countedIds,
  fixedClock,
  leftOf,
  notReserved,
  recordedWake,
  rightOf,
  scriptedUnitOfWork,
  sessionsSeen,
} from '../support/fake-ports.ts'

const changing = (
  states: readonly (Session | null)[],
  setting: { agents?: readonly (readonly Agent[])[]; conflicts?: readonly CommitConflict[] } = {},
) => {
  const log: string[] = []
  const sessions = sessionsSeen(...states)
  const { unitOfWork, committed, tried } = scriptedUnitOfWork(setting.conflicts, log)
  const { wake, woken } = recordedWake(log)
  const deps = {
    sessions,
    agents: agentsSeen(...(setting.agents ?? [[anAgent()]])),
    unitOfWork,
    wake,
    clock: fixedClock,
    ids: countedIds(),
    timeouts,
  }
  return {
    act: actOnSession(deps),
    remove: removeSession(deps),
    update: updateSession(deps),
    sessions,
    committed,
    tried,
    woken,
    log,
  }
}

describe('changing a session', () => {
  it('loads, decides, commits, and only then wakes its agent', async () => {
    const { act, woken, log } = changing([aSession()])
    const view = rightOf(await act(aCaller(), SESSION, 'stop', null)())
    expect(view).to.deep.include({ status: 'stopping', generation: 4, version: 6, agentReachable: true })
    expect(woken).to.deep.equal([AGENT])
    expect(log).to.deep.equal(['committed', 'woke'])
  })

  it('that changes nothing wakes nobody', async () => {
    const { act, woken } = changing([aSession({ status: 'stopped' })])
    expect(rightOf(await act(aCaller(), SESSION, 'stop', null)())).to.deep.include({ status: 'stopped', version: 5 })
    expect(woken).to.deep.equal([])
  })

  it('is refused in the order existence, role, If-Match, transition', async () => {
    const viewer = aCaller({ role: 'viewer' })
    const tagOf = async (caller: typeof viewer, state: Session | null, ifMatch: readonly number[] | null) =>
      leftOf(await changing([state]).act(caller, SESSION, 'hibernate', ifMatch)())._tag
    const stopped = aSession({ status: 'stopped' })
    expect(await tagOf(viewer, null, [1])).to.equal('NotFound')
    expect(await tagOf(viewer, stopped, [1])).to.equal('Forbidden')
    expect(await tagOf(aCaller(), stopped, [1])).to.equal('VersionMismatch')
    expect(await tagOf(aCaller(), stopped, [5])).to.equal('TransitionRefused')
  })

  it('says what is missing, what is allowed and which version there is', async () => {
    const stopped = aSession({ status: 'stopped' })
    const { act } = changing([stopped])
    expect(leftOf(await act(aCaller(), SESSION, 'restart', null)())).to.deep.equal({
      _tag: 'TransitionRefused',
      action: 'restart',
      state: 'stopped',
      allowedActions: ['start', 'wake', 'stop', 'delete'],
    })
    expect(leftOf(await act(aCaller(), SESSION, 'stop', [4, 6])())).to.deep.equal({
      _tag: 'VersionMismatch',
      current: 5,
    })
    expect(leftOf(await act(aCaller(), SESSION, 'stop', [])())).to.deep.equal({ _tag: 'VersionMismatch', current: 5 })
    expect(leftOf(await changing([null]).act(aCaller(), SESSION, 'stop', null)())).to.deep.equal({
      _tag: 'NotFound',
      what: 'session',
      id: SESSION,
    })
  })

  it('honours any of the versions that If-Match names', async () => {
    rightOf(await changing([aSession()]).act(aCaller(), SESSION, 'stop', [4, 5])())
  })

  it('looks within the caller’s scope: everything of the org, or only their own', async () => {
    const scopes: unknown[] = []
    const { sessions } = changing([null])
    const load: typeof sessions.load = async (scope) => {
      scopes.push(scope)
      return null
    }
    const { unitOfWork } = scriptedUnitOfWork()
    const deps = {
      sessions: { ...sessions, load },
      agents: agentsSeen([]),
      unitOfWork,
      wake: recordedWake().wake,
      clock: fixedClock,
      ids: countedIds(),
      timeouts,
    }
    const act = actOnSession(deps)
    for (const role of ['user', 'operator', 'admin'] as const)
      await act(aCaller({ role, userId: 'bob' as UserId }), SESSION, 'stop', null)()
    expect(scopes).to.deep.equal([
      { orgId: 'acme', ownerId: 'bob' },
      { orgId: 'acme', ownerId: null },
      { orgId: 'acme', ownerId: null },
    ])
  })

  it('that someone else was faster with is decided again on what there is now', async () => {
    const again = changing([aSession({ status: 'failed' }), aSession({ status: 'stopped', revision: 10 })], {
      conflicts: [conflict],
    })
    expect(rightOf(await again.act(aCaller(), SESSION, 'start', null)()).status).to.equal('scheduling')
    expect(again.sessions.loads()).to.equal(2)
    expect(again.committed.map(({ previous }) => previous?.revision)).to.deep.equal([10])
  })

  it('checks If-Match and the transition again after someone else was faster', async () => {
    const gone = changing([aSession(), null], { conflicts: [conflict] })
    expect(leftOf(await gone.act(aCaller(), SESSION, 'stop', null)())._tag).to.equal('NotFound')
    const newer = changing([aSession(), aSession({ version: 6 })], { conflicts: [conflict] })
    expect(leftOf(await newer.act(aCaller(), SESSION, 'stop', [5])())).to.deep.equal({
      _tag: 'VersionMismatch',
      current: 6,
    })
    const deleting = changing([aSession(), aSession({ status: 'deleting' })], { conflicts: [conflict] })
    expect(leftOf(await deleting.act(aCaller(), SESSION, 'stop', null)())._tag).to.equal('TransitionRefused')
  })

  it('that loses ten times is given up, honestly', async () => {
    const { act, tried, woken } = changing([aSession()], { conflicts: Array(10).fill(conflict) })
    expect(leftOf(await act(aCaller(), SESSION, 'stop', null)())).to.deep.equal({
      _tag: 'Contended',
      what: `session ${SESSION}`,
    })
    expect(tried).to.have.length(10)
    expect(woken).to.deep.equal([])
  })

  it('that finds no room at its home after all waits for it', async () => {
    const { act, committed } = changing([aSession({ status: 'stopped' })], {
      agents: [[anAgent()], [anAgent(full)]],
      conflicts: [notReserved],
    })
    expect(rightOf(await act(aCaller(), SESSION, 'start', null)())).to.deep.include({
      status: 'pending',
      statusReason: 'home_agent_full',
    })
    expect(committed[0]?.command).to.equal(null)
  })

  it('that moves it to another agent says whether that one is reachable', async () => {
    const homeless = aSession({ status: 'stopped', persistentHome: false })
    const { act } = changing([homeless], { agents: [[anAgent(full), anAgent({ id: OTHER_AGENT })]] })
    expect(rightOf(await act(aCaller(), SESSION, 'start', null)())).to.deep.include({
      agentId: OTHER_AGENT,
      agentReachable: true,
    })
  })
})

describe('deleting a session', () => {
  it('is for whoever may change it; by force for operators', async () => {
    const user = aCaller({ role: 'user' })
    expect(rightOf(await changing([aSession()]).remove(user, SESSION, false, null)())).to.deep.include({
      status: 'deleting',
      deletedAt: null,
    })
    expect(leftOf(await changing([aSession()]).remove(user, SESSION, true, null)())).to.deep.equal({
      _tag: 'Forbidden',
      permission: 'operate',
    })
    const forced = changing([aSession()])
    expect(rightOf(await forced.remove(aCaller(), SESSION, true, null)()).deletedAt).not.to.equal(null)
    expect(forced.woken, 'it is told when it is there').to.deep.equal([AGENT])
  })

  it('honours If-Match', async () => {
    expect(leftOf(await changing([aSession()]).remove(aCaller(), SESSION, true, [4])())._tag).to.equal(
      'VersionMismatch',
    )
  })
})

describe('patching a session', () => {
  it('raises the version and wakes nobody', async () => {
    const { update, woken } = changing([aSession()])
    expect(rightOf(await update(aCaller(), SESSION, { name: 'Desk' }, [5])())).to.deep.include({
      name: 'Desk',
      version: 6,
      generation: 3,
    })
    expect(woken).to.deep.equal([])
  })

  it('is refused to those who may only look', async () => {
    const { update } = changing([aSession()])
    expect(leftOf(await update(aCaller({ role: 'viewer' }), SESSION, { name: 'x' }, null)())._tag).to.equal('Forbidden')
  })
})
