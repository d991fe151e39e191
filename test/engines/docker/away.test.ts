/** An engine that hangs, is not there yet, or goes down together with what runs in it. */
import { existsSync, rmSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import type { WireSpec } from '../../../agents/protocol.ts'
import { AgentProcess } from '../../support/agent-process.ts'
import { needsOwnDocker, type OwnEngine, ownEngine } from '../../support/docker-engine.ts'
import { eventually } from '../../support/eventually.ts'
import { aSessionId, type DockerAgent, type Place, place, script, site } from './docker-agent.ts'

describe('an engine that is not as it should be', function () {
  this.timeout(120_000)
  let engine: OwnEngine
  let here: Place
  before(async function () {
    needsOwnDocker.call(this)
    engine = await ownEngine()
    here = await place(engine)
  })
  after(async () => {
    engine?.goOn()
    await here?.close()
    await engine?.remove()
  })

  const degradedAs = (agent: DockerAgent, why: RegExp | null, within: number): Promise<unknown> =>
    eventually(
      () => {
        const now = agent.degraded.at(-1) ?? null
        if (why === null) expect(now).to.equal(null)
        else expect(now).to.match(why)
      },
      { within },
    )
  const began = () => performance.now()
  const said = (what: string, since: number): void =>
    console.log(`      ${what}: ${((performance.now() - since) / 1_000).toFixed(1)} s`)

  it('and is killed: the agent says why; what ran is started again as its policy says when it is back', async () => {
    const agent = await here.agent()
    const [again, never] = [aSessionId(), aSessionId()]
    await agent.run(again, site({ restart: { policy: 'on-failure', maxRetries: 3 } }))
    await agent.run(never, site())
    await engine.stop('SIGKILL')
    await eventually(() => expect(agent.degraded.at(-1)).to.match(/the Docker engine at unix:.* cannot be reached/))
    const refused = await agent.apply(aSessionId(), site())
    expect(refused).to.include({ kind: 'failed', retryable: true, code: 'agent_degraded' })
    await engine.start()
    await eventually(() => expect(agent.degraded.at(-1)).to.equal(null))
    const report = await agent.reported(never, 'failed', 20_000)
    expect(report).to.include({ reason: 'host_restarted' })
    await agent.reported(again, 'running', 20_000)
    const { endpoint, restarts } = agent.platform.held(again)!.observed
    expect(restarts).to.equal(1)
    expect((await fetch(endpoint!.url)).status).to.equal(200)
    for (const id of [again, never]) await agent.apply(id, site(), { state: 'deleted', generation: 2 })
  })

  it('and hangs: the agent says so within 20 s, applies end with that, and it recovers with nothing changed', async () => {
    const agent = await here.agent()
    const [session, ended] = [aSessionId(), aSessionId()]
    const { containerId } = await agent.run(session, site())
    const { containerId: other } = await agent.run(ended, script('sleep 3; exit 7'))
    const before = agent.platform.held(session)
    const reports = agent.reports.length
    const hungAt = began()
    engine.hang()
    // Begun before anybody knows.
    const [late] = await Promise.all([
      agent.apply(aSessionId(), site()).then((applied) => {
        said('an apply that was under way failed after', hungAt)
        return applied
      }),
      degradedAs(agent, /the Docker engine at unix:.* cannot be reached: it did not answer within 5 s/, 20_000),
    ])
    said('degraded after', hungAt)
    expect(late).to.include({ kind: 'failed', retryable: true, code: 'agent_degraded' })
    const askedAt = began()
    const refused = await agent.apply(aSessionId(), site())
    expect(refused).to.include({ kind: 'failed', retryable: true, code: 'agent_degraded' })
    expect(performance.now() - askedAt).to.be.lessThan(1_000)
    const stop = await agent.apply(session, site(), { state: 'stopped', generation: 2 })
    expect(stop).to.include({ kind: 'failed', retryable: true })
    expect(agent.platform.held(session)).to.deep.equal(before)
    const backAt = began()
    engine.goOn()
    await degradedAs(agent, null, 15_000)
    said('well again after', backAt)
    expect(agent.reports.slice(reports).filter(({ sessionId }) => sessionId === session)).to.deep.equal([])
    expect(agent.platform.held(session)).to.deep.equal(before)
    expect((await engine.docker.getContainer(containerId!).inspect()).State.Running).to.equal(true)
    // It did end by itself, though nobody could look.
    const report = await agent.reported(ended, 'failed')
    expect(report).to.include({ reason: 'exited_early', exitCode: 7, containerId: other })
    await agent.run(aSessionId(), site())
    await agent.close()
  })

  it('and hangs as the agent ends: that waits for it no longer than four seconds, whatever is under way', async () => {
    const agent = await here.agent({}, { housekeepingMs: 10 })
    const session = aSessionId()
    await agent.run(session, site())
    engine.hang()
    const asked = agent.apply(session, site(), { state: 'stopped', generation: 2 })
    const closedAt = began()
    await agent.close()
    said('closed after', closedAt)
    expect(performance.now() - closedAt).to.be.lessThan(6_000)
    expect((await asked).kind).to.be.oneOf(['interrupted', 'failed'])
    engine.goOn()
  })

  it('and its socket takes connections and says nothing: the same; and ending the agent waits for nothing', async () => {
    const path = join(tmpdir(), `silent-${aSessionId()}`)
    const sockets: import('node:net').Socket[] = []
    const silent: Server = createServer((socket) => void sockets.push(socket.on('error', () => {})))
    await new Promise<void>((resolve) => silent.listen(path, resolve))
    const openedAt = began()
    const agent = await here.agent({ agentId: `${here.agentId}-silent`, dockerHost: `unix://${path}` })
    said('open resolved after', openedAt)
    await degradedAs(agent, /cannot be reached: it did not answer within 5 s/, 20_000)
    expect(agent.platform.adopted?.()).to.equal(false)
    expect(await agent.platform.capacity()).to.deep.equal({ maxSessions: 0, cpuMillis: 0, memoryMib: 0 })
    const closedAt = began()
    await agent.close()
    expect(performance.now() - closedAt).to.be.lessThan(6_000)
    for (const socket of sockets) socket.destroy()
    silent.close()
  })

  it('and its socket may not be used: says what to do', async function () {
    if (process.getuid?.() !== 0) this.skip()
    const agent = new AgentProcess(65_534)
    await agent.open({ platform: 'docker', settings: { agentId: here.agentId, dockerHost: engine.host } })
    expect(agent.degraded.at(-1))
      .to.include(engine.host)
      .and.include('permission denied: add the user to the group docker')
    await agent.close()
  })

  it('and is not there when the agent is started: it is degraded, and adopts what is there as soon as it is', async () => {
    const first = await here.agent()
    const session = aSessionId()
    const { containerId } = await first.run(session, site({ restart: { policy: 'always', maxRetries: 3 } }))
    await first.close()
    await engine.stop()
    const path = engine.host.replace('unix://', '')
    if (existsSync(path)) rmSync(path)
    const agent = await here.agent({}, { housekeepingMs: 10 })
    expect(agent.degraded.at(-1)).to.match(/cannot be reached: .*ENOENT.*start the engine or set DOCKER_HOST/)
    expect(agent.platform.adopted?.()).to.equal(false)
    const early = await agent.apply(session, site(), { state: 'stopped', generation: 2 })
    expect(early).to.include({ kind: 'failed', retryable: true, code: 'agent_degraded' })
    await engine.start()
    await degradedAs(agent, null, 10_000)
    expect(agent.platform.adopted?.()).to.equal(true)
    expect(agent.platform.held(session)).to.deep.include({ generation: 1 })
    await agent.reported(session, 'running', 10_000)
    expect(agent.platform.held(session)!.observed).to.include({ containerId, restarts: 1 })
    expect((await agent.platform.capacity()).maxSessions).to.be.greaterThan(0)
    expect(await agent.apply(session, site(), { state: 'deleted', generation: 2 })).to.include({ kind: 'applied' })
    await agent.close()
  })

  const policies: { [name: string]: Partial<WireSpec> } = {
    never: {},
    'on-failure': { restart: { policy: 'on-failure', maxRetries: 3 } },
    always: { restart: { policy: 'always', maxRetries: 3 } },
  }
  const ways: { [how: string]: () => Promise<void> } = {
    'loses its power': () => engine.losePower(),
    'is killed': () => engine.stop('SIGKILL'),
    'is shut down in good order': () => engine.stop(),
  }
  for (const [how, goDown] of Object.entries(ways))
    for (const watched of [true, false])
      it(`and ${how}${watched ? '' : ' after the agent was killed'}: no program ended by itself`, async () => {
        const agent = await here.agent()
        const sessions = Object.entries(policies).map(([name, policy]) => ({ name, policy, id: aSessionId() }))
        for (const { id, policy } of sessions) await agent.run(id, site(policy))
        // Obeys SIGTERM, well.
        const obedient = aSessionId()
        await agent.run(obedient, script("trap 'exit 0' TERM; while true; do sleep 0.05; done", policies['on-failure']))
        // Over before, by itself: stays so.
        const over = aSessionId()
        // Where nothing is to be waited for it may be over before it has been seen to run.
        await agent.apply(over, script('exit 3'))
        await eventually(() =>
          expect(agent.platform.held(over)?.observed).to.include({ status: 'failed', exitCode: 3 }),
        )
        if (!watched) await agent.close()
        await goDown()
        await engine.start()
        const now = watched ? agent : await here.agent()
        for (const { id, name } of sessions)
          if (name === 'never')
            await eventually(() =>
              expect(now.platform.held(id)?.observed).to.include({ status: 'failed', reason: 'host_restarted' }),
            )
          else {
            await now.reported(id, 'running', 15_000)
            expect(now.platform.held(id)?.observed).to.include({ status: 'running', restarts: 1 })
          }
        await now.reported(obedient, 'running', 15_000)
        expect(now.platform.held(over)?.observed).to.include({ status: 'failed', reason: 'exited_early', exitCode: 3 })
        for (const id of [obedient, over, ...sessions.map((one) => one.id)])
          expect(await now.apply(id, site(), { state: 'deleted', generation: 2 })).to.include({ kind: 'applied' })
        await now.close()
      })
})
