import { expect } from 'chai'
import fc from 'fast-check'
import { createReports } from '../../../adapters/websocket/reports.ts'
import type { SessionId } from '../../../domain/ids.ts'
import type { ReportAnswer } from '../../../domain/ports/delivery.ts'
import { virtualTime } from './support/virtual-time.ts'

type Written = { readonly session: string; readonly number: number }

/** A queue whose hand-overs end as the test says; `written` is what a database would have got, in its order. */
const aQueue = () => {
  const time = virtualTime()
  const figures = { accepted: 0 }
  const written: Written[] = []
  const answers: (ReportAnswer | 'given_up')[] = []
  const open: { readonly of: Written; readonly end: (how: 'accepted' | 'failed') => void }[] = []
  let left = 0
  let recovered = 0
  let automatic: ((of: Written) => 'accepted' | 'failed') | null = () => 'accepted'
  const reports = createReports({
    timing: time,
    figures,
    left: () => {
      left += 1
    },
    recovered: () => {
      recovered += 1
    },
  })
  return {
    time,
    figures,
    written,
    answers,
    open,
    reports,
    left: () => left,
    recovered: () => recovered,
    /** Of the session of one of those on their way, the first: what is handed over in order is written in order. */
    endOne: (which: number, how: 'accepted' | 'failed') => {
      const session = open[which % Math.max(1, open.length)]?.of.session
      const first = open.findIndex((one) => one.of.session === session)
      if (first >= 0) open.splice(first, 1)[0]?.end(how)
    },
    /** null: by hand, through `open`. */
    answerWith: (how: typeof automatic) => {
      automatic = how
    },
    add: (session: string, number: number, first: Promise<void> | null = null) => {
      const of = { session, number }
      const handOver = (): Promise<ReportAnswer> =>
        new Promise((resolve, reject) => {
          const end = (how: 'accepted' | 'failed'): void => {
            if (how === 'failed') {
              reject(new Error('no database'))
              return
            }
            written.push(of)
            figures.accepted += 1
            resolve('accepted')
          }
          if (automatic === null) open.push({ of, end })
          else end(automatic(of))
        })
      reports.add({ sessionId: session as SessionId, bytes: 1, handOver, answered: (how) => answers.push(how) }, first)
    },
  }
}

const lastOf = (written: readonly Written[], session: string): number | undefined =>
  written.filter((one) => one.session === session).at(-1)?.number

describe('reports on their way to the core', () => {
  it('leave when they are accepted', async () => {
    const queue = aQueue()
    queue.add('a', 1)
    queue.add('b', 2)
    await queue.time.settle()
    expect(queue.left()).to.equal(2)
    expect(queue.reports.hasWaiting()).to.equal(false)
  })

  it('are tried one at a time while nothing can be written, then all in order', async () => {
    const queue = aQueue()
    let tries = 0
    queue.answerWith(() => {
      tries += 1
      return 'failed'
    })
    for (let number = 1; number <= 100; number++) queue.add(`s${number}`, number)
    await queue.time.pass(60_000)
    expect(tries).to.be.within(110, 130)
    queue.answerWith(() => 'accepted')
    await queue.time.pass(10_000)
    expect(queue.written.map((one) => one.number)).to.deep.equal(Array.from({ length: 100 }, (_, index) => index + 1))
    expect(queue.recovered()).to.equal(1)
    expect(queue.left()).to.equal(100)
  })

  it('of one session end with its newest, also when an older one is written late', async () => {
    const queue = aQueue()
    queue.answerWith(null)
    queue.add('a', 1)
    queue.add('b', 2)
    queue.add('a', 3)
    const [first, other, newer] = queue.open.splice(0)
    newer?.end('accepted')
    other?.end('accepted')
    first?.end('failed')
    queue.answerWith(() => 'accepted')
    await queue.time.pass(10_000)
    expect(queue.written).to.deep.equal([
      { session: 'a', number: 3 },
      { session: 'b', number: 2 },
      { session: 'a', number: 1 },
      { session: 'a', number: 3 },
    ])
    expect(queue.left()).to.equal(3)
  })

  it('wait for what has to be written first, and so do those after them', async () => {
    const queue = aQueue()
    let written = (): void => {}
    queue.add(
      'a',
      1,
      new Promise((resolve) => {
        written = resolve
      }),
    )
    queue.add('a', 2)
    await queue.time.settle()
    expect(queue.written).to.deep.equal([])
    written()
    await queue.time.settle()
    expect(queue.written.map((one) => one.number)).to.deep.equal([1, 2])
    expect(queue.recovered()).to.equal(0)
  })

  it('give one up that fails again and again while others are accepted', async () => {
    const queue = aQueue()
    queue.answerWith(({ session }) => (session === 'poison' ? 'failed' : 'accepted'))
    queue.add('poison', 1)
    queue.add('a', 2)
    for (let turn = 0; turn < 60; turn++) {
      queue.figures.accepted += 1
      await queue.time.pass(1_000)
    }
    expect(queue.answers).to.deep.equal(['accepted', 'given_up'])
    expect(lastOf(queue.written, 'a')).to.equal(2)
    expect(queue.left()).to.equal(2)
  })

  it('are never given up while nothing at all is accepted', async () => {
    const queue = aQueue()
    queue.answerWith(() => 'failed')
    queue.add('a', 1)
    await queue.time.pass(3_600_000)
    expect(queue.answers).to.deep.equal([])
    queue.answerWith(() => 'accepted')
    await queue.time.pass(10_000)
    expect(queue.answers).to.deep.equal(['accepted'])
  })

  it('leave no timer behind when they are stopped', async () => {
    const queue = aQueue()
    queue.answerWith(() => 'failed')
    queue.add('a', 1)
    await queue.time.settle()
    expect(queue.time.timers()).to.equal(1)
    queue.reports.stop()
    expect(queue.time.timers()).to.equal(0)
  })

  it('are all written and end with the newest of each session, whatever fails in whatever order', async () => {
    const step = fc.oneof(
      { weight: 3, arbitrary: fc.record({ what: fc.constant('add' as const), which: fc.nat(3) }) },
      { weight: 3, arbitrary: fc.record({ what: fc.constantFrom('accept', 'fail'), which: fc.nat(20) }) },
      { weight: 1, arbitrary: fc.record({ what: fc.constant('pass' as const), which: fc.nat(8_000) }) },
    )
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 80 }), async (steps) => {
        const queue = aQueue()
        queue.answerWith(null)
        let number = 0
        const newest = new Map<string, number>()
        for (const { what, which } of steps) {
          if (what === 'add') {
            number += 1
            newest.set(`s${which}`, number)
            queue.add(`s${which}`, number)
          } else if (what === 'pass') await queue.time.pass(which)
          else queue.endOne(which, what === 'accept' ? 'accepted' : 'failed')
          await queue.time.settle()
        }
        queue.answerWith(() => 'accepted')
        for (let turn = 0; turn < 20; turn++) {
          for (const { end } of queue.open.splice(0)) end('accepted')
          await queue.time.pass(5_000)
        }
        expect(queue.left()).to.equal(number)
        expect(queue.reports.isHeldUp()).to.equal(false)
        for (const [session, last] of newest) expect(lastOf(queue.written, session)).to.equal(last)
        expect(new Set(queue.written.map((one) => one.number)).size).to.equal(number)
      }),
      { numRuns: 60 },
    )
  })
})
