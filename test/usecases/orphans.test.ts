import { expect } from 'chai'
import { type Brake, brake } from '../../domain/agent/brake.ts'
import type { Role } from '../../domain/identity/caller.ts'
import type { CommandId, OrgId, SessionId } from '../../domain/ids.ts'
import type { CommandResult, ReportAnswer } from '../../domain/ports/delivery.ts'
import type { OrphanStore, OrphansRecorded, RemovalBegun, RemovalResult } from '../../domain/ports/orphans.ts'
import type { AgentReport } from '../../src/usecases/apply-reports.ts'
import { orphanUseCases } from '../../src/usecases/orphans.ts'
import { type OrphanReport, REMOVALS_AT_ONCE, reconcileOrphans } from '../../src/usecases/reconcile-orphans.ts'
import { settleRemovals } from '../../src/usecases/settle-removals.ts'
import { aCaller } from '../support/a-caller.ts'
import { AGENT, OTHER_AGENT, SESSION } from '../support/a-session.ts'
import { anAgent } from '../support/an-agent.ts'
import { countedIds, leftOf, recordedWake, rightOf } from '../support/fake-ports.ts'

const peer = { agentId: AGENT, epoch: 1 }
const none = { found: [], resources: 4, spokenSince: new Set<SessionId>() }

describe('the orphans of an inventory', () => {
  const reconciling = (recorded: Partial<OrphansRecorded>, ...answers: readonly RemovalBegun[]) => {
    const asked: { readonly commands: number; readonly brake: Brake }[] = []
    const told: OrphanReport[] = []
    const { wake, woken } = recordedWake()
    const orphans: Pick<OrphanStore, 'record' | 'remove'> = {
      record: async () =>
        ({ kind: 'recorded', fresh: 0, ended: 0, due: 0, at: new Date(0), ...recorded }) as OrphansRecorded,
      remove: async (_peer, _inventory, commandIds, by) => {
        asked.push({ commands: commandIds.length, brake: by })
        return (
          answers[asked.length - 1] ?? { kind: 'begun', removing: commandIds.length, held: null, heldBefore: false }
        )
      },
    }
    const inventories = { isRecorded: async () => false }
    const run = reconcileOrphans({
      inventories,
      orphans,
      ids: countedIds(),
      wake,
      graceMs: 1,
      told: (one) => void told.push(one),
    })
    return { run: () => run(peer, none), asked, told, woken }
  }

  it('of which none is due are written down and nothing is judged', async () => {
    const { run, asked, told, woken } = reconciling({ fresh: 2 })
    expect(await run()).to.equal('accepted')
    expect([asked, woken]).to.deep.equal([[], []])
    expect(told).to.deep.equal([{ agentId: AGENT, fresh: 2, ended: 0, removing: 0, held: null }])
  })

  it('are not written down again where there are none, and that is recorded', async () => {
    const notExpected = () => {
      throw new Error('not expected')
    }
    const run = reconcileOrphans({
      inventories: { isRecorded: async ({ agentId, sessions }) => agentId === AGENT && sessions === 4 },
      orphans: { record: notExpected, remove: notExpected },
      ids: countedIds(),
      wake: recordedWake().wake,
      graceMs: 1,
      told: notExpected,
    })
    expect(await run(peer, none)).to.equal('accepted')
  })

  it('that are due are removed by the brake’s leave, and the agent is woken', async () => {
    const { run, asked, told, woken } = reconciling({ due: 3 })
    await run()
    expect(asked).to.deep.equal([{ commands: 3, brake }])
    expect(woken).to.deep.equal([AGENT])
    expect(told.map(({ removing }) => removing)).to.deep.equal([3])
  })

  it('are removed in portions, until fewer go than were asked for', async () => {
    const { run, asked, told } = reconciling({ due: 2 * REMOVALS_AT_ONCE + 5 })
    await run()
    expect(asked.map(({ commands }) => commands)).to.deep.equal([REMOVALS_AT_ONCE, REMOVALS_AT_ONCE, 5])
    expect(told[0]?.removing).to.equal(2 * REMOVALS_AT_ONCE + 5)
  })

  it('that are held are told of once', async () => {
    const held = { kind: 'begun', removing: 0, held: 'too many', heldBefore: false } as const
    const first = reconciling({ due: 20 }, held)
    await first.run()
    expect([first.told.map((one) => one.held), first.woken]).to.deep.equal([['too many'], []])
    const again = reconciling({ due: 20 }, { ...held, heldBefore: true })
    await again.run()
    expect(again.told).to.deep.equal([])
  })

  it('under an epoch that has passed are nobody’s', async () => {
    expect(await reconciling({ kind: 'fenced' }).run()).to.equal('fenced')
    const late = reconciling({ due: 1 }, { kind: 'fenced' })
    expect([await late.run(), late.woken]).to.deep.equal(['fenced', []])
  })
})

describe('results of removals', () => {
  const REMOVAL = 'removal' as CommandId
  const result = (changes: Partial<CommandResult> = {}): CommandResult => ({
    commandId: REMOVAL,
    sessionId: SESSION,
    generation: 4,
    outcome: 'applied',
    error: null,
    observed: null,
    ...changes,
  })
  const of = (one: CommandResult, by = peer): AgentReport => ({
    kind: 'result',
    peer: by,
    sessionId: one.sessionId,
    result: one,
  })
  const settling = (answers: readonly ReportAnswer[], removals: readonly CommandId[], fenced = false) => {
    const settled: (readonly RemovalResult[])[] = []
    const settle = settleRemovals({
      orphans: {
        settle: async (results) => {
          settled.push(results)
          const mine = results.filter(({ commandId }) => removals.includes(commandId))
          return {
            settled: new Set(fenced ? [] : mine.map(({ commandId }) => commandId)),
            fenced: new Set(fenced ? results.map((one) => one.peer.agentId) : []),
          }
        },
      },
      reports: { attempts: async (ids) => ids.map((commandId) => ({ commandId, failures: 9, generation: 4 })) },
      random: () => 0,
      told: () => {},
      applyReports: async () => answers,
    })
    return { settle, settled }
  }

  it('are told from those of sessions, which pay nothing for it', async () => {
    const { settle, settled } = settling(['accepted'], [])
    expect(await settle([of(result())])).to.deep.equal(['accepted'])
    expect(settled).to.deep.equal([])
  })

  it('are accepted where no session explains them, and other strange ones stay refused', async () => {
    const stranger = result({ commandId: 'stranger' as CommandId })
    const status: AgentReport = { kind: 'status', peer, sessionId: SESSION, generation: 1, said: { status: 'running' } }
    const { settle, settled } = settling(['not_yours', 'not_yours', 'not_yours', 'fenced'], [REMOVAL])
    expect(await settle([of(result()), of(stranger), status, of(result())])).to.deep.equal([
      'accepted',
      'not_yours',
      'not_yours',
      'fenced',
    ])
    expect(settled.flat().map(({ commandId, fate }) => [commandId, fate.status])).to.deep.equal([
      [REMOVAL, 'done'],
      ['stranger', 'done'],
    ])
  })

  it('that failed too often are dead, as those of any command', async () => {
    const failed = result({ outcome: 'failed', error: { code: 'busy', message: 'later', retryable: true } })
    const { settle, settled } = settling(['not_yours'], [REMOVAL])
    await settle([of(failed)])
    expect(settled.flat()[0]?.fate.status).to.equal('dead')
  })

  it('said twice on one connection count once', async () => {
    const { settle, settled } = settling(['not_yours', 'not_yours'], [REMOVAL])
    expect(await settle([of(result()), of(result())])).to.deep.equal(['accepted', 'accepted'])
    expect(settled.flat()).to.have.length(1)
  })

  it('of an epoch that has passed close the connection', async () => {
    const { settle } = settling(['not_yours'], [REMOVAL], true)
    expect(await settle([of(result())])).to.deep.equal(['fenced'])
  })
})

describe('orphans for people', () => {
  const page = { limit: 10, cursor: null }
  const using = (approval: Awaited<ReturnType<OrphanStore['approve']>> = { kind: 'approved', count: 3 }) => {
    const log: unknown[] = []
    const { wake, woken } = recordedWake()
    const removal = {
      halted: true,
      haltedAt: null,
      haltedBy: null,
      haltedReason: null,
      resumedAt: null,
      resumedBy: null,
      revision: 1,
      haltedOrgs: 0,
      orgs: [],
    }
    const ofOrg = (orgId: OrgId) => ({ ...removal, orgId })
    const notExpected = () => {
      throw new Error('not expected')
    }
    const cases = orphanUseCases({
      orphans: {
        record: notExpected,
        remove: notExpected,
        settle: notExpected,
        list: async () => ({ items: [], nextCursor: null }),
        events: async () => ({ items: [], nextCursor: null }),
        approve: async ({ id }, ...call) => {
          log.push([id, ...call])
          return approval
        },
        removeApproved: async (_agentId, commandIds) => Math.min(commandIds.length, 3),
        removal: async () => removal,
        halt: async (by) => {
          log.push(by)
          return removal
        },
        resume: async (by) => {
          log.push(by)
          return { ...removal, lifted: [] }
        },
        orgRemoval: async (orgId) => (orgId === 'nowhere' ? null : ofOrg(orgId)),
        haltOrg: async (orgId, by) => {
          log.push([orgId, by])
          return ofOrg(orgId)
        },
        resumeOrg: async (orgId, by) => {
          log.push([orgId, by])
          return ofOrg(orgId)
        },
      },
      agents: {
        get: async (orgId, id) => {
          const agent = id === AGENT ? anAgent() : id === OTHER_AGENT ? anAgent({ id: OTHER_AGENT, orgId: null }) : null
          return agent === null || (agent.orgId !== null && agent.orgId !== orgId) ? null : agent
        },
      },
      ids: countedIds(),
      wake,
      told: () => {},
    })
    return { cases, log, woken }
  }
  const as = (role: Role, changes: Parameters<typeof aCaller>[0] = {}) => aCaller({ role, ...changes })

  it('of an org’s own agents are halted and let go on by its operators, and by the installation', async () => {
    const acme = as('operator').orgId
    for (const act of ['haltOrg', 'resumeOrg'] as const) {
      const { cases, log } = using()
      expect(rightOf(await cases[act](as('operator'), acme, null)()).orgId).to.equal(acme)
      const elsewhere = as('installation', { orgId: 'elsewhere' as OrgId })
      expect(rightOf(await cases[act](elsewhere, acme, null)()).orgId).to.equal(acme)
      expect(log).to.deep.equal([
        [acme, `user:${as('operator').userId}`],
        // Who of the installation it was is nothing that the org is told.
        [acme, 'installation'],
      ])
      // Of another org, or of none: as if it were not there.
      const refusals = [
        [as('user'), acme, 'Forbidden'],
        [as('viewer'), acme, 'Forbidden'],
        [as('admin', { orgId: 'elsewhere' as OrgId }), acme, 'NotFound'],
        [as('installation'), 'nowhere' as OrgId, 'NotFound'],
      ] as const
      for (const [caller, org, tag] of refusals) {
        expect(leftOf<{ _tag: string }>(await cases.orgRemoval(caller, org)())._tag).to.equal(tag)
        expect(leftOf<{ _tag: string }>(await cases[act](caller, org, null)())._tag).to.equal(tag)
      }
      expect(log).to.have.length(2)
    }
  })

  it('are seen and approved by operators of the agent’s org', async () => {
    for (const role of ['viewer', 'user'] as const) {
      const { cases, log } = using()
      for (const answer of [
        await cases.list(as(role), AGENT, ['seen'], page)(),
        await cases.events(as(role), AGENT, page)(),
        await cases.approve(as(role), AGENT, null)(),
      ])
        expect(leftOf<{ _tag: string }>(answer)._tag).to.equal('Forbidden')
      expect(log).to.deep.equal([])
    }
    const { cases, log, woken } = using()
    const caller = as('operator')
    rightOf(await cases.list(caller, AGENT, ['seen'], page)())
    expect(rightOf(await cases.approve(caller, AGENT, [SESSION])())).to.deep.equal({ approved: 3 })
    expect(log).to.deep.equal([[AGENT, [SESSION], `user:${caller.userId}`]])
    expect(woken).to.deep.equal([AGENT])
  })

  it('of another org’s agent are not there; those of a shared one are the installation’s', async () => {
    const { cases } = using()
    const stranger = as('admin', { orgId: 'elsewhere' as OrgId })
    expect(leftOf<{ _tag: string }>(await cases.approve(stranger, AGENT, null)())._tag).to.equal('NotFound')
    expect(leftOf<{ _tag: string }>(await cases.list(as('admin'), OTHER_AGENT, ['seen'], page)())._tag).to.equal(
      'Forbidden',
    )
    rightOf(await cases.list(as('installation'), OTHER_AGENT, ['seen'], page)())
    rightOf(await cases.approve(as('installation'), OTHER_AGENT, null)())
  })

  it('that are not there are named, and none is approved', async () => {
    const { cases, woken } = using({ kind: 'missing', sessionIds: [SESSION] })
    expect(leftOf(await cases.approve(as('operator'), AGENT, [SESSION])())).to.deep.equal({
      _tag: 'NotFound',
      what: 'orphan',
      id: SESSION,
    })
    expect(woken).to.deep.equal([])
  })

  it('are let go on being removed by the installation alone', async () => {
    const { cases, log } = using()
    for (const ask of [cases.removal, cases.halt, cases.resume])
      expect(leftOf<{ _tag: string }>(await ask(as('admin'), null)())._tag).to.equal('Forbidden')
    expect(log).to.deep.equal([])
    rightOf(await cases.resume(as('installation'), null)())
    expect(log).to.have.length(1)
  })
})
