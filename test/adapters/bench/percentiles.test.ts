import { expect } from 'chai'
import { distributionOf, median } from '../../../scripts/bench/percentiles.ts'

const upTo = (count: number): number[] => Array.from({ length: count }, (_, index) => count - index)

describe('percentiles of the benchmarks', () => {
  it('are values that were measured, by nearest rank', () => {
    expect(distributionOf(upTo(100))).to.deep.equal({ count: 100, min: 1, p50: 50, p95: 95, p99: 99, max: 100 })
    expect(distributionOf(upTo(1_000))).to.include({ p50: 500, p99: 990, max: 1_000 })
    expect(distributionOf([7])).to.deep.equal({ count: 1, min: 7, p50: 7, p95: 7, p99: 7, max: 7 })
  })

  it('are sorted as numbers', () => {
    expect(distributionOf([10, 9, 100])).to.include({ min: 9, p50: 10, max: 100 })
  })

  it('do not exist of nothing, so that no bar is met by it', () => {
    expect(distributionOf([]).p99).to.be.NaN
  })

  it('have the mean of the middle two as the median of an even number of rounds', () => {
    expect(median([4, 1, 3, 2])).to.equal(2.5)
    expect(median([30, 10, 20])).to.equal(20)
  })
})
