import { expect } from 'chai'
import type { RetentionPosition, RetentionStore, RetentionWalk } from '../../domain/ports/retention.ts'
import { retention } from '../../src/usecases/retention.ts'

describe('the duty of retention', () => {
  const nothing: RetentionWalk = async () => ({ removed: 0, next: null })
  const periods = { commandsMs: 1, eventsMs: 2, tombstonesMs: 3, auditMs: 4 }
  const duty = (store: Partial<RetentionStore>, elapsed: () => number = () => 0) =>
    retention({
      retention: {
        commands: nothing,
        events: nothing,
        tombstones: nothing,
        orphans: nothing,
        agentEvents: nothing,
        answers: nothing,
        auditEvents: nothing,
        deliveries: nothing,
        ...store,
      },
      periods,
      elapsed,
    })

  it('walks to the end of each table, each with its own period, and tells what it removed', async () => {
    const asked: (readonly [number, RetentionPosition | null, number])[] = []
    const { run } = duty({
      commands: async (olderThanMs, from, limit) => {
        asked.push([olderThanMs, from, limit])
        return { removed: 5, next: from === null ? ['a'] : null }
      },
      events: async (olderThanMs) => ({ removed: olderThanMs, next: null }),
      tombstones: async (olderThanMs) => ({ removed: olderThanMs, next: null }),
    })
    expect(await run()).to.deep.include({ commands: 10, tombstones: 3, events: 2 })
    expect(asked).to.deep.equal([
      [1, null, 1_000],
      [1, ['a'], 1_000],
    ])
  })

  it('ends a run that takes too long, without keeping the other tables waiting, and goes on from there', async () => {
    let now = 0
    let place = 0
    const from: (RetentionPosition | null)[] = []
    const { run } = duty(
      {
        commands: async (_olderThanMs, position) => {
          from.push(position)
          now += 1_000
          place += 1
          return { removed: 1, next: [String(place)] }
        },
        events: async () => ({ removed: 7, next: null }),
      },
      () => now,
    )
    const first = await run()
    expect(first).to.deep.include({ commands: 8, tombstones: 0, events: 7 })
    await run()
    expect(from[8]).to.deep.equal(['8'])
  })

  it('goes on from where a step failed, at its next time', async () => {
    let fails = true
    const from: (RetentionPosition | null)[] = []
    const { run } = duty({
      commands: async (_olderThanMs, position) => {
        from.push(position)
        if (position !== null && fails) throw new Error('no database')
        return { removed: 1, next: position === null ? ['here'] : null }
      },
    })
    let failure: unknown
    await run().catch((error: unknown) => {
      failure = error
    })
    expect(failure).to.be.an('error')
    fails = false
    await run()
    expect(from).to.deep.equal([null, ['here'], ['here']])
  })
})
