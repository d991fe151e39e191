import { expect } from 'chai'
import { createQueue } from '../../../../agents/kubernetes/projection/queue.ts'
import { eventually } from '../../../support/eventually.ts'

describe('the queue of objects', () => {
  it('has each once, few at a time, and once more what was marked while it was under way', async () => {
    const ends: (() => void)[] = []
    const begun: string[] = []
    const queue = createQueue(2, (name) => {
      begun.push(name)
      return new Promise((resolve) => ends.push(resolve))
    })
    for (const name of ['a', 'a', 'b', 'c', 'a']) queue.mark(name, 0)
    await eventually(() => expect(begun).to.deep.equal(['a', 'b']))
    queue.mark('a', 0)
    queue.mark('a', 0)
    for (const end of ends.splice(0)) end()
    await eventually(() => expect([...begun].sort()).to.deep.equal(['a', 'a', 'b', 'c']))
    for (const end of ends.splice(0)) end()
    await queue.close()
  })

  it('is closed though something under way never ends', async () => {
    let begun = false
    const queue = createQueue(1, () => {
      begun = true
      return new Promise(() => {})
    })
    queue.mark('a', 0)
    await eventually(() => expect(begun).to.equal(true))
    await queue.close()
    queue.mark('b', 0)
  })

  it('begins nothing while it is paused, and goes on by itself', async () => {
    const begun: string[] = []
    const queue = createQueue(2, async (name) => void begun.push(name))
    const since = performance.now()
    queue.pause(60)
    queue.mark('a', 0)
    await eventually(() => expect(begun).to.deep.equal(['a']))
    expect(performance.now() - since).to.be.above(50)
    await queue.close()
  })
})
