/**
 * An agent that is killed at each named step of an apply: the next one finds what there is and goes on. And agents that
 * are killed between applies, or come with an empty disk: they take over what runs.
 */
import { expect } from 'chai'
import { eventually } from '../../support/eventually.ts'
import { aSessionId } from '../../support/process-agent.ts'
import { asked, atEachStep, begin, type Change, changes, counted } from './changes.ts'
import {
  applied,
  type Crew,
  ended,
  itemOf,
  leftOf,
  type Subject,
  served,
  startsOf,
  stoppedOr,
  wanting,
} from './subject.ts'

export const kills = (here: Subject): void => {
  const { platform, test } = here
  const within = platform.patienceMs
  const passed = new Set<string>()

  for (const change of changes)
    here.testOfMany(`killed at each step of ${change.name}: the next one makes it so, once`, async () => {
      const steps = await atEachStep(here, change, (crew, step) => killedAt(crew, change, step))
      for (const step of steps) passed.add(step)
      console.log(`      ${platform.name}: killed at ${steps.length} steps of ${change.name}: ${steps.join(', ')}`)
    })

  const killedAt = async ({ place, agent }: Crew, change: Change, step: string): Promise<void> => {
    const id = aSessionId()
    const about = asked(place, change, id)
    const killed = await agent()
    await begin(place, killed, change, id)
    await killed.dieAt(step)
    const answer = await killed.command(about).catch(() => null)
    expect(answer, `it did not come by ${step}`).to.equal(null)
    await killed.exited
    const second = await agent()
    const result = await second.command(about)
    expect(result, `${step}: ${JSON.stringify(result)}`).to.include({ outcome: 'applied' })
    const { state = 'running' } = change.rest
    if (state !== 'deleted') {
      expect(await itemOf(second, id, () => true), step).to.include({ status: state, generation: 2 })
      expect(await startsOf(place, id), step).to.equal(change.starts)
      await ended(second, id, 3)
    }
    expect(await leftOf(place, id)).to.deep.equal([])
  }

  it('and these were all the steps that there are', () => {
    console.log(`      ${platform.name}: killed at ${passed.size} of ${platform.steps.length} named steps`)
    expect([...passed].toSorted()).to.deep.equal([...platform.steps].toSorted())
  })

  test('a new agent after a kill -9 takes over what runs, without touching it', async ({ place, agent }) => {
    const id = aSessionId()
    const first = await agent()
    const before = await applied(first, id, counted(place), { generation: 7 })
    await first.kill9()
    expect(await served(before, 'index.html')).to.include('hello')
    const second = await agent()
    expect(await itemOf(second, id, ({ status }) => status === 'running', within)).to.deep.include({
      generation: 7,
      endpoint: before?.endpoint,
    })
    expect(await startsOf(place, id)).to.equal(1)
    await ended(second, id, 8)
  })

  test('and what ended while there was no agent is judged when one is back', async ({ place, agent }) => {
    const [never, always] = [aSessionId(), aSessionId()]
    const first = await agent()
    await applied(first, never, counted(place))
    await applied(first, always, { ...counted(place), restart: { policy: 'always' } })
    await first.close()
    await place.removeWorkload(never)
    await place.removeWorkload(always)
    const second = await agent()
    const item = await itemOf(second, never, ({ status }) => status === 'failed', within)
    expect(item).to.include({ reason: platform.removedReason })
    // The agent may be faster than the end of what was killed, and find it running.
    await eventually(async () => expect(await startsOf(place, always)).to.equal(2), { within })
    await itemOf(second, always, ({ status }) => status === 'running', within)
    await ended(second, never, 2)
    await ended(second, always, 2)
  })

  if (platform.recoversFromNothing)
    test('a new agent with an empty disk knows every session, at rest and running, and their generations', async ({
      place,
      agent,
    }) => {
      const [running, resting, failed] = [aSessionId(), aSessionId(), aSessionId()]
      const first = await agent()
      await applied(first, running, counted(place), { generation: 4 })
      await applied(first, resting, counted(place))
      await applied(first, resting, counted(place), { generation: 5, state: 'hibernated' })
      await first.command(
        wanting(failed, { ...place.script('exit 9'), ports: [{ name: 'x', port: 80 }] }, { generation: 6 }),
      )
      await first.kill9()
      const second = await agent({ emptyDisk: true })
      const items = new Map((await second.inventory()).map((item) => [item.sessionId, item]))
      expect(items.get(running)).to.include({ status: 'running', generation: 4 })
      expect(items.get(resting)).to.include({ status: 'hibernated', generation: 5 })
      expect(items.get(failed)).to.include({ status: 'failed', generation: 6, exitCode: 9 })
      await applied(second, resting, counted(place), { generation: 6 })
      expect(await startsOf(place, resting)).to.equal(2)
      for (const id of [running, resting, failed]) await ended(second, id, 9)
    })

  here.testOfMany(
    'a workload that is removed at any step of a start ends in a session that runs or says why not',
    async () => {
      const [start] = changes
      if (start === undefined) throw new Error('nothing to try')
      await atEachStep(here, start, (crew, step) => removedAt(crew, start, step))
    },
  )

  const removedAt = async ({ place, agent }: Crew, start: Change, step: string): Promise<void> => {
    const id = aSessionId()
    const one = await agent()
    await one.stopAt(step)
    const result = one.command(asked(place, start, id))
    expect(await stoppedOr(one, result), step).to.equal('stopped')
    await place.removeWorkload(id)
    one.child.kill('SIGCONT')
    const { outcome, error } = await result
    expect(outcome, `at ${step}: ${JSON.stringify(error)}`).to.be.oneOf(['applied', 'failed'])
    await applied(one, id, counted(place), { generation: 3, incarnation: 1 })
    await ended(one, id, 4)
  }
}
