import { expect } from 'chai'
import { type Dealt, deal, faultKinds } from '../../scripts/faults/deck.ts'

const first = (count: number, seed: number): readonly Dealt[] => {
  const dealt: Dealt[] = []
  for (const one of deal(seed, faultKinds, { fromMs: 500, toMs: 1_500 })) {
    dealt.push(one)
    if (dealt.length === count) break
  }
  return dealt
}
const told = (dealt: readonly Dealt[]) => dealt.map(({ kind, pauseMs, random }) => [kind, pauseMs, random.next()])

describe('the schedule of faults', () => {
  it('is the same for the same seed, and another for another', () => {
    expect(told(first(100, 7))).to.deep.equal(told(first(100, 7)))
    expect(told(first(100, 7))).to.not.deep.equal(told(first(100, 8)))
  })

  it('brings every kind before it brings one again', () => {
    const kinds = first(3 * faultKinds.length, 7).map(({ kind }) => kind)
    for (let round = 0; round < 3; round += 1) {
      const part = kinds.slice(round * faultKinds.length, (round + 1) * faultKinds.length)
      expect(new Set(part).size).to.equal(faultKinds.length)
    }
  })
})
