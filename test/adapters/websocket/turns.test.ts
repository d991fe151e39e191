import { expect } from 'chai'
import { createTurns } from '../../../adapters/websocket/turns.ts'

const busyFor = (ms: number): void => {
  for (const until = performance.now() + ms; performance.now() < until; );
}

describe('turns of the event loop', () => {
  it('do what is asked for in its order, and let others in between', async () => {
    const turns = createTurns()
    const done: number[] = []
    const others: number[] = []
    const other = (): void => {
      others.push(done.length)
      if (done.length < 20) setImmediate(other)
    }
    await new Promise<void>((resolve) => {
      for (let count = 0; count < 20; count++)
        turns(() => {
          busyFor(1)
          done.push(count)
          if (count === 19) resolve()
        })
      other()
    })
    expect(done).to.deep.equal(Array.from({ length: 20 }, (_, count) => count))
    expect(others.length).to.be.at.least(5)
  })

  it('do what an action asks for, after those that wait', async () => {
    const turns = createTurns()
    const done: string[] = []
    await new Promise<void>((resolve) => {
      turns(() => {
        done.push('first')
        turns(() => {
          done.push('third')
          resolve()
        })
      })
      turns(() => done.push('second'))
    })
    expect(done).to.deep.equal(['first', 'second', 'third'])
  })
})
