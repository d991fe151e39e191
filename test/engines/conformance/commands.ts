/** What commands do, whichever platform does it. */
import { expect } from 'chai'
import { aSessionId } from '../../support/process-agent.ts'
import { counted } from './changes.ts'
import { applied, ended, itemOf, leftOf, type Subject, served, startsOf, wanting } from './subject.ts'

export const commands = (here: Subject): void => {
  const { test } = here

  test('a session runs, answers at its endpoint, and is removed with everything that was made for it', async ({
    place,
    agent,
  }) => {
    const id = aSessionId()
    const one = await agent()
    const observed = await applied(one, id, counted(place), { generation: 3 })
    expect(observed).to.include({ status: 'running' })
    expect(await served(observed, 'index.html')).to.include('hello')
    expect(await itemOf(one, id, ({ status }) => status === 'running')).to.include({ generation: 3 })
    await ended(one, id, 4)
    expect(await one.inventoryOf(id)).to.equal(undefined)
    expect(await leftOf(place, id)).to.deep.equal([])
  })

  test('asked twice for the same generation, at once or later, it is applied once', async ({ place, agent }) => {
    const id = aSessionId()
    const one = await agent()
    const about = wanting(id, counted(place))
    const [first, second] = await Promise.all([one.command(about), one.command(about)])
    const third = await one.command(about)
    for (const result of [first, second, third])
      expect(result, JSON.stringify(result)).to.include({ outcome: 'applied' })
    expect(await startsOf(place, id)).to.equal(1)
    await ended(one, id, 2)
  })

  test('a lower generation is superseded and touches nothing', async ({ agentId, place, agent }) => {
    const id = aSessionId()
    const one = await agent()
    await applied(one, id, counted(place), { generation: 5 })
    const before = await place.picture(agentId)
    expect(await one.command(wanting(id, {}, { generation: 4, state: 'deleted' }))).to.include({
      outcome: 'superseded',
    })
    expect(await place.picture(agentId)).to.equal(before)
    await ended(one, id, 6)
  })

  test('of two generations that race the higher one stays', async ({ place, agent }) => {
    const id = aSessionId()
    const one = await agent()
    const [first, second] = await Promise.all([
      one.command(wanting(id, counted(place), { generation: 2 })),
      one.command(wanting(id, counted(place), { generation: 3, state: 'hibernated' })),
    ])
    expect(first.outcome).to.be.oneOf(['applied', 'superseded'])
    expect(second, JSON.stringify(second)).to.include({ outcome: 'applied' })
    expect(await itemOf(one, id, () => true)).to.include({ status: 'hibernated', generation: 3 })
    expect(await one.command(wanting(id, counted(place), { generation: 2 }))).to.include({ outcome: 'superseded' })
    await ended(one, id, 4)
  })

  test('hibernated and woken, stopped and started, it finds its home as it left it', async ({ place, agent }) => {
    const id = aSessionId()
    const one = await agent()
    await applied(one, id, counted(place))
    for (const [at, state] of (['hibernated', 'stopped'] as const).entries()) {
      expect(await applied(one, id, {}, { generation: 2 + 2 * at, state })).to.include({ status: state })
      expect(await itemOf(one, id, () => true)).to.include({ status: state })
      await applied(one, id, counted(place), { generation: 3 + 2 * at })
    }
    expect(await startsOf(place, id)).to.equal(3)
    await ended(one, id, 9)
  })

  test('without a home to keep, nothing is left of what was hibernated', async ({ place, agent }) => {
    const id = aSessionId()
    const one = await agent()
    await applied(one, id, counted(place), { persistentHome: false })
    await applied(one, id, {}, { generation: 2, state: 'hibernated', persistentHome: false })
    expect(await leftOf(place, id)).to.deep.equal([])
  })

  test('a new incarnation is started anew, the same one is left as it is', async ({ place, agent }) => {
    const id = aSessionId()
    const one = await agent()
    await applied(one, id, counted(place))
    await applied(one, id, counted(place), { generation: 2 })
    expect(await startsOf(place, id)).to.equal(1)
    await applied(one, id, counted(place), { generation: 3, incarnation: 1 })
    expect(await startsOf(place, id)).to.equal(2)
    await ended(one, id, 4)
  })

  test('deleting takes what it made and nothing else', async ({ place, agent }) => {
    const [kept, gone] = [aSessionId(), aSessionId()]
    const one = await agent()
    const bystander = await place.bystander()
    try {
      await applied(one, kept, counted(place))
      await applied(one, gone, counted(place))
      await ended(one, gone, 2)
      expect(await bystander.isThere()).to.equal(true)
      expect(await served(await itemOf(one, kept, () => true), 'index.html')).to.include('hello')
      await ended(one, kept, 2)
      expect(await bystander.isThere()).to.equal(true)
    } finally {
      await bystander.remove()
    }
  })
}
