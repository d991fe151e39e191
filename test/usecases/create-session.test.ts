import { expect } from 'chai'
import type { Agent } from '../../domain/agent/agent.ts'
import type { UserId } from '../../domain/ids.ts'
import type { CommitConflict } from '../../domain/ports/unit-of-work.ts'
import { createRecentAgents } from '../../src/placement/recent-agents.ts'
import type { CreateSession } from '../../src/usecases/application.ts'
import { createSession } from '../../src/usecases/create-session.ts'
import { aCaller } from '../support/a-caller.ts'
import { AGENT, later, OTHER_AGENT, SESSION, timeouts } from '../support/a-session.ts'
import { aDocument, aTemplate } from '../support/a-template.ts'
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
  templatesOf,
} from '../support/fake-ports.ts'

const template = aTemplate({
  document: aDocument({
    parameters: [
      { name: 'title', type: 'string', default: 'Home', env: 'TITLE' },
      { name: 'password', type: 'secret', env: 'PASSWORD' },
    ],
    resources: { memoryMib: 64 },
  }),
})

const aCreation = (setting: { agents?: readonly (readonly Agent[])[]; conflicts?: readonly CommitConflict[] } = {}) => {
  const log: string[] = []
  const { unitOfWork, tried, committed } = scriptedUnitOfWork(setting.conflicts, log)
  const { wake, woken } = recordedWake(log)
  const create = createSession({
    templates: templatesOf(template),
    agents: createRecentAgents(agentsSeen(...(setting.agents ?? [[anAgent()]]))),
    unitOfWork,
    wake,
    clock: fixedClock,
    ids: countedIds(),
    timeouts,
  })
  return {
    create: (request: Partial<CreateSession> = {}, caller = aCaller()) =>
      create(caller, { template: 'hello-web', ...request })(),
    tried,
    committed,
    woken,
    log,
  }
}

describe('creating a session', () => {
  it('commits it placed, and only then wakes its agent', async () => {
    const { create, committed, woken, log } = aCreation()
    const view = rightOf(await create())
    expect(view).to.deep.include({
      id: SESSION,
      name: 'hello-web',
      userId: 'ada',
      status: 'scheduling',
      agentId: AGENT,
      agentReachable: true,
      generation: 1,
      version: 1,
      resources: { cpuMillis: 500, memoryMib: 64 },
    })
    expect(committed).to.have.length(1)
    expect(committed[0]?.previous).to.equal(null)
    expect(committed[0]?.events[0]?.actor).to.equal('user:ada')
    expect(woken).to.deep.equal([AGENT])
    expect(log).to.deep.equal(['committed', 'woke'])
  })

  it('is spread over agents that are alike also when all are placed in the same moment', async () => {
    const { create } = aCreation({ agents: [[anAgent(), anAgent({ id: OTHER_AGENT })]] })
    const views = await Promise.all(Array.from({ length: 8 }, async () => rightOf(await create())))
    const on = (id: string) => views.filter(({ agentId }) => agentId === id).length
    expect([on(AGENT), on(OTHER_AGENT)]).to.deep.equal([4, 4])
  })

  it('keeps what was asked: name, labels, environment, timeouts, home', async () => {
    const { create, committed } = aCreation()
    const asked = {
      name: 'Desk',
      labels: { team: 'web' },
      env: { LANG: 'C' },
      persistentHome: false,
      idleTimeoutSeconds: 60,
      maxDurationSeconds: null,
    }
    expect(rightOf(await create(asked))).to.deep.include({ ...asked, createdAt: later(100) })
    expect(committed[0]?.session.template).to.deep.include({ name: 'hello-web', version: 2 })
  })

  it('gives parameters to the spec, and secret ones to nothing but the sealed environment', async () => {
    const { create, tried } = aCreation()
    const view = rightOf(await create({ parameters: { title: 'x', password: 'hunter2' } }))
    expect(view.parameters).to.deep.equal({ title: 'x', password: null })
    expect(tried[0]?.secrets).to.deep.equal({ PASSWORD: 'hunter2' })
    expect(tried[0]?.decision.session.spec.env).to.deep.equal({ TITLE: 'x' })
    expect(JSON.stringify([tried[0]?.decision, view])).not.to.include('hunter2')
  })

  it('is refused to those who may only look, before anything is looked up', async () => {
    const { create, tried } = aCreation()
    expect(leftOf(await create({ template: 'no-such' }, aCaller({ role: 'viewer' })))).to.deep.equal({
      _tag: 'Forbidden',
      permission: 'change_sessions',
    })
    expect(tried).to.deep.equal([])
  })

  it('belongs to whoever asks', async () => {
    const { create, committed } = aCreation()
    rightOf(await create({}, aCaller({ role: 'user', userId: 'bob' as UserId })))
    expect(committed[0]?.session).to.deep.include({ userId: 'bob', orgId: 'acme' })
  })

  it('of a template, or a version of one, that there is not is refused', async () => {
    const { create } = aCreation()
    expect(leftOf(await create({ template: 'nope' }))).to.deep.equal({
      _tag: 'UnknownTemplate',
      name: 'nope',
      version: null,
    })
    expect(leftOf(await create({ templateVersion: 9 }))).to.deep.include({ _tag: 'UnknownTemplate', version: 9 })
    expect(rightOf(await create({ templateVersion: 2 })).template.version).to.equal(2)
  })

  it('with parameters that do not fit is refused with each of them', async () => {
    const { create, tried } = aCreation()
    const refusal = leftOf(await create({ parameters: { title: 7, colour: 'red' } }))
    expect(refusal._tag === 'InvalidParameters' && refusal.errors.map(({ field }) => field)).to.have.members([
      'parameters.title',
      'parameters.colour',
    ])
    expect(tried).to.deep.equal([])
  })

  it('with more environment than a command can carry is refused, counted in bytes', async () => {
    const { create } = aCreation()
    const env = (letter: string) => ({
      env: Object.fromEntries([1, 2, 3, 4].map((n) => [`E${n}`, letter.repeat(30_000)])),
    })
    expect(leftOf(await create(env('€')))).to.deep.include({ _tag: 'InvalidParameters' })
    rightOf(await create(env('x')))
  })

  it('on an agent that nobody knows is refused; on one that is known it goes there', async () => {
    const agents = [[anAgent(), anAgent({ id: OTHER_AGENT, allocated: { sessions: 9, cpuMillis: 0, memoryMib: 0 } })]]
    expect(leftOf(await aCreation({ agents }).create({ agentId: 'nope' }))).to.deep.equal({
      _tag: 'UnknownAgent',
      agentId: 'nope',
    })
    expect(rightOf(await aCreation({ agents }).create({ agentId: OTHER_AGENT })).agentId).to.equal(OTHER_AGENT)
  })

  it('that no agent could ever run is refused, with why each of them cannot', async () => {
    const { create, tried } = aCreation({ agents: [[anAgent({ platform: 'docker' })]] })
    const refusal = leftOf(await create())
    expect(refusal._tag === 'NoAgent' && refusal.refusals).to.deep.equal([
      { agentId: AGENT, reason: 'other_platform', detail: 'runs docker; the template is for process' },
    ])
    const elsewhere = leftOf(await aCreation().create({ region: 'us', platform: 'process' }))
    expect(elsewhere._tag === 'NoAgent' && elsewhere.detail).to.match(/process was asked for in region us/)
    expect(tried).to.deep.equal([])
  })

  it('that no agent can run now is accepted and waits, and nobody is woken', async () => {
    const { create, woken } = aCreation({ agents: [[anAgent(full)]] })
    expect(rightOf(await create())).to.deep.include({
      status: 'pending',
      statusReason: 'no_capacity',
      agentId: null,
      agentReachable: false,
    })
    expect(woken).to.deep.equal([])
  })

  it('that lost the race for the last room is placed again with fresh figures', async () => {
    const first = [anAgent()]
    const fresh = [anAgent(full), anAgent({ id: OTHER_AGENT })]
    const { create, tried, woken } = aCreation({ agents: [first, fresh], conflicts: [notReserved] })
    expect(rightOf(await create()).agentId).to.equal(OTHER_AGENT)
    expect(tried.map(({ decision }) => decision.session.agentId)).to.deep.equal([AGENT, OTHER_AGENT])
    expect(new Set(tried.map(({ decision }) => decision.command?.commandId)).size).to.equal(2)
    expect(woken).to.deep.equal([OTHER_AGENT])
  })

  it('that lost every race waits in the queue instead of failing', async () => {
    const { create, tried, woken } = aCreation({ conflicts: Array(5).fill(notReserved) })
    expect(rightOf(await create())).to.deep.include({ status: 'pending', statusReason: 'no_capacity', agentId: null })
    expect(tried).to.have.length(6)
    expect(woken).to.deep.equal([])
  })

  it('that the database asked to try again is tried again', async () => {
    const { create, committed } = aCreation({ conflicts: [conflict] })
    expect(rightOf(await create()).status).to.equal('scheduling')
    expect(committed).to.have.length(1)
  })
})
