import { expect } from 'chai'
import type { ReplicaId } from '../../domain/ids.ts'
import { createPresence, REPLICA_SILENT_MS, replicas } from '../../src/usecases/replicas.ts'

const id = (n: number) => `replica-${n}` as ReplicaId

/** A replica whose time and database are the test's. */
const aReplica = () => {
  const world = { now: 1_000, answer: 'known' as 'known' | 'unknown' | 'gone', takenForDead: 0 }
  const presence = createPresence({
    duties: {
      replicaAlive: async () => {
        if (world.answer === 'gone') throw new Error('no database')
        return world.answer
      },
    },
    replicaId: id(1),
    url: 'http://replica-1',
    now: () => world.now,
    wasTakenForDead: () => {
      world.takenForDead += 1
    },
  })
  /** Says every 5 s that it lives. */
  const liveFor = async (ms: number): Promise<void> => {
    for (const until = world.now + ms; world.now < until; world.now += 5_000) await presence.beat().catch(() => {})
  }
  return { world, presence, liveFor }
}

describe('the presence of a replica', () => {
  it('is steady for as long as it is heard, and begins anew after the database was away', async () => {
    const { world, presence, liveFor } = aReplica()
    expect(presence.steadyForMs()).to.equal(0)
    await liveFor(30_000)
    expect(presence.steadyForMs()).to.equal(30_000)
    world.answer = 'gone'
    await liveFor(15_000)
    expect(presence.steadyForMs()).to.equal(0)
    world.answer = 'known'
    await liveFor(10_000)
    expect(presence.steadyForMs()).to.equal(10_000)
  })

  it('begins anew when the process stood still', async () => {
    const { world, presence, liveFor } = aReplica()
    await liveFor(30_000)
    world.now += 60_000
    expect(presence.steadyForMs()).to.equal(0)
    await presence.beat()
    expect(presence.steadyForMs()).to.equal(0)
  })

  it('that nobody knows any more was taken for dead; at its beginning it is only new', async () => {
    const { world, presence } = aReplica()
    world.answer = 'unknown'
    await presence.beat()
    expect(world.takenForDead).to.equal(0)
    world.answer = 'known'
    await presence.beat()
    expect(world.takenForDead).to.equal(0)
    world.answer = 'unknown'
    await presence.beat()
    expect(world.takenForDead).to.equal(1)
  })
})

describe('the replica duty', () => {
  const duty = (steadyForMs: number) => {
    const removed: ReplicaId[] = []
    const judged: number[] = []
    const run = replicas({
      duties: {
        releaseDeadReplicas: async (silentAfterMs) => {
          judged.push(silentAfterMs)
          return [id(2)]
        },
        replicaIds: async () => [id(1)],
      },
      drainQueues: {
        replicas: async () => [id(1), id(2), id(3)],
        remove: async (replicaId) => {
          removed.push(replicaId)
        },
      },
      presence: { steadyForMs: () => steadyForMs },
    }).run
    return { run, removed, judged }
  }

  it('counts replicas that have been silent for too long, and removes the queues of all that are gone', async () => {
    const { run, removed, judged } = duty(REPLICA_SILENT_MS)
    expect(await run()).to.deep.equal({ dead: 1, queuesRemoved: 2 })
    expect(removed).to.deep.equal([id(2), id(3)])
    expect(judged).to.deep.equal([REPLICA_SILENT_MS])
  })

  it('judges nobody while this replica has not been heard for as long itself', async () => {
    const { run, removed, judged } = duty(REPLICA_SILENT_MS - 1)
    expect(await run()).to.deep.equal({ dead: 0, queuesRemoved: 0 })
    expect([removed, judged]).to.deep.equal([[], []])
  })
})
