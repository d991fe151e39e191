/**
 * An agent that is killed at each named step of an apply: the next one finds what there is and goes on. And agents that
 * are killed between applies, or come with an empty disk: they take over what runs.
 */
import { expect } from 'chai'
import { aSessionId } from '../../support/process-agent.ts'
import type { PlatformUnderTest } from './platform-under-test.ts'
import { applied, ended, itemOf, served, startsOf, stoppedOr, subject, wanting } from './subject.ts'

/** What is asked for when the agent is killed, from a session that runs (or not). */
const changes = [
  { name: 'a start', from: 'nothing', rest: {} },
  { name: 'a restart', from: 'running', rest: { incarnation: 1 } },
  { name: 'a hibernation', from: 'running', rest: { state: 'hibernated' } },
  { name: 'a stop', from: 'running', rest: { state: 'stopped' } },
  { name: 'a deletion', from: 'running', rest: { state: 'deleted' } },
] as const

export const kills = (platform: PlatformUnderTest): void => {
  const { place, agent, killAgents } = subject(platform)
  const counted = () => place().server('echo once >>starts; echo hello >index.html')
  const passed = new Set<string>()

  after(function () {
    const all = platform.steps.length
    console.log(
      `      ${platform.name}: killed at ${passed.size} steps of ${changes.length} changes, ${all} named in all`,
    )
    if (this.currentTest?.state !== 'failed') expect(passed.size).to.be.greaterThan(0)
  })

  for (const { name, from, rest } of changes)
    for (const step of platform.steps)
      it(`killed at ${step} of ${name}: the next one makes it so, once`, async () => {
        const id = aSessionId()
        if (from === 'running') {
          const first = await agent()
          await applied(first, id, counted())
          await first.close()
        }
        const about = wanting(id, counted(), { generation: 2, ...rest })
        const killed = await agent({ dieAt: step })
        const answered = await killed.command(about).then(
          () => true,
          () => false,
        )
        const second = answered ? killed : await agent()
        if (answered) await second.dieAt('never')
        if (!answered) {
          passed.add(step)
          // Not yet what was asked for, unless it was done and only the answer was not given.
          expect((await second.inventoryOf(id))?.generation ?? 0).to.be.at.most(2)
        }
        const result = await second.command(about)
        expect(result, JSON.stringify(result)).to.include({ outcome: 'applied' })
        const state = 'state' in rest ? rest.state : 'running'
        if (state === 'deleted') expect((await place().left()).filter((one) => one.includes(id))).to.deep.equal([])
        else {
          expect(await itemOf(second, id, () => true)).to.include({ status: state, generation: 2 })
          expect(await startsOf(place(), id)).to.equal(name === 'a restart' ? 2 : 1)
          await ended(second, id, 3)
          expect((await place().left()).filter((one) => one.includes(id))).to.deep.equal([])
        }
      })

  it('a new agent after a kill -9 takes over what runs, without touching it', async () => {
    const id = aSessionId()
    const first = await agent()
    const before = await applied(first, id, counted(), { generation: 7 })
    await first.kill9()
    expect(await served(before, 'index.html')).to.include('hello')
    const second = await agent()
    expect(await itemOf(second, id, ({ status }) => status === 'running')).to.deep.include({
      generation: 7,
      endpoint: before?.endpoint,
    })
    expect(await startsOf(place(), id)).to.equal(1)
    await ended(second, id, 8)
  })

  it('and what ended while there was no agent is judged when one is back', async () => {
    const [never, always] = [aSessionId(), aSessionId()]
    const first = await agent()
    await applied(first, never, counted())
    await applied(first, always, { ...counted(), restart: { policy: 'always' } })
    await first.close()
    await place().removeWorkload(never)
    await place().removeWorkload(always)
    const second = await agent()
    const item = await itemOf(second, never, ({ status }) => status === 'failed')
    expect(item).to.include({ reason: platform.removedReason })
    await itemOf(second, always, ({ status }) => status === 'running')
    expect(await startsOf(place(), always)).to.equal(2)
    await ended(second, never, 2)
    await ended(second, always, 2)
  })

  if (platform.recoversFromNothing)
    it('a new agent with an empty disk knows every session, at rest and running, and their generations', async () => {
      const [running, resting, failed] = [aSessionId(), aSessionId(), aSessionId()]
      const first = await agent()
      await applied(first, running, counted(), { generation: 4 })
      await applied(first, resting, counted())
      await applied(first, resting, counted(), { generation: 5, state: 'hibernated' })
      await first.command(
        wanting(failed, { ...place().script('exit 9'), ports: [{ name: 'x', port: 80 }] }, { generation: 6 }),
      )
      await first.kill9()
      const second = await agent({ emptyDisk: true })
      const items = new Map((await second.inventory()).map((item) => [item.sessionId, item]))
      expect(items.get(running)).to.include({ status: 'running', generation: 4 })
      expect(items.get(resting)).to.include({ status: 'hibernated', generation: 5 })
      expect(items.get(failed)).to.include({ status: 'failed', generation: 6, exitCode: 9 })
      await applied(second, resting, counted(), { generation: 6 })
      expect(await startsOf(place(), resting)).to.equal(2)
      for (const id of [running, resting, failed]) await ended(second, id, 9)
    })

  it('a workload that is removed at any step of a start ends in a session that runs or says why not', async function () {
    this.timeout(10_000 * platform.steps.length)
    for (const step of platform.steps) {
      const id = aSessionId()
      const one = await agent()
      await one.stopAt(step)
      const result = one.command(wanting(id, counted(), { generation: 2 }))
      await stoppedOr(one, result)
      await place().removeWorkload(id)
      one.child.kill('SIGCONT')
      const { outcome, error } = await result
      expect(outcome, `at ${step}: ${JSON.stringify(error)}`).to.be.oneOf(['applied', 'failed'])
      await applied(one, id, counted(), { generation: 3, incarnation: 1 })
      await ended(one, id, 4)
      await killAgents()
    }
  })
}
