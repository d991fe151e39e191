import { expect } from 'chai'
import { byTurns, createTurnstile, NoTurnError } from '../../../domain/turns/turnstile.ts'

describe('those who read for watchers that were away', () => {
  it('are let in by turns of orgs, and go on when one of them fails', async () => {
    const turn = createTurnstile({ most: 1, mostOfOne: 1 }, null)
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

describe('a turnstile', () => {
  it('refuses whoever has waited for too long, who is not let in later and takes nobody’s turn', async () => {
    const turn = createTurnstile({ most: 1, mostOfOne: 1 }, 20)
    const held = Promise.withResolvers<void>()
    const holding = turn('acme', () => held.promise)
    const begun: string[] = []
    const late = await turn('globex', async () => void begun.push('late')).catch((error: unknown) => error)
    expect(late).to.be.an.instanceOf(NoTurnError)
    const next = turn('globex', async () => void begun.push('next'))
    held.resolve()
    await Promise.all([holding, next])
    expect(begun).to.deep.equal(['next'])
  })
})

describe('reads by turns', () => {
  it('are asked with what they were given, and answered, in the turn of their org', async () => {
    const held = Promise.withResolvers<void>()
    const asked: string[] = []
    const find = byTurns(createTurnstile({ most: 2, mostOfOne: 1 }, null))(async (org: string, name: string) => {
      asked.push(`${org}/${name}`)
      await held.promise
      return name
    })
    const found = [find('acme', 'a'), find('acme', 'b'), find('globex', 'c')]
    expect(asked).to.deep.equal(['acme/a', 'globex/c'])
    held.resolve()
    expect(await Promise.all(found)).to.deep.equal(['a', 'b', 'c'])
  })
})
