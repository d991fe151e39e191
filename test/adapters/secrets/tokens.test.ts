import { expect } from 'chai'
import { createIds } from '../../../adapters/secrets/ids.ts'
import { tokens } from '../../../adapters/secrets/tokens.ts'
import { isUuid } from '../../../domain/ids.ts'
import { API_KEY } from '../../../domain/ports/tokens.ts'

describe('tokens', () => {
  it('look as documented, and no two are the same', () => {
    expect(tokens.apiKey())
      .to.match(API_KEY)
      .and.match(/^ssk_[A-Za-z0-9]{43}$/u)
    expect(tokens.agentToken()).to.match(/^ssa_[A-Za-z0-9]{43}$/u)
    expect(new Set(Array.from({ length: 1_000 }, tokens.apiKey)).size).to.equal(1_000)
  })

  it('use every character of their alphabet', () => {
    const used = new Set(Array.from({ length: 200 }, () => tokens.apiKey().slice(4)).join(''))
    expect(used.size).to.equal(62)
  })

  it('match their own hash only', () => {
    const [mine, other] = [tokens.apiKey(), tokens.apiKey()]
    expect(tokens.hash(mine)).to.have.length(32)
    expect(tokens.matches(mine, tokens.hash(mine))).to.equal(true)
    expect(tokens.matches(other, tokens.hash(mine))).to.equal(false)
    expect(tokens.matches('', tokens.hash(mine))).to.equal(false)
  })
})

describe('ids', () => {
  it('are UUIDs of version 7, which sort by the time they were made', () => {
    const ids = createIds()
    const made = Array.from({ length: 2_000 }, ids.session)
    expect(made.every(isUuid)).to.equal(true)
    expect(made.every((id) => id[14] === '7')).to.equal(true)
    expect(made.toSorted()).to.deep.equal(made)
    expect(new Set([ids.command(), ids.template(), ids.replica(), ids.apiKey()]).size).to.equal(4)
  })
})
