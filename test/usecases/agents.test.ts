import { expect } from 'chai'
import type { Agent } from '../../domain/agent/agent.ts'
import type { Role } from '../../domain/identity/caller.ts'
import type { AgentId, OrgId } from '../../domain/ids.ts'
import type { AccessStore } from '../../domain/ports/access.ts'
import type { AgentStore, Enrolment } from '../../domain/ports/agents.ts'
import { agentUseCases } from '../../src/usecases/agents.ts'
import { aCaller } from '../support/a-caller.ts'
import { AGENT, aSession, ORG, OTHER_AGENT } from '../support/a-session.ts'
import { anAgent } from '../support/an-agent.ts'
import { leftOf, rightOf } from '../support/fake-ports.ts'

const using = (agents: readonly Agent[], sessions = 0) => {
  const known = new Map(agents.map((agent) => [agent.id, agent]))
  const log: unknown[] = []
  const enrolments: Enrolment[] = []
  const store: AgentStore = {
    get: async (orgId, id) => {
      const agent = known.get(id)
      return agent !== undefined && (agent.orgId === null || agent.orgId === orgId) ? agent : null
    },
    list: async (orgId) => ({
      items: [...known.values()].filter((agent) => agent.orgId === null || agent.orgId === orgId),
      nextCursor: null,
    }),
    candidates: async () => [...known.values()],
    enrol: async (enrolment) => {
      if (known.has(enrolment.id)) return false
      enrolments.push(enrolment)
      known.set(enrolment.id, anAgent({ ...enrolment, capacity: null }))
      return true
    },
    setTokenHash: async ({ id }, hash) => log.push(['token', id, hash.toString()]) > 0,
    setCordoned: async ({ id }, cordoned) => log.push(['cordoned', id, cordoned]),
    removeEmpty: async ({ id }) => {
      if (sessions === 0) log.push(['removed', id])
      return sessions
    },
    remove: async ({ id }) => {
      log.push(['removed', id])
      return { count: sessions, sessions: [], byOrg: [] }
    },
  }
  const access: Pick<AccessStore, 'orgExists'> = { orgExists: async (orgId) => orgId !== 'nowhere' }
  const useCases = agentUseCases({
    agents: store,
    drains: {
      begin: async ({ id }, by) => {
        log.push(['drained', id, by])
        return 2
      },
      progress: async (orgId, id) => {
        log.push(['progress', orgId, id])
        const session = aSession({ persistentHome: false })
        return {
          startedAt: null,
          startedBy: null,
          remaining: 1,
          moving: 0,
          movable: 1,
          page: { items: [{ session, moving: false }], nextCursor: null },
        }
      },
    },
    access: access as AccessStore,
    tokens: {
      apiKey: () => '',
      agentToken: () => 'ssa_fresh',
      webhookSecret: () => '',
      hash: (token) => Buffer.from(`hash of ${token}`),
      matches: () => false,
    },
    gateway: {
      disconnect: (id, code) => void log.push(['disconnected', id, code]),
    },
  })
  return { agents: useCases, log, enrolments }
}
const as = (role: Role) => aCaller({ role })

describe('agents', () => {
  it('of the org and shared ones are seen, others are not there', async () => {
    const foreign = anAgent({ id: 'foreign', orgId: 'other' as OrgId })
    const { agents } = using([anAgent(), anAgent({ id: OTHER_AGENT, orgId: null }), foreign])
    expect(rightOf(await agents.list(as('viewer'), {}, { limit: 50, cursor: null })()).items).to.have.length(2)
    expect(rightOf(await agents.get(as('viewer'), OTHER_AGENT)()).id).to.equal(OTHER_AGENT)
    const missing = { _tag: 'NotFound', what: 'agent', id: 'foreign' }
    for (const role of ['operator', 'admin'] as const) {
      expect(leftOf(await agents.get(as(role), foreign.id)())).to.deep.equal(missing)
      expect(leftOf(await agents.remove(as(role), foreign.id, true, null)())).to.deep.equal(missing)
    }
  })

  it('are drained by operators, the shared ones by the installation; of how far it is the org’s readers are told', async () => {
    const { agents, log } = using([anAgent(), anAgent({ id: OTHER_AGENT, orgId: null, draining: true })])
    expect(leftOf(await agents.drain(as('viewer'), AGENT, null)())).to.deep.include({ _tag: 'Forbidden' })
    expect(leftOf(await agents.drain(as('admin'), OTHER_AGENT, null)())).to.deep.include({ _tag: 'Forbidden' })
    expect(log).to.deep.equal([])
    expect(rightOf(await agents.drain(as('operator'), AGENT, null)())).to.include({ cordoned: true, draining: true })
    const page = { limit: 50, cursor: null }
    expect(leftOf(await agents.drainProgress(as('user'), AGENT, page)())).to.deep.include({ _tag: 'Forbidden' })
    const told = rightOf(await agents.drainProgress(as('viewer'), AGENT, page)())
    expect(told).to.deep.include({ agentId: AGENT, draining: false, remaining: 1 })
    expect(told.page.items[0]).to.deep.include({ state: 'waiting', reason: 'in_turn' })
    await agents.drainProgress(as('admin'), OTHER_AGENT, page)()
    await agents.drainProgress(as('installation'), OTHER_AGENT, page)()
    // Sessions of all orgs are the installation’s to see, and nobody else’s.
    expect(log).to.deep.equal([
      ['drained', AGENT, 'user:ada'],
      ['progress', ORG, AGENT],
      ['progress', ORG, OTHER_AGENT],
      ['progress', null, OTHER_AGENT],
    ])
  })

  it('that are uncordoned are drained no more', async () => {
    const { agents } = using([anAgent({ cordoned: true, draining: true })])
    expect(rightOf(await agents.uncordon(as('operator'), AGENT, null)())).to.include({
      cordoned: false,
      draining: false,
    })
    expect(rightOf(await agents.cordon(as('operator'), AGENT, null)())).to.include({ cordoned: true, draining: true })
  })

  it('are cordoned and uncordoned by operators', async () => {
    const { agents, log } = using([anAgent()])
    expect(rightOf(await agents.cordon(as('operator'), AGENT, null)()).cordoned).to.equal(true)
    expect(rightOf(await agents.uncordon(as('operator'), AGENT, null)()).cordoned).to.equal(false)
    expect(log).to.deep.equal([
      ['cordoned', AGENT, true],
      ['cordoned', AGENT, false],
    ])
  })

  it('are changed by nobody below an operator, who is told so only of agents that there are', async () => {
    for (const role of ['viewer', 'user'] as const) {
      const { agents, log } = using([anAgent()])
      for (const change of [
        agents.cordon(as(role), AGENT, null),
        agents.uncordon(as(role), AGENT, null),
        agents.rotateToken(as(role), AGENT, null),
        agents.remove(as(role), AGENT, true, null),
        agents.enrol(as(role), { id: OTHER_AGENT, platform: 'process' }),
      ])
        expect(leftOf<unknown>(await change())).to.deep.equal({ _tag: 'Forbidden', permission: 'operate' })
      expect(leftOf(await agents.cordon(as(role), 'nope' as AgentId, null)())._tag).to.equal('NotFound')
      expect(log).to.deep.equal([])
    }
  })

  it('that are shared are the installation’s to change', async () => {
    const { agents } = using([anAgent({ orgId: null })])
    expect(leftOf(await agents.cordon(as('admin'), AGENT, null)())).to.deep.equal({
      _tag: 'Forbidden',
      permission: 'administer_installation',
    })
    rightOf(await agents.cordon(as('installation'), AGENT, null)())
  })

  it('get a new token, the old one’s socket is closed', async () => {
    const { agents, log } = using([anAgent()])
    expect(rightOf(await agents.rotateToken(as('operator'), AGENT, null)()).token).to.equal('ssa_fresh')
    expect(log).to.deep.equal([
      ['token', AGENT, 'hash of ssa_fresh'],
      ['disconnected', AGENT, 4004],
    ])
  })

  it('are removed when they have no sessions, or by force', async () => {
    const busy = using([anAgent()], 3)
    expect(leftOf(await busy.agents.remove(as('operator'), AGENT, false, null)())).to.deep.equal({
      _tag: 'AgentHasSessions',
      agentId: AGENT,
      sessions: 3,
    })
    expect(busy.log).to.deep.equal([])
    for (const [sessions, force] of [
      [3, true],
      [0, false],
    ] as const) {
      const { agents, log } = using([anAgent()], sessions)
      const lost = rightOf(await agents.remove(as('operator'), AGENT, force, null)())
      expect(lost, 'what is lost is told').to.deep.equal(force ? { count: 3, sessions: [], byOrg: [] } : null)
      expect(log).to.deep.equal([
        ['removed', AGENT],
        ['disconnected', AGENT, 4004],
      ])
    }
  })
})

describe('enrolling an agent', () => {
  const id = 'edge-9' as AgentId

  it('gives a token once, of which only the hash is kept', async () => {
    const { agents, enrolments } = using([])
    const { agent, token } = rightOf(
      await agents.enrol(as('operator'), { id, platform: 'process', region: 'eu', labels: { rack: '7' } })(),
    )
    expect(token).to.equal('ssa_fresh')
    expect(agent.id).to.equal(id)
    expect(enrolments).to.deep.equal([
      {
        id,
        orgId: 'acme',
        platform: 'process',
        region: 'eu',
        labels: { rack: '7' },
        tokenHash: Buffer.from('hash of ssa_fresh'),
      },
    ])
  })

  it('that is there already is refused', async () => {
    const { agents } = using([anAgent()])
    expect(leftOf(await agents.enrol(as('operator'), { id: AGENT, platform: 'process' })())).to.deep.equal({
      _tag: 'AgentExists',
      agentId: AGENT,
    })
  })

  it('shared, or for another org, is the installation’s; the org has to be there', async () => {
    for (const orgId of [null, 'other' as OrgId]) {
      const { agents, enrolments } = using([])
      expect(leftOf(await agents.enrol(as('admin'), { id, platform: 'process', orgId })())).to.deep.equal({
        _tag: 'Forbidden',
        permission: 'administer_installation',
      })
      expect(
        rightOf(await agents.enrol(as('installation'), { id, platform: 'process', orgId })()).agent.orgId,
      ).to.equal(orgId)
      expect(enrolments.map((one) => one.orgId)).to.deep.equal([orgId])
    }
    const { agents } = using([])
    expect(
      leftOf(await agents.enrol(as('installation'), { id, platform: 'process', orgId: 'nowhere' as OrgId })()),
    ).to.deep.equal({ _tag: 'NotFound', what: 'org', id: 'nowhere' })
  })
})
