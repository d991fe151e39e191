import { expect } from 'chai'
import { createTurnstile } from '../../../src/watch/turnstile.ts'

describe('those who read for watchers that were away', () => {
  it('are let in by turns of orgs, and go on when one of them fails', async () => {
    const turn = createTurnstile({ most: 1, mostOfOne: 1 })
    const order: string[] = []
    const held = Promise.withResolvers<void>()
    const failing = turn('acme', () => held.promise)
    const reads = ['acme', 'acme', 'globex'].map((org) => turn(org, async () => void order.push(org)))
    held.reject(new Error('the database is away'))
    expect(await failing.catch((error: Error) => error.message)).to.equal('the database is away')
    await Promise.all(reads)
    expect(order).to.deep.equal(['acme', 'globex', 'acme'])
  })
})
