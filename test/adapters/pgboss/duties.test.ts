import { expect } from 'chai'
import { type RunningDuties, workDuties } from '../../../adapters/pgboss/duties.ts'
import type { Duty } from '../../../domain/ports/jobs.ts'
import { eventually } from '../../support/eventually.ts'
import { type Jobs, openJobs } from '../../support/jobs.ts'

const LONG_MS = 3_600_000

describe('duties as jobs', () => {
  let jobs: Jobs
  let running: RunningDuties[]
  beforeEach(async () => {
    jobs = await openJobs()
    running = []
  })
  afterEach(async () => {
    for (const duties of running) duties.stop()
    await jobs.close()
  })

  const work = async (duties: readonly Duty[], onError: (error: unknown) => void = () => {}) => {
    const boss = await jobs.boss()
    const started = await workDuties(boss, duties, onError)
    running.push(started)
    return { boss, ...started }
  }

  const counting = (name: string, everyMs: number) => {
    const count = { runs: 0 }
    const duty: Duty = { name, everyMs, run: async () => ({ runs: ++count.runs }) }
    return { count, duty }
  }

  const statesOf = async (queue: string) =>
    (await jobs.ask('SELECT state FROM pgboss.job WHERE name = $1 ORDER BY created_on', queue)).map((row) => row.state)

  it('run at once, and again after their time', async () => {
    const { count, duty } = counting('again', 100)
    await work([duty])
    await eventually(() => expect(count.runs).to.be.at.least(3))
    const [row] = await jobs.ask(
      `SELECT output FROM pgboss.job WHERE name = 'duty.again' AND state = 'completed' LIMIT 1`,
    )
    expect(row.output).to.have.property('runs')
  })

  it('run when they are asked for, and one that is unknown is nobody’s', async () => {
    const { count, duty } = counting('soon', LONG_MS)
    const { soon } = await work([duty])
    await eventually(() => expect(count.runs).to.equal(1))
    soon('soon')
    soon('unknown')
    await eventually(() => expect(count.runs).to.equal(2))
  })

  it('of several replicas are one chain: one job waits, however many were sent', async () => {
    let release = (): void => {}
    const held = new Promise<void>((resolve) => {
      release = resolve
    })
    const duty: Duty = { name: 'chain', everyMs: 20, run: () => held.then(() => ({})) }
    await work([duty])
    await work([duty])
    const sender = await jobs.boss()
    await eventually(async () => expect((await statesOf('duty.chain')).filter((s) => s === 'active')).to.have.length(2))
    for (let n = 0; n < 10; n += 1) await sender.send('duty.chain', {})
    expect((await statesOf('duty.chain')).filter((state) => state === 'created')).to.have.length(1)
    release()
  })

  it('go on when the worker of one was killed in the middle of it', async () => {
    const { count, duty } = counting('killed', 100)
    const first = await work([duty])
    await eventually(() => expect(count.runs).to.be.at.least(1))
    first.stop()
    await first.boss.offWork('duty.killed')

    // A replica takes the job and is gone: no result, no failure, nobody who ends it.
    const victim = await jobs.boss()
    const taken = await eventually(async () => {
      await victim.send('duty.killed', {})
      const [job] = await victim.fetch('duty.killed')
      if (job === undefined) throw new Error('there was nothing to take')
      return job
    })
    await victim.stop({ graceful: false })

    const before = count.runs
    await work([duty])
    await eventually(() => expect(count.runs).to.be.at.least(before + 3))
    expect(await jobs.ask('SELECT state FROM pgboss.job WHERE id = $1', taken.id)).to.deep.equal([{ state: 'active' }])
  })

  it('that fail are told, are not tried again before their time, and run then', async () => {
    const told: unknown[] = []
    let runs = 0
    const failure = new Error('no such table')
    const duty: Duty = {
      name: 'fails',
      everyMs: 100,
      run: async () => {
        runs += 1
        if (runs === 1) throw failure
        return { runs }
      },
    }
    await work([duty], (error) => told.push(error))
    await eventually(() => expect(runs).to.be.at.least(2))
    expect(told).to.deep.equal([failure])
    expect((await statesOf('duty.fails'))[0]).to.equal('failed')
  })

  it('that were stopped are sent no more', async () => {
    const { count, duty } = counting('stopped', 30)
    const { stop, soon, boss } = await work([duty])
    await eventually(() => expect(count.runs).to.be.at.least(1))
    stop()
    const sent: unknown[] = []
    boss.send = async (...job: unknown[]) => {
      sent.push(job)
      return null
    }
    soon('stopped')
    expect(sent).to.deep.equal([])
  })
})
