import { expect } from 'chai'
import { limitedMatch } from '../../../adapters/patterns/limited-match.ts'

describe('a pattern of a template', () => {
  it('matches as any regular expression does', () => {
    expect(limitedMatch('^[a-z]+$', 'abc')).to.equal(true)
    expect(limitedMatch('^[a-z]+$', 'abc1')).to.equal(false)
    expect(limitedMatch('^\\p{L}+$', 'größe')).to.equal(true)
  })

  it('that backtracks without end is given up soon, and does not match', () => {
    const started = performance.now()
    expect(limitedMatch('^(a+)+$', `${'a'.repeat(60)}!`)).to.equal(false)
    expect(performance.now() - started).to.be.below(5_000)
  })

  it('that is none does not match', () => {
    expect(limitedMatch('(', 'x')).to.equal(false)
  })
})
