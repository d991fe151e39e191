import { expect } from 'chai'
import fc from 'fast-check'
import type { FeedEvent, FeedPosition } from '../../../domain/ports/feed.ts'
import { createRing } from '../../../src/watch/ring.ts'

const at = (xid: number, id: number, feed = 'f'): FeedPosition => ({ feed, xid, id })
const event = (position: FeedPosition): FeedEvent => ({ position }) as FeedEvent
const idsOf = (events: readonly FeedEvent[] | null): readonly number[] | null =>
  events?.map(({ position }) => position.id) ?? null

describe('the newest events in memory', () => {
  it('are found behind a position, as many as are asked for', () => {
    const ring = createRing(at(10, 0), 100)
    ring.push([event(at(11, 5)), event(at(12, 3)), event(at(12, 4))], at(13, 0))
    expect(idsOf(ring.after(at(10, 0), 10))).to.deep.equal([5, 3, 4])
    expect(idsOf(ring.after(at(11, 5), 10))).to.deep.equal([3, 4])
    expect(idsOf(ring.after(at(12, 3), 10))).to.deep.equal([4])
    expect(idsOf(ring.after(at(13, 0), 10))).to.deep.equal([])
    expect(idsOf(ring.after(at(10, 0), 2))).to.deep.equal([5, 3])
  })

  it('are nothing that can be told from what is older, or of another feed', () => {
    const ring = createRing(at(10, 0), 2)
    expect(ring.after(at(9, 99), 10)).to.equal(null)
    expect(ring.after(at(11, 0, 'other'), 10)).to.equal(null)
  })

  it('leave none out and repeat none, whatever was dropped', () => {
    const pushes = fc.array(fc.integer({ min: 0, max: 7 }), { maxLength: 40 })
    fc.assert(
      fc.property(pushes, fc.integer({ min: 1, max: 9 }), fc.nat(300), (sizes, most, from) => {
        const ring = createRing(at(0, 0), most)
        let next = 0
        for (const size of sizes) {
          const events = Array.from({ length: size }, () => {
            next += 1
            return event(at(next, next))
          })
          ring.push(events, at(next + 1, 0))
        }
        const position = at(Math.min(from, next), Math.min(from, next))
        const found = idsOf(ring.after(position, 1_000))
        const behind = Array.from({ length: next - position.id }, (_, index) => position.id + index + 1)
        if (found !== null) expect(found).to.deep.equal(behind)
        // What it must have room for is there.
        else expect(behind.length).to.be.above(most)
      }),
    )
  })
})
