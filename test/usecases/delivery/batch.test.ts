import { expect } from 'chai'
import { createBatch } from '../../../src/delivery/batch.ts'
import { eventually } from '../../support/eventually.ts'

const turn = () => new Promise((resolve) => setImmediate(resolve))

/** A batch whose runs end when the test says so. */
const held = (options: Partial<Parameters<typeof createBatch>[1]> = {}) => {
  const runs: { readonly items: readonly number[]; readonly end: (error?: Error) => void }[] = []
  const batch = createBatch<number, string>(
    (items) =>
      new Promise((resolve, reject) => {
        runs.push({
          items,
          end: (error) => (error === undefined ? resolve(items.map((item) => `did ${item}`)) : reject(error)),
        })
      }),
    { minIntervalMs: 0, maxItems: 100, ...options },
  )
  return { batch, runs, itemsOf: () => runs.map(({ items }) => items) }
}

describe('a batch', () => {
  it('takes all that one turn of the event loop brings, and answers each item by itself', async () => {
    const { batch, runs, itemsOf } = held()
    const answers = Promise.all([batch.add(1), batch.add(2), batch.add(3)])
    expect(batch.size()).to.equal(3)
    await turn()
    expect(itemsOf()).to.deep.equal([[1, 2, 3]])
    runs[0]?.end()
    expect(await answers).to.deep.equal(['did 1', 'did 2', 'did 3'])
  })

  it('runs one at a time: what comes meanwhile is the next', async () => {
    const { batch, runs, itemsOf } = held()
    const first = batch.add(1)
    await turn()
    const others = Promise.all([batch.add(2), batch.add(3)])
    await turn()
    expect(itemsOf()).to.deep.equal([[1]])
    runs[0]?.end()
    await first
    await turn()
    expect(itemsOf()).to.deep.equal([[1], [2, 3]])
    runs[1]?.end()
    await others
  })

  it('is of bounded size', async () => {
    const { batch, runs, itemsOf } = held({ maxItems: 2 })
    const all = Promise.all([1, 2, 3].map(batch.add))
    await turn()
    runs[0]?.end()
    await turn()
    await turn()
    runs[1]?.end()
    await all
    expect(itemsOf()).to.deep.equal([[1, 2], [3]])
  })

  it('does not begin more often than it should', async () => {
    const real = { now: performance.now, setTimeout: globalThis.setTimeout }
    const delays: (number | undefined)[] = []
    let ms = 1_000
    performance.now = () => ms
    globalThis.setTimeout = ((act: () => void, delay?: number) => {
      delays.push(delay)
      setImmediate(act)
    }) as typeof setTimeout
    try {
      const batch = createBatch<number, number>(async (items) => items, { minIntervalMs: 20, maxItems: 100 })
      await batch.add(1)
      ms += 5
      await batch.add(2)
      ms += 20
      await batch.add(3)
      expect(delays).to.deep.equal([15])
    } finally {
      Object.assign(performance, { now: real.now })
      globalThis.setTimeout = real.setTimeout
    }
  })

  it('that fails rejects each of its items, and the next one runs', async () => {
    const { batch, runs } = held()
    const failing = Promise.allSettled([batch.add(1), batch.add(2)])
    await turn()
    runs[0]?.end(new Error('no database'))
    expect((await failing).map(({ status }) => status)).to.deep.equal(['rejected', 'rejected'])
    const next = batch.add(3)
    await turn()
    runs[1]?.end()
    expect(await next).to.equal('did 3')
  })

  it('rejects also when the run throws before it returns a promise', async () => {
    const batch = createBatch<number, number>(
      () => {
        throw new Error('at once')
      },
      { minIntervalMs: 0, maxItems: 100 },
    )
    const [settled] = await Promise.allSettled([batch.add(1)])
    expect(settled?.status).to.equal('rejected')
    await batch.idle()
  })

  it('is idle when nothing is waiting or under way', async () => {
    const { batch, runs } = held()
    await batch.idle()
    const added = batch.add(1)
    let idle = false
    const waited = batch.idle().then(() => {
      idle = true
    })
    await turn()
    expect(idle).to.equal(false)
    runs[0]?.end()
    await added
    await waited
    expect([idle, batch.size()]).to.deep.equal([true, 0])
  })

  it('that takes long is overtaken where that is allowed, by few at a time, and is answered when it is done', async () => {
    const { batch, runs, itemsOf } = held({ overtakeAfterMs: 1 })
    const answers = [batch.add(1)]
    for (const item of [2, 3, 4, 5, 6]) {
      await eventually(() => expect(runs).to.have.length(Math.min(item - 1, 4)))
      answers.push(batch.add(item))
    }
    await eventually(() => expect(itemsOf()).to.deep.equal([[1], [2], [3], [4]]))
    expect(batch.size()).to.equal(2)
    runs[2]?.end()
    expect(await answers[2]).to.equal('did 3')
    await eventually(() => expect(itemsOf()).to.deep.equal([[1], [2], [3], [4], [5, 6]]))
    for (const run of runs) run.end()
    expect(await Promise.all(answers)).to.deep.equal([1, 2, 3, 4, 5, 6].map((item) => `did ${item}`))
    await batch.idle()
  })

  describe('whose items have keys', () => {
    /** The key of 13 is `1`: tens are the key, ones tell items of one key apart. */
    const keyed = () => {
      const runs: { readonly items: readonly number[]; readonly end: () => void }[] = []
      const batch = createBatch<number, string>(
        (items) =>
          new Promise((resolve) => {
            runs.push({ items, end: () => resolve(items.map((item) => `did ${item}`)) })
          }),
        { minIntervalMs: 0, maxItems: 100, overtakeAfterMs: 5, keyOf: (item) => String(Math.floor(item / 10)) },
      )
      return {
        batch,
        itemsOf: () => runs.map(({ items }) => items),
        runsBecome: (items: readonly (readonly number[])[]) =>
          eventually(() => expect(runs.map((one) => one.items)).to.deep.equal(items)),
        end: async (index: number) => {
          runs[index]?.end()
          await turn()
          await turn()
        },
      }
    }

    it('lets the items of a slow key wait for it, and the others go on', async () => {
      const { batch, itemsOf, runsBecome, end } = keyed()
      const slow = batch.add(11)
      await runsBecome([[11]])
      const other = batch.add(21)
      await runsBecome([[11], [21]])
      await end(1)
      expect(await other).to.equal('did 21')
      const waits = batch.add(12)
      const goes = batch.add(31)
      await runsBecome([[11], [21], [31]])
      await end(2)
      expect(await goes).to.equal('did 31')
      expect(itemsOf()).to.have.length(3)
      expect(batch.size()).to.equal(1)
      await end(0)
      expect(await slow).to.equal('did 11')
      await runsBecome([[11], [21], [31], [12]])
      await end(3)
      expect(await waits).to.equal('did 12')
      await batch.idle()
    })

    it('with four slow keys takes a fifth', async () => {
      const { batch, runsBecome, end } = keyed()
      const all: Promise<string>[] = []
      const shown: number[][] = []
      for (const item of [11, 21, 31, 41]) {
        all.push(batch.add(item))
        shown.push([item])
        await runsBecome(shown)
      }
      all.push(batch.add(12), batch.add(22), batch.add(32), batch.add(42))
      const fifth = batch.add(51)
      await runsBecome([...shown, [51]])
      await end(4)
      expect(await fifth).to.equal('did 51')
      for (const index of [0, 1, 2, 3]) await end(index)
      await eventually(() => expect(batch.size()).to.equal(0))
      await turn()
      for (const index of [5, 6, 7, 8]) await end(index)
      expect(await Promise.all(all)).to.have.length(8)
      await batch.idle()
    })

    it('tries each key of a slow batch by itself: the one that is quick is held up no more', async () => {
      const { batch, runsBecome, end } = keyed()
      const mixed = [batch.add(11), batch.add(21)]
      await runsBecome([[11, 21]])
      const alone = [batch.add(12), batch.add(22)]
      await runsBecome([[11, 21], [12], [22]])
      await end(2)
      expect(await alone[1]).to.equal('did 22')
      const together = [batch.add(23), batch.add(31)]
      const waits = batch.add(13)
      await runsBecome([[11, 21], [12], [22], [23, 31]])
      await end(3)
      expect(await Promise.all(together)).to.deep.equal(['did 23', 'did 31'])
      expect(batch.size(), 'what waits for the slow one').to.equal(1)
      await end(1)
      await runsBecome([[11, 21], [12], [22], [23, 31], [13]])
      await end(4)
      await end(0)
      expect(await Promise.all([...mixed, ...alone, waits])).to.have.length(5)
      await batch.idle()
    })
  })
})
