import { expect } from 'chai'
import fc from 'fast-check'
import { createTurns, type Turns } from '../../../domain/turns/turns.ts'

/** Enters or waits; tells in which order all were let in. */
const entering = (turns: Turns) => {
  const order: string[] = []
  const come = (whose: string, name = whose): (() => void) => {
    if (!turns.enter(whose)) return turns.wait(whose, () => void order.push(name))
    order.push(name)
    return () => {}
  }
  return { order, come }
}

describe('turns at a few places', () => {
  it('are taken at once where there are some, by one up to its own number', () => {
    const turns = createTurns({ most: 3, mostOfOne: 2 })
    expect(['acme', 'acme', 'acme'].map(turns.enter)).to.deep.equal([true, true, false])
    expect(turns.enter('globex')).to.equal(true)
    expect(turns.enter('initech')).to.equal(false)
  })

  it('go round among those who wait, however many of one came first', () => {
    const turns = createTurns({ most: 1, mostOfOne: 1 })
    const { order, come } = entering(turns)
    come('acme', 'a0')
    for (const name of ['a1', 'a2', 'a3']) come('acme', name)
    for (const name of ['g1', 'g2']) come('globex', name)
    come('initech', 'i1')
    for (const left of ['acme', 'acme', 'globex', 'initech', 'acme', 'globex', 'acme']) turns.leave(left)
    expect(order).to.deep.equal(['a0', 'a1', 'g1', 'i1', 'a2', 'g2', 'a3'])
  })

  it('pass over one that has all of its own, which keeps its turn', () => {
    const turns = createTurns({ most: 3, mostOfOne: 1 })
    const { order, come } = entering(turns)
    come('acme', 'a0')
    come('acme', 'a1')
    come('globex', 'g0')
    come('globex', 'g1')
    turns.leave('globex')
    expect(order).to.deep.equal(['a0', 'g0', 'g1'])
    turns.leave('acme')
    expect(order.at(-1)).to.equal('a1')
  })

  it('are not given to one that has given up', () => {
    const turns = createTurns({ most: 1, mostOfOne: 1 })
    const { order, come } = entering(turns)
    come('acme', 'a0')
    const giveUp = come('acme', 'a1')
    come('acme', 'a2')
    expect(turns.waiting('acme')).to.equal(2)
    giveUp()
    expect(turns.waiting('acme')).to.equal(1)
    turns.leave('acme')
    expect(order).to.deep.equal(['a0', 'a2'])
    turns.leave('acme')
    expect(turns.enter('globex')).to.equal(true)
  })

  it('are never more than there are, and nobody waits for a place that is free, whoever comes, leaves and gives up', () => {
    const orgs = ['acme', 'globex', 'initech']
    const step = fc.record({ org: fc.constantFrom(...orgs), does: fc.constantFrom('come', 'leave', 'give up') })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), fc.integer({ min: 1, max: 4 }), (steps, most) => {
        const mostOfOne = Math.ceil(most / 2)
        const turns = createTurns({ most, mostOfOne })
        const inside = new Map(orgs.map((org) => [org, 0]))
        const waiting = new Map<string, (() => void)[]>(orgs.map((org) => [org, []]))
        const add = (org: string, more: number): void => void inside.set(org, (inside.get(org) ?? 0) + more)
        const of = (org: string): (() => void)[] => waiting.get(org) ?? []
        for (const { org, does } of steps) {
          if (does === 'come') {
            if (turns.enter(org)) add(org, 1)
            else {
              const giveUp = turns.wait(org, () => {
                add(org, 1)
                of(org).splice(of(org).indexOf(giveUp), 1)
              })
              of(org).push(giveUp)
            }
          } else if (does === 'leave' && (inside.get(org) ?? 0) > 0) {
            add(org, -1)
            turns.leave(org)
          } else if (does === 'give up') of(org).pop()?.()
          const all = [...inside.values()].reduce((sum, one) => sum + one, 0)
          expect(all).to.be.at.most(most)
          for (const each of orgs) {
            const own = inside.get(each) ?? 0
            expect(own).to.be.at.most(mostOfOne)
            expect(turns.waiting(each)).to.equal(of(each).length)
            if (of(each).length > 0) expect(all === most || own === mostOfOne).to.equal(true)
          }
        }
      }),
    )
  })
})
