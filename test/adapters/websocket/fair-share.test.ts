import { expect } from 'chai'
import { createFairShare } from '../../../adapters/websocket/fair-share.ts'
import { eventually } from '../../support/eventually.ts'
import { quickestOf, timed } from '../../support/quickest.ts'
import { type AHub, startHub } from './support/a-hub.ts'
import type { AgentClient } from './support/agent-client.ts'
import { aSessionId } from './support/fake-outbox.ts'
import { virtualTime } from './support/virtual-time.ts'

describe('the share of a socket', () => {
  const start = () => {
    const time = virtualTime()
    const told: string[] = []
    const share = createFairShare(
      time,
      () => told.push('spent'),
      () => told.push('rested'),
    )
    return { time, told, share }
  }

  it('is not spent by what leaves three quarters of the time to others', async () => {
    const { time, told, share } = start()
    for (let n = 0; n < 1_000; n += 1) {
      share.used(25)
      await time.pass(100)
    }
    expect([told, time.timers()]).to.deep.equal([[], 0])
  })

  it('is spent by more than that, and is there again after a while, once', async () => {
    const { time, told, share } = start()
    for (let n = 0; n < 100; n += 1) share.used(10)
    expect(told).to.deep.equal(['spent'])
    await time.pass(10_000)
    expect([told, time.timers()]).to.deep.equal([['spent', 'rested'], 0])
    share.used(400)
    expect(told).to.have.length(2)
  })

  it('leaves no timer behind', () => {
    const { time, share } = start()
    share.used(10_000)
    share.stop()
    expect(time.timers()).to.equal(0)
  })
})

/** As much as the other side takes, and never so much that this process itself is what is slow. */
const pour = ({ socket }: AgentClient, frame: string): (() => void) => {
  const timer = setInterval(() => {
    for (let n = 0; n < 200 && socket.bufferedAmount < 4 * 1024 * 1024; n += 1) socket.send(frame)
  }, 2)
  return () => clearInterval(timer)
}

describe('a socket that floods the hub', () => {
  let a: AHub
  afterEach(() => a.stop())

  const floods = {
    'frames of no known type': JSON.stringify({ type: 'x'.repeat(200) }),
    'acks of what was never sent': JSON.stringify({
      type: 'ack',
      commandIds: Array.from({ length: 1_000 }, () => crypto.randomUUID()),
    }),
    'large frames that decode to nothing': JSON.stringify({
      type: 'ack',
      commandIds: [],
      more: Array(200_000).fill([]),
    }),
  }
  for (const [what, frame] of Object.entries(floods))
    it(`is held back, and nobody else is: ${what}`, async () => {
      a = await startHub()
      const [rude, polite] = [await a.connect('rude'), await a.connect('polite')]
      const stop = pour(rude, frame)
      try {
        await eventually(() => expect(a.hub.stats()).to.include({ pausedSockets: 1 }), { within: 60_000 })
        let said = 0
        // Three quarters of the time are left; on a machine that is shared it takes a little longer all the same.
        await quickestOf(3, 500, async () => {
          const waits: number[] = []
          for (let turn = 0; turn < 20; turn += 1) {
            said += 1
            polite.send({ type: 'status', sessionId: aSessionId(), generation: 1, status: 'running' })
            waits.push(await timed(() => eventually(() => expect(a.inbox.of('status')).to.have.lengthOf(said))))
          }
          return waits.toSorted((x, y) => x - y)[10] ?? 0
        })
        expect(polite.closing).to.equal(null)
      } finally {
        stop()
      }
      // Late is not lost: when the flood ends it is heard to the end, and is an agent like any other.
      await eventually(() => expect(rude.socket.bufferedAmount).to.equal(0), { within: 60_000 })
      expect(rude.closing).to.equal(null)
    }).timeout(120_000)

  it('is not taken for silent while it is not read', async () => {
    a = await startHub({ heartbeatIntervalMs: 200 })
    const rude = await a.connect('rude')
    const stop = pour(rude, floods['large frames that decode to nothing'])
    await eventually(() => expect(a.hub.stats()).to.include({ pausedSockets: 1 }), { within: 60_000 })
    stop()
    rude.send({ type: 'status', sessionId: aSessionId(), generation: 1, status: 'running' })
    await eventually(() => expect([a.inbox.of('status').length, rude.closing]).to.deep.equal([1, null]), {
      within: 60_000,
    })
  }).timeout(120_000)
})
