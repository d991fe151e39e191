import { expect } from 'chai'
import fc from 'fast-check'
import { agentLimit, type BrakeFigures, brake, limitTogether } from '../../../domain/agent/brake.ts'

const figures = (changes: {
  readonly asked: number
  readonly resources: number
  readonly removed?: number
  readonly all?: number
  readonly removedOfAll?: number
  readonly halted?: string
  readonly of?: BrakeFigures['together']['of']
}): BrakeFigures => ({
  asked: changes.asked,
  agent: { resources: changes.resources, removed: changes.removed ?? 0 },
  together: {
    of: changes.of ?? 'shared',
    resources: changes.all ?? 0,
    removed: changes.removedOfAll ?? changes.removed ?? 0,
  },
  halted: changes.halted ?? null,
})
const judged = (changes: Parameters<typeof figures>[0]) => brake(figures(changes)).kind

describe('the brake', () => {
  const limits: readonly (readonly [resources: number, limit: number])[] = [
    [0, 0],
    [1, 0],
    [2, 1],
    [3, 1],
    [19, 9],
    [20, 10],
    [21, 10],
    [200, 10],
    [219, 10],
    [220, 11],
    [5_000, 250],
  ]
  for (const [resources, limit] of limits)
    it(`lets ${limit} of ${resources} resources of an agent go`, () => {
      expect(agentLimit(resources)).to.equal(limit)
      expect(judged({ asked: limit, resources, all: 100_000 })).to.equal('allowed')
      expect(judged({ asked: limit + 1, resources, all: 100_000 })).to.equal('held')
    })

  it('over all agents that share a limit lets 50 go, or one in a hundred', () => {
    expect([0, 5_000, 5_099, 5_100, 50_000].map(limitTogether)).to.deep.equal([50, 50, 50, 51, 500])
    expect(judged({ asked: 10, resources: 1_000, removedOfAll: 40 })).to.equal('allowed')
    expect(judged({ asked: 11, resources: 1_000, removedOfAll: 40 })).to.equal('held')
    expect(judged({ asked: 11, resources: 1_000, removedOfAll: 40, all: 5_100 })).to.equal('allowed')
  })

  it('says over which agents there were too many, and not how many there are of others', () => {
    const words = { shared: 'all shared agents', org: 'all own agents of the org' } as const
    for (const sharers of ['shared', 'org'] as const) {
      const verdict = brake(figures({ asked: 11, resources: 1_000, removedOfAll: 47_123, all: 4_711_000, of: sharers }))
      expect(verdict).to.deep.equal({
        kind: 'held',
        reason: `11 to remove, and more than may be in 24 h over ${words[sharers]}, with what was: nothing is removed until an operator approves`,
      })
    }
  })

  it('counts what was removed before', () => {
    expect(judged({ asked: 4, resources: 100, removed: 6 })).to.equal('allowed')
    expect(judged({ asked: 5, resources: 100, removed: 6 })).to.equal('held')
  })

  it('lets a removal be tried again at no cost', () => {
    expect(judged({ asked: 0, resources: 1, removed: 10, removedOfAll: 50 })).to.equal('allowed')
  })

  it('holds everything while the database was restored, and says so', () => {
    expect(brake(figures({ asked: 0, resources: 100, halted: 'restored' }))).to.deep.equal({
      kind: 'held',
      reason: 'restored',
    })
  })

  it('says what was asked, what is allowed and what to do', () => {
    expect(brake(figures({ asked: 20, resources: 20, removed: 3 }))).to.deep.equal({
      kind: 'held',
      reason:
        '20 to remove, and at most 10 of the 20 that it has may be in 24 h, of which 3 were: nothing is removed until an operator approves',
    })
  })

  const count = fc.integer({ min: 0, max: 100_000 })
  const few = fc.integer({ min: 0, max: 60 })
  it('never lets more go than any of its limits, whatever was asked in whatever portions', () => {
    fc.assert(
      fc.property(
        count,
        count,
        fc.array(fc.integer({ min: 0, max: 3_000 }), { maxLength: 50 }),
        (has, all, portions) => {
          let removed = 0
          for (const asked of portions)
            if (judged({ asked, resources: has, removed, all }) === 'allowed') removed += asked
          expect(removed).to.be.at.most(Math.max(10, has * 0.05))
          expect(removed).to.be.at.most(has / 2)
          expect(removed).to.be.at.most(Math.max(50, all * 0.01))
        },
      ),
    )
  })

  it('lets go what asks for less whenever it lets go what asks for more', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 60 }),
        count,
        few,
        count,
        few,
        (asked, resources, removed, all, removedOfAll) => {
          if (judged({ asked, resources, removed, all, removedOfAll }) === 'allowed')
            expect(judged({ asked: asked - 1, resources, removed, all, removedOfAll })).to.equal('allowed')
        },
      ),
    )
  })
})
