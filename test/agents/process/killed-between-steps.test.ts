import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'chai'
import { readProcessTable } from '../../../agents/process/process-table.ts'
import type { SessionId } from '../../../domain/ids.ts'
import { eventually } from '../../support/eventually.ts'
import {
  aSessionId,
  gone,
  httpPort,
  observedOf,
  sh,
  target,
  type Workplace,
  workplace,
  written,
} from '../../support/process-agent.ts'

const startSteps = ['recorded', 'run_prepared', 'run_recorded', 'begun', 'ready']
const endSteps = ['discarded', 'taken_down', 'removed']

/** Processes that have to do with a session: its own, its shims, and whatever bears its id. */
const related = (id: SessionId): string[] =>
  execFileSync('ps', ['axeww', '-o', 'pid=,args='], { encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 })
    .split('\n')
    .filter((line) => line.includes(id) && !line.includes('ps axeww'))

describe('an agent that is killed between any two steps', () => {
  let place: Workplace
  before(() => {
    place = workplace()
  })
  afterEach(() => place.killAgents())
  after(() => place.close())
  const startsOf = (id: SessionId): number =>
    readFileSync(join(place.sessionDir(id), 'home', 'starts'), 'utf8').split('\n').length - 1

  const command = sh(
    "echo once >>starts; exec node -e \"require('net').createServer().listen(process.env.PORT, '127.0.0.1')\"",
  )

  for (const step of startSteps)
    it(`of a start, at ${step}: the next one goes on, and the command runs once`, async () => {
      const id = aSessionId()
      const about = target(id, { command, ports: httpPort })
      const first = await place.agent({}, step)
      await first.apply(about).catch(() => null)
      await first.exited
      const second = await place.agent()
      const held = await second.inventoryOf(id)
      expect(held?.generation).to.be.oneOf([0, undefined])
      const applied = await second.apply(about)
      expect(observedOf(applied), JSON.stringify(applied)).to.include({ status: 'running' })
      await eventually(() => expect(startsOf(id)).to.equal(1))
      const rows = await readProcessTable()
      const shims = rows.filter((row) => row.pid === place.record(id).run!.shim!.pid)
      expect(shims).to.have.length(1)
      await second.apply(target(id, {}, { generation: 2, state: 'deleted' }))
      expect(existsSync(place.sessionDir(id))).to.equal(false)
      await eventually(() => expect(related(id)).to.deep.equal([]))
    })

  it('of a start, at begun: a command that has ended since is not run again', async () => {
    const id = aSessionId()
    const about = target(id, { command: sh('echo once >>starts; exit 9'), ports: httpPort })
    const first = await place.agent({}, 'begun')
    await first.apply(about).catch(() => null)
    await first.exited
    await eventually(() => expect(startsOf(id)).to.equal(1))
    await eventually(() => {
      const { run } = place.record(id)
      expect(readFileSync(join(place.sessionDir(id), 'run', run!.instance, 'exit'), 'utf8').trim()).to.equal('9')
    })
    const second = await place.agent()
    const applied = await second.apply(about)
    expect(applied).to.deep.include({ kind: 'failed', code: 'exited_early' })
    expect(startsOf(id)).to.equal(1)
  })

  for (const step of startSteps.slice(1))
    it(`of a restart that nobody asked for, at ${step}: the next one goes on by itself`, async () => {
      const id = aSessionId()
      const first = await place.agent()
      await first.apply(target(id, { command, ports: httpPort, restart: { policy: 'always' } }))
      await first.dieAt(step)
      process.kill(place.commandPid(id), 'SIGKILL')
      await first.exited
      const second = await place.agent()
      await second.reported(id, ({ status }) => status === 'running')
      expect(startsOf(id)).to.equal(2)
    })

  it('of a restart that nobody asked for, while it waits: the next one goes on by itself', async () => {
    const id = aSessionId()
    const first = await place.agent()
    await first.apply(target(id, { command, ports: httpPort, restart: { policy: 'always' } }))
    await first.dieAt('waiting_to_restart')
    process.kill(place.commandPid(id), 'SIGKILL')
    await first.exited
    const second = await place.agent()
    expect(await second.reported(id, ({ status }) => status === 'running')).to.include({ restarts: 1 })
  })

  for (const state of ['stopped', 'deleted'] as const)
    for (const step of endSteps.slice(0, state === 'deleted' ? 3 : 2))
      it(`of an end as ${state}, at ${step}: the next one brings it to its end`, async () => {
        const id = aSessionId()
        const first = await place.agent()
        await first.apply(target(id, { command, ports: httpPort, restart: { policy: 'always' } }))
        await first.dieAt(step)
        const about = target(id, {}, { generation: 2, state })
        await first.apply(about).catch(() => null)
        await first.exited
        const second = await place.agent()
        const applied = await second.apply(about)
        expect(applied).to.include({ kind: 'applied' })
        await eventually(() => expect(related(id)).to.deep.equal([]))
        if (state === 'deleted') expect(existsSync(place.sessionDir(id))).to.equal(false)
        else expect(await second.inventoryOf(id)).to.include({ status: 'stopped', generation: 2 })
      })

  it('of a new incarnation, when the old one is not ended yet: the old one is not taken for the new', async () => {
    const id = aSessionId()
    const first = await place.agent()
    await first.apply(target(id, { command, ports: httpPort }))
    const pid = place.commandPid(id)
    await first.dieAt('discarded')
    const about = target(id, { command, ports: httpPort }, { generation: 2, incarnation: 1 })
    await first.apply(about).catch(() => null)
    await first.exited
    const second = await place.agent()
    expect(observedOf(await second.apply(about))).to.include({ status: 'running' })
    expect(place.commandPid(id)).to.not.equal(pid)
    await gone(pid)
    expect(await written(join(place.sessionDir(id), 'home', 'starts'))).to.equal('once\nonce\n')
  })
})
