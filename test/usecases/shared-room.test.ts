import { expect } from 'chai'
import fc from 'fast-check'
import { createSharedRoom } from '../../src/usecases/shared-room.ts'

describe('room that is shared', () => {
  it('is all of whoever is alone', () => {
    const room = createSharedRoom<number>(3)
    expect([1, 2, 3, 4].map((item) => room.add('a', '', item))).to.deep.equal([null, null, null, 4])
    expect(room.take(10)).to.deep.equal([1, 2, 3])
    expect(room.size()).to.equal(0)
  })

  it('is left in turn: each group, and in it each member, the oldest first', () => {
    const room = createSharedRoom<string>(100)
    for (const item of ['a1', 'a2', 'a3']) room.add('a', 'one', item)
    room.add('a', 'two', 'b1')
    room.add('c', 'one', 'c1')
    expect(room.take(3)).to.deep.equal(['a1', 'c1', 'b1'])
    expect(room.take(3)).to.deep.equal(['a2', 'a3'])
  })

  it('takes from whoever has most, never from one who has less than another, and never loses count', () => {
    const whose = fc.record({ group: fc.constantFrom('a', 'b', 'c'), member: fc.constantFrom('x', 'y') })
    const step = fc.oneof(
      { weight: 5, arbitrary: fc.record({ add: whose }) },
      { weight: 1, arbitrary: fc.record({ take: fc.integer({ min: 0, max: 5 }) }) },
    )
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 12 }), fc.array(step, { maxLength: 120 }), (most, steps) => {
        const room = createSharedRoom<{ group: string; member: string }>(most)
        let there: { group: string; member: string }[] = []
        const ofGroup = (group: string): number => there.filter((one) => one.group === group).length
        const ofMember = (group: string, member: string): number =>
          there.filter((one) => one.group === group && one.member === member).length
        for (const one of steps) {
          if ('take' in one) {
            const taken = room.take(one.take)
            expect(taken).to.have.length(Math.min(one.take, there.length))
            there = there.filter((item) => !taken.includes(item))
          } else {
            const item = { ...one.add }
            there.push(item)
            const out = room.add(item.group, item.member, item)
            expect(out === null).to.equal(there.length <= most)
            if (out !== null) {
              for (const group of ['a', 'b', 'c']) expect(ofGroup(out.group)).to.be.at.least(ofGroup(group))
              for (const member of ['x', 'y'])
                expect(ofMember(out.group, out.member)).to.be.at.least(ofMember(out.group, member))
              // What came first of somebody stays.
              const its = there.filter(({ group, member }) => group === out.group && member === out.member)
              expect(its.at(-1)).to.equal(out)
              there = there.filter((other) => other !== out)
            }
          }
          expect(room.size()).to.equal(there.length)
        }
        expect(room.take(1_000)).to.have.members(there)
      }),
    )
  })
})
