import { expect } from 'chai'
import type { Orphan } from '../../domain/agent/orphan.ts'
import { E } from '../../domain/fp.ts'
import type { AgentId, OrgId, UserId } from '../../domain/ids.ts'
import type { AdoptionStore, LockedOrphan } from '../../domain/ports/adoption.ts'
import { adoptOrphan } from '../../src/usecases/adopt-orphan.ts'
import type { AdoptOrphan } from '../../src/usecases/application.ts'
import { aCaller } from '../support/a-caller.ts'
import { AGENT, later, ORG, OTHER_AGENT, SESSION, T0, timeouts } from '../support/a-session.ts'
import { aDocument, aTemplate } from '../support/a-template.ts'
import { anAgent } from '../support/an-agent.ts'
import { countedIds, fixedClock, leftOf, rightOf, templatesOf } from '../support/fake-ports.ts'

const ACME = ORG
const GLOBEX = 'globex' as OrgId
const template = aTemplate({
  document: aDocument({
    parameters: [
      { name: 'title', type: 'string', required: true, env: 'TITLE' },
      { name: 'password', type: 'secret', env: 'PASSWORD' },
    ],
  }),
})
const anOrphan: Orphan = {
  sessionId: SESSION,
  agentId: AGENT,
  generation: 7,
  status: 'running',
  reason: 'unknown',
  state: 'seen',
  firstSeenAt: T0,
  lastSeenAt: T0,
  approvedAt: null,
  approvedBy: null,
  commandId: null,
  removalBegunAt: null,
  endedAt: null,
}
const locked: LockedOrphan = {
  orphan: anOrphan,
  removal: null,
  capacity: { maxSessions: 1, cpuMillis: 4_000, memoryMib: 8_192 },
  allocated: { sessions: 1, cpuMillis: 0, memoryMib: 0 },
}

const adopting = (found: LockedOrphan | 'missing' | 'is_a_session' = locked) => {
  const judged: { readonly agent: unknown; readonly secrets: unknown }[] = []
  const asked: AgentId[] = []
  const told: unknown[] = []
  const adoption: AdoptionStore = {
    adopt: async (agent, _sessionId, judge, secrets) => {
      judged.push({ agent: agent.id, secrets })
      if (typeof found === 'string') return { kind: found }
      const decision = judge(found)
      return E.isLeft(decision)
        ? { kind: 'refused', refusal: decision.left }
        : { kind: 'adopted', decision: decision.right }
    },
  }
  const adopt = adoptOrphan({
    adoption,
    agents: {
      get: async (orgId, id) => {
        const agent = id === AGENT ? anAgent() : id === OTHER_AGENT ? anAgent({ id: OTHER_AGENT, orgId: null }) : null
        return agent === null || (agent.orgId !== null && agent.orgId !== orgId) ? null : agent
      },
    },
    access: { orgExists: async (orgId) => orgId === GLOBEX },
    templates: templatesOf(template),
    clock: fixedClock,
    ids: countedIds(),
    timeouts,
    askInventory: (agentId) => asked.push(agentId),
    told: (_act, fields) => told.push(fields),
  })
  const ask = (request: Partial<AdoptOrphan> = {}, caller = aCaller(), id = AGENT) =>
    adopt(caller, id, SESSION, {
      orgId: ACME,
      userId: 'ben' as UserId,
      template: 'hello-web',
      parameters: { title: 'x' },
      ...request,
    })()
  return { ask, judged, asked, told }
}
const refusal = async (answer: ReturnType<ReturnType<typeof adopting>['ask']>): Promise<string> =>
  leftOf(await answer)._tag

describe('adopting an orphan, for people', () => {
  it('makes it the session of who is named, by the figures of this moment, and asks the agent what it has', async () => {
    const { ask, asked, told } = adopting()
    const view = rightOf(await ask({ name: 'Desk', labels: { team: 'web' } }))
    expect(view).to.deep.include({
      id: SESSION,
      orgId: ACME,
      userId: 'ben',
      name: 'Desk',
      labels: { team: 'web' },
      status: 'running',
      generation: 7,
      agentId: AGENT,
      agentReachable: true,
      createdAt: later(100),
    })
    expect(view.statusMessage).to.match(/more than its capacity/)
    expect(asked).to.deep.equal([AGENT])
    expect(told).to.deep.equal([{ agentId: AGENT, sessionId: SESSION, orgId: ACME, userId: 'ben', by: 'ada' }])
  })

  it('checks template and parameters as a create does, and seals its secrets', async () => {
    const { ask, judged } = adopting()
    expect(await refusal(ask({ template: 'nope' }))).to.equal('UnknownTemplate')
    expect(await refusal(ask({ parameters: { colour: 'red' } }))).to.equal('InvalidParameters')
    expect(judged).to.deep.equal([])
    const view = rightOf(await ask({ parameters: { title: 'x', password: 'hunter2' } }))
    expect(judged[0]?.secrets).to.deep.equal({ PASSWORD: 'hunter2' })
    expect(JSON.stringify(view)).not.to.include('hunter2')
  })

  it('is for operators of the agent’s org, within that org', async () => {
    const { ask, judged } = adopting()
    for (const role of ['viewer', 'user'] as const)
      expect(await refusal(ask({}, aCaller({ role })))).to.equal('Forbidden')
    expect(await refusal(ask({}, aCaller({ role: 'admin', orgId: GLOBEX })))).to.equal('NotFound')
    expect(await refusal(ask({ orgId: GLOBEX }, aCaller({ role: 'admin' })))).to.equal('Forbidden')
    expect(await refusal(ask({}, aCaller({ role: 'admin' }), OTHER_AGENT))).to.equal('Forbidden')
    expect(judged).to.deep.equal([])
  })

  it('of a shared agent is the installation’s, for any org that there is', async () => {
    const { ask } = adopting()
    const installation = aCaller({ role: 'installation' })
    expect(rightOf(await ask({ orgId: GLOBEX }, installation, OTHER_AGENT)).orgId).to.equal(GLOBEX)
    expect(leftOf(await ask({ orgId: 'nowhere' as OrgId }, installation, OTHER_AGENT))).to.deep.equal({
      _tag: 'NotFound',
      what: 'org',
      id: 'nowhere',
    })
    // An agent of one org has no sessions of another.
    expect(await refusal(ask({ orgId: GLOBEX }, installation))).to.equal('NoAgent')
  })

  it('that is not there, is a session, or is being removed is refused, and nobody is asked or told', async () => {
    for (const [found, tag] of [
      ['missing', 'NotFound'],
      ['is_a_session', 'OrphanNotAdoptable'],
      [{ ...locked, removal: 'pending' }, 'OrphanNotAdoptable'],
      [{ ...locked, orphan: { ...anOrphan, reason: 'not_yours' } }, 'OrphanNotAdoptable'],
    ] as const) {
      const { ask, asked, told } = adopting(found)
      expect(await refusal(ask())).to.equal(tag)
      expect([asked, told]).to.deep.equal([[], []])
    }
  })
})
