/**
 * Two agents of one id. The older one is stopped in the middle of an apply (SIGSTOP), the newer one works, then the
 * older one goes on: it may change nothing any more.
 */
import { expect } from 'chai'
import { aSessionId } from '../../support/process-agent.ts'
import { asked, atEachStep, begin, type Change, changes, counted } from './changes.ts'
import { applied, type Crew, ended, itemOf, leftOf, type Subject, served, stoppedOr } from './subject.ts'

export const fence = (here: Subject): void => {
  const { platform } = here

  if (platform.fence === 'refuses') {
    here.test('a second agent of one id is refused while the first one lives', async ({ agent }) => {
      await agent()
      const refused = await agent().then(
        () => null,
        (error: Error) => error,
      )
      expect(refused?.message).to.include('another agent')
    })
    return
  }

  for (const change of changes)
    here.testOfMany(
      `stopped at each step of ${change.name} and continued after another has worked, it changes nothing`,
      async () => {
        const steps = await atEachStep(here, change, (crew, step) => stoppedAt(crew, change, step))
        console.log(`      ${platform.name}: stopped at ${steps.length} steps of ${change.name}`)
      },
    )

  const stoppedAt = async ({ agentId, place, agent }: Crew, change: Change, step: string): Promise<void> => {
    const id = aSessionId()
    const older = await agent()
    await begin(place, older, change, id)
    await older.stopAt(step)
    const begun = older.command(asked(place, change, id)).catch(() => null)
    expect(await stoppedOr(older, begun), step).to.equal('stopped')
    const newer = await agent()
    const observed = await applied(newer, id, counted(place), { generation: 3, incarnation: 2 })
    const picture = await place.picture(agentId)
    older.child.kill('SIGCONT')
    await begun
    expect(await place.picture(agentId), `after ${step}`).to.equal(picture)
    expect(await served(observed, 'index.html')).to.include('hello')
    const item = await itemOf(newer, id, () => true)
    expect(item, `after ${step}: ${JSON.stringify(item)}`).to.include({ status: 'running', generation: 3, restarts: 0 })
    await older.kill9()
    await ended(newer, id, 9)
    expect(await leftOf(place, id)).to.deep.equal([])
  }

  here.test('two agents of different ids on one engine touch only their own', async ({ place, agent }) => {
    const server = () => counted(place)
    const [first, second] = [aSessionId(), aSessionId()]
    const one = await agent()
    const other = await agent({ agentId: `other-${second}` })
    await applied(one, first, server())
    await applied(other, second, server())
    expect((await one.inventory()).map(({ sessionId }) => sessionId)).to.deep.equal([first])
    expect((await other.inventory()).map(({ sessionId }) => sessionId)).to.deep.equal([second])
    await applied(other, first, {}, { generation: 9, state: 'deleted' })
    expect(await served(await itemOf(one, first, () => true), 'index.html')).to.include('hello')
    await ended(one, first, 2)
    expect(await served(await itemOf(other, second, () => true), 'index.html')).to.include('hello')
    await ended(other, second, 2)
  })
}
