/** What commands do, whichever platform does it. */
import { expect } from 'chai'
import { eventually } from '../../support/eventually.ts'
import { aSessionId } from '../../support/process-agent.ts'
import type { PlatformUnderTest } from './platform-under-test.ts'
import { applied, ended, itemOf, served, startsOf, subject, wanting } from './subject.ts'

export const commands = (platform: PlatformUnderTest): void => {
  const { place, agent } = subject(platform)
  const counted = () => place().server('echo once >>starts; echo hello >index.html')

  it('a session runs, answers at its endpoint, and is removed with everything that was made for it', async () => {
    const id = aSessionId()
    const one = await agent()
    const observed = await applied(one, id, counted(), { generation: 3 })
    expect(observed).to.include({ status: 'running' })
    expect(await served(observed, 'index.html')).to.include('hello')
    expect(await itemOf(one, id, ({ status }) => status === 'running')).to.include({ generation: 3 })
    await ended(one, id, 4)
    expect(await one.inventoryOf(id)).to.equal(undefined)
    expect((await place().left()).filter((name) => name.includes(id))).to.deep.equal([])
  })

  it('asked twice for the same generation, at once or later, it is applied once', async () => {
    const id = aSessionId()
    const one = await agent()
    const about = wanting(id, counted())
    const [first, second] = await Promise.all([one.command(about), one.command(about)])
    const third = await one.command(about)
    for (const result of [first, second, third])
      expect(result, JSON.stringify(result)).to.include({ outcome: 'applied' })
    expect(await startsOf(place(), id)).to.equal(1)
    await ended(one, id, 2)
  })

  it('a lower generation is superseded and touches nothing', async () => {
    const id = aSessionId()
    const one = await agent()
    await applied(one, id, counted(), { generation: 5 })
    const before = await place().picture()
    expect(await one.command(wanting(id, {}, { generation: 4, state: 'deleted' }))).to.include({
      outcome: 'superseded',
    })
    expect(await place().picture()).to.equal(before)
    await ended(one, id, 6)
  })

  it('of two generations that race the higher one stays', async () => {
    const id = aSessionId()
    const one = await agent()
    const [first, second] = await Promise.all([
      one.command(wanting(id, counted(), { generation: 2 })),
      one.command(wanting(id, counted(), { generation: 3, state: 'hibernated' })),
    ])
    expect(first.outcome).to.be.oneOf(['applied', 'superseded'])
    expect(second, JSON.stringify(second)).to.include({ outcome: 'applied' })
    expect(await itemOf(one, id, () => true)).to.include({ status: 'hibernated', generation: 3 })
    expect(await one.command(wanting(id, counted(), { generation: 2 }))).to.include({ outcome: 'superseded' })
    await ended(one, id, 4)
  })

  it('hibernated and woken, stopped and started, it finds its home as it left it', async () => {
    const id = aSessionId()
    const one = await agent()
    await applied(one, id, counted())
    for (const [at, state] of (['hibernated', 'stopped'] as const).entries()) {
      expect(await applied(one, id, {}, { generation: 2 + 2 * at, state })).to.include({ status: state })
      expect(await itemOf(one, id, () => true)).to.include({ status: state })
      await applied(one, id, counted(), { generation: 3 + 2 * at })
    }
    expect(await startsOf(place(), id)).to.equal(3)
    await ended(one, id, 9)
  })

  it('without a home to keep, nothing is left of what was hibernated', async () => {
    const id = aSessionId()
    const one = await agent()
    await applied(one, id, counted(), { persistentHome: false })
    await applied(one, id, {}, { generation: 2, state: 'hibernated', persistentHome: false })
    expect((await place().left()).filter((name) => name.includes(id))).to.deep.equal([])
  })

  it('a new incarnation is started anew, the same one is left as it is', async () => {
    const id = aSessionId()
    const one = await agent()
    await applied(one, id, counted())
    await applied(one, id, counted(), { generation: 2 })
    expect(await startsOf(place(), id)).to.equal(1)
    await applied(one, id, counted(), { generation: 3, incarnation: 1 })
    expect(await startsOf(place(), id)).to.equal(2)
    await ended(one, id, 4)
  })

  it('deleting takes what it made and nothing else', async () => {
    const [kept, gone] = [aSessionId(), aSessionId()]
    const one = await agent()
    const bystander = await place().bystander()
    try {
      await applied(one, kept, counted())
      await applied(one, gone, counted())
      await ended(one, gone, 2)
      expect(await bystander.isThere()).to.equal(true)
      expect(await served(await itemOf(one, kept, () => true), 'index.html')).to.include('hello')
      await ended(one, kept, 2)
      expect(await bystander.isThere()).to.equal(true)
    } finally {
      await bystander.remove()
    }
  })

  it('fifty sessions at once all run, and all go', async function () {
    this.timeout(60_000 + 50 * platform.startMs)
    const one = await agent()
    const ids = Array.from({ length: 50 }, aSessionId)
    const long = { ...counted(), startTimeoutSeconds: 120 }
    const observed = await Promise.all(ids.map((id) => applied(one, id, long)))
    for (const each of observed) expect(each).to.include({ status: 'running' })
    await eventually(async () => expect(await served(observed[49] ?? null, 'index.html')).to.include('hello'))
    expect((await one.inventory()).filter(({ status }) => status === 'running')).to.have.length(50)
    await Promise.all(ids.map((id) => ended(one, id, 2)))
    expect(await one.inventory()).to.deep.equal([])
    expect(await place().left()).to.deep.equal([])
  })
}
