import { expect } from 'chai'
import { startBoss } from '../../../adapters/pgboss/boss.ts'
import {
  createDrainQueue,
  createDrainQueues,
  isAboutDrains,
  keepDrainQueue,
  workDrains,
} from '../../../adapters/pgboss/drains.ts'
import { openJobsDatabase } from '../../../adapters/postgres/jobs-database.ts'
import type { AgentId } from '../../../domain/ids.ts'
import { eventually } from '../../support/eventually.ts'
import { type Jobs, openJobs } from '../../support/jobs.ts'
import { quickestOf, timed } from '../../support/quickest.ts'
import { agentNamed, ids } from '../../support/rows.ts'

describe('drain jobs', () => {
  let jobs: Jobs
  beforeEach(async () => {
    jobs = await openJobs()
  })
  afterEach(() => jobs.close())

  const aReplica = async () => {
    const boss = await jobs.boss()
    const replicaId = ids.replica()
    const drained: AgentId[] = []
    const asked: AgentId[] = []
    const { leave } = await workDrains({
      boss,
      overhear: jobs.overhear(boss),
      replicaId,
      drain: (agentId) => drained.push(agentId),
      requestInventory: (agentId) => asked.push(agentId),
      onError: jobs.complain,
    })
    return { boss, replicaId, drained, asked, leave, ...createDrainQueue(boss) }
  }
  const queues = async () =>
    (await jobs.ask(`SELECT name FROM pgboss.queue WHERE name LIKE 'outbox.drain.%'`)).map((row) => row.name)

  it('reach the replica that they are for, and no other', async () => {
    const [sender, receiver] = [await aReplica(), await aReplica()]
    await sender.send(receiver.replicaId, [agentNamed('a'), agentNamed('b')])
    await eventually(() => expect(receiver.drained).to.have.members(['a', 'b']))
    expect(sender.drained).to.deep.equal([])
  })

  it('are known by their statements: what sends, fetches and completes them', async () => {
    const about: string[] = []
    const others: string[] = []
    const database = openJobsDatabase({
      url: jobs.url,
      isQuick: (text, values) => {
        const is = isAboutDrains(text, values)
        ;(is ? about : others).push(text)
        return is
      },
    })
    const boss = await startBoss(database, () => {})
    const drained: AgentId[] = []
    const replicaId = ids.replica()
    const { leave } = await workDrains({
      boss,
      overhear: database.overhear,
      replicaId,
      drain: (agentId) => drained.push(agentId),
      requestInventory: () => {},
      onError: jobs.complain,
    })
    await createDrainQueue(boss).send(replicaId, ['a' as AgentId])
    await eventually(() => expect(drained).to.deep.equal(['a']))
    await eventually(() => expect(about.some((text) => text.includes('completed_on = '))).to.equal(true))
    expect(about.some((text) => /INSERT INTO pgboss\.job/.test(text))).to.equal(true)
    expect(about.some((text) => text.includes('SKIP LOCKED'))).to.equal(true)
    expect(others.some((text) => text.includes('completed_on = '))).to.equal(false)
    await leave()
    await boss.stop({ graceful: false })
    await database.close()
  })

  it('are known also where the queue is one of several', () => {
    const queue = `outbox.drain.${ids.replica()}`
    expect(isAboutDrains('SELECT', [['duty.sweep', queue]])).to.equal(true)
    expect(isAboutDrains('SELECT', [['duty.sweep'], 'x', 1, null])).to.equal(false)
  })

  it('carry the wish for an inventory the same way, and drain nothing for it', async () => {
    const [sender, receiver] = [await aReplica(), await aReplica()]
    await sender.askInventory(receiver.replicaId, agentNamed('a'))
    await eventually(() => expect(receiver.asked).to.deep.equal(['a']))
    expect([receiver.drained, sender.asked]).to.deep.equal([[], []])
  })

  it('come soon, without waiting for the next poll', async () => {
    const [sender, receiver] = [await aReplica(), await aReplica()]
    await sender.send(receiver.replicaId, [agentNamed('first')])
    await eventually(() => expect(receiver.drained).to.include('first'))
    let serial = 0
    const one = (): Promise<number> =>
      timed(async () => {
        serial += 1
        const agentId = agentNamed(`agent-${serial}`)
        await sender.send(receiver.replicaId, [agentId])
        await eventually(() => expect(receiver.drained).to.include(agentId))
      })
    // The poll of a queue with notifications is 5 s apart.
    await quickestOf(3, 2_000, async () => {
      const took: number[] = []
      for (let n = 0; n < 5; n += 1) took.push(await one())
      return Math.max(...took)
    })
  })

  it('that are refused are only a hint lost: they are not tried again', async () => {
    const boss = await jobs.boss()
    const replicaId = ids.replica()
    let calls = 0
    await workDrains({
      boss,
      overhear: jobs.overhear(boss),
      replicaId,
      drain: () => {
        calls += 1
        throw new Error('the hub is closed')
      },
      requestInventory: () => {},
      onError: () => {},
    })
    await createDrainQueue(boss).send(replicaId, [agentNamed('a')])
    await eventually(async () => {
      const rows = await jobs.ask('SELECT state FROM pgboss.job WHERE name = $1', `outbox.drain.${replicaId}`)
      expect(rows).to.deep.equal([{ state: 'failed' }])
    })
    expect(calls).to.equal(1)
  })

  it('have no queue any more once their replica has ended, and none is left over', async () => {
    const [sender, leaving] = [await aReplica(), await aReplica()]
    expect(await queues()).to.have.length(2)
    await sender.send(leaving.replicaId, [agentNamed('a')])
    await leaving.leave()
    await leaving.boss.stop({ graceful: true, timeout: 2_000 })
    expect(await queues()).to.deep.equal([`outbox.drain.${sender.replicaId}`])
    expect(
      await jobs.ask('SELECT id FROM pgboss.job WHERE name = $1', `outbox.drain.${leaving.replicaId}`),
    ).to.deep.equal([])
    expect(jobs.complaints).to.deep.equal([])
  })

  it('of a replica that was taken for dead are removed with its queue; when it is back it has one again', async () => {
    const [sender, other] = [await aReplica(), await aReplica()]
    const drainQueues = createDrainQueues(sender.boss)
    expect([...(await drainQueues.replicas())].sort()).to.deep.equal([sender.replicaId, other.replicaId].sort())
    await drainQueues.remove(other.replicaId)
    await drainQueues.remove(other.replicaId)
    expect(await drainQueues.replicas()).to.deep.equal([sender.replicaId])
    await keepDrainQueue(other.boss, other.replicaId)
    await keepDrainQueue(other.boss, other.replicaId)
    await sender.send(other.replicaId, [agentNamed('a')])
    await eventually(() => expect(other.drained).to.deep.equal([agentNamed('a')]))
  })

  it('that come one after another are completed together', async () => {
    const completions: string[] = []
    const database = openJobsDatabase({
      url: jobs.url,
      isQuick: (text) => {
        if (text.includes('completed_on = ')) completions.push(text)
        return false
      },
    })
    const boss = await startBoss(database, jobs.complain)
    const drained: AgentId[] = []
    const replicaId = ids.replica()
    const { leave } = await workDrains({
      boss,
      overhear: database.overhear,
      replicaId,
      drain: (agentId) => drained.push(agentId),
      requestInventory: () => {},
      onError: jobs.complain,
    })
    const { send } = createDrainQueue(boss)
    const began = performance.now()
    for (let n = 0; n < 40; n += 1) {
      await send(replicaId, [agentNamed(`agent-${n}`)])
      await eventually(() => expect(drained).to.have.length(n + 1))
    }
    await eventually(async () => {
      const rows = await jobs.ask('SELECT DISTINCT state FROM pgboss.job WHERE name = $1', `outbox.drain.${replicaId}`)
      expect(rows).to.deep.equal([{ state: 'completed' }])
    })
    // One for all that came within 250 ms.
    expect(completions.length).to.be.at.most((performance.now() - began) / 250 + 2)
    await leave()
    await boss.stop({ graceful: false })
    await database.close()
    expect(jobs.complaints).to.deep.equal([])
  })

  it('are found although nobody heard of them', async () => {
    const boss = await jobs.boss()
    const replicaId = ids.replica()
    const drained: AgentId[] = []
    let tell: (queue: string | null) => void = () => {}
    await workDrains({
      boss,
      overhear: (onNotification) => {
        tell = onNotification
        return () => {}
      },
      replicaId,
      drain: (agentId) => drained.push(agentId),
      requestInventory: () => {},
      onError: jobs.complain,
    })
    const { send } = createDrainQueue(boss)
    await send(replicaId, [agentNamed('polled')])
    await eventually(() => expect(drained).to.deep.equal(['polled']))
    let serial = 0
    const told = (): Promise<number> =>
      timed(async () => {
        serial += 1
        const agentId = agentNamed(`told-${serial}`)
        await send(replicaId, [agentId])
        // The connection that listens was lost and is back.
        tell(null)
        await eventually(() => expect(drained).to.include(agentId))
      })
    // Until it is told for the first time it looks by itself each second, and every 5 s from then on.
    await told()
    await quickestOf(3, 4_000, told)
    expect(drained).to.deep.equal(['polled', ...Array.from({ length: serial }, (_, n) => `told-${n + 1}`)])
  })

  it('to a replica that is gone are refused, not kept', async () => {
    const sender = await aReplica()
    const error = await sender.send(ids.replica(), [agentNamed('a')]).then(
      () => null,
      (thrown: unknown) => thrown,
    )
    expect(error).to.be.an.instanceOf(Error)
  })
})
