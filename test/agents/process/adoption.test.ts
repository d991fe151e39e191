import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'chai'
import type { SessionId } from '../../../domain/ids.ts'
import { eventually } from '../../support/eventually.ts'
import {
  type AgentProcess,
  aServer,
  aSessionId,
  gone,
  httpPort,
  isRunning,
  nameOf,
  nodeScript,
  observedOf,
  sh,
  target,
  type Workplace,
  whoAgentsAre,
  workplace,
} from '../../support/process-agent.ts'

for (const uid of whoAgentsAre)
  describe(`a new agent takes over what the one before left (as ${nameOf(uid)})`, () => {
    let place: Workplace
    let first: AgentProcess
    before(() => {
      place = workplace(uid)
    })
    beforeEach(async () => {
      first = await place.agent()
    })
    afterEach(() => place.killAgents())
    after(() => place.close())
    const home = (id: SessionId): string => join(place.sessionDir(id), 'home')

    /** Changes a record as nobody but a test would. */
    const tamper = (id: SessionId, change: (record: ReturnType<Workplace['record']>) => object): void => {
      const record = place.record(id)
      writeFileSync(join(place.sessionDir(id), 'record.json'), JSON.stringify({ ...record, ...change(record) }))
    }

    it('after a kill -9: sessions run on, and are reported running where they were', async () => {
      const id = aSessionId()
      const before_ = observedOf(
        await first.apply(target(id, { command: aServer, ports: httpPort }, { generation: 7 })),
      )
      const pid = place.commandPid(id)
      await first.kill9()
      expect(await (await fetch(before_!.endpoint!.url)).text()).to.equal('hello')
      const second = await place.agent()
      const report = await second.reported(id, ({ status }) => status === 'running')
      expect(report).to.deep.include({ generation: 7, endpoint: before_!.endpoint })
      expect(await second.inventoryOf(id)).to.deep.include({ generation: 7, status: 'running' })
      expect(place.commandPid(id)).to.equal(pid)
      expect(second.reports.filter((one) => one.sessionId === id)).to.deep.equal([report])
      await second.apply(target(id, {}, { generation: 8, state: 'stopped' }))
      await gone(pid)
    })

    it('and notices when they end', async () => {
      const id = aSessionId()
      await first.apply(target(id, { command: sh('sleep 600') }))
      await first.kill9()
      const second = await place.agent()
      process.kill(place.commandPid(id), 'SIGTERM')
      expect(await second.reported(id, ({ status }) => status === 'failed')).to.include({ exitSignal: 'SIGTERM' })
    })

    it('after a SIGTERM: the same', async () => {
      const id = aSessionId()
      await first.apply(target(id, { command: sh('sleep 600') }))
      const pid = place.commandPid(id)
      await first.close()
      expect(await isRunning(pid)).to.equal(true)
      const second = await place.agent()
      expect(await second.inventoryOf(id)).to.include({ status: 'running' })
      expect(place.commandPid(id)).to.equal(pid)
    })

    it('a session that wrote 10 MiB and was killed while no agent was there is failed with the signal', async () => {
      const id = aSessionId()
      const script = `const line = 'y'.repeat(1023) + '\\n'
        const wait = () => require('fs').existsSync('go') ? write(10 * 1024) : setTimeout(wait, 10)
        const write = (n) => n === 0 ? console.log('all written') || setInterval(() => {}, 1000)
          : process.stdout.write(line, () => write(n - 1))
        wait()`
      await first.apply(target(id, { command: nodeScript(script) }))
      await first.kill9()
      writeFileSync(join(home(id), 'go'), '')
      const output = join(place.sessionDir(id), 'output.log')
      await eventually(() => expect(readFileSync(output).subarray(-12).toString()).to.equal('all written\n'))
      expect(statSync(output).size).to.be.greaterThan(10 * 1024 * 1024)
      const pid = place.commandPid(id)
      expect(await isRunning(pid)).to.equal(true)
      process.kill(pid, 'SIGKILL')
      await gone(pid)
      const second = await place.agent()
      const report = await second.reported(id, ({ status }) => status === 'failed')
      expect(report).to.deep.include({ reason: 'exited_early', exitSignal: 'SIGKILL', exitCode: null })
      expect(report.lastOutput?.slice(-30)).to.match(/all written\n$/)
    })

    it('a session that ended well meanwhile is stopped', async () => {
      const id = aSessionId()
      await first.apply(target(id, { command: sh('until test -e go; do sleep 0.02; done') }))
      const pid = place.commandPid(id)
      await first.kill9()
      writeFileSync(join(home(id), 'go'), '')
      await gone(pid)
      const second = await place.agent()
      expect(await second.reported(id, ({ status }) => status !== 'running')).to.deep.include({
        status: 'stopped',
        reason: 'exited_early',
        exitCode: 0,
      })
    })

    it('a session that ended meanwhile is started again when its policy says so', async () => {
      const id = aSessionId()
      await first.apply(target(id, { command: aServer, ports: httpPort, restart: { policy: 'on-failure' } }))
      const pid = place.commandPid(id)
      await first.kill9()
      process.kill(pid, 'SIGKILL')
      await gone(pid)
      const second = await place.agent()
      expect(await second.reported(id, ({ status }) => status === 'running')).to.include({ restarts: 1, generation: 1 })
    })

    it('a session that was killed together with its shim is failed', async () => {
      const id = aSessionId()
      await first.apply(target(id, { command: sh('sleep 600') }))
      const { run } = place.record(id)
      await first.kill9()
      process.kill(run!.shim!.pid, 'SIGKILL')
      process.kill(run!.command!.pid, 'SIGKILL')
      await gone(run!.shim!.pid)
      await gone(run!.command!.pid)
      const second = await place.agent()
      const report = await second.reported(id, ({ status }) => status === 'failed')
      expect(report).to.deep.include({ reason: 'exited_early', exitCode: null, exitSignal: 'SIGKILL' })
      expect(report.message).to.match(/killed together with its shim/)
    })

    it('a session whose shim alone was killed runs on, and its end is noticed', async () => {
      const id = aSessionId()
      await first.apply(target(id, { command: sh('sleep 600') }))
      const { run } = place.record(id)
      process.kill(run!.shim!.pid, 'SIGKILL')
      await gone(run!.shim!.pid)
      await first.kill9()
      const second = await place.agent()
      expect(await second.inventoryOf(id)).to.include({ status: 'running' })
      process.kill(run!.command!.pid, 'SIGKILL')
      await second.reported(id, ({ status }) => status === 'failed')
    })

    it('what is asked for while it was away is done: a kept session is stopped', async () => {
      const id = aSessionId()
      await first.apply(target(id, { command: sh(`trap '' TERM; while :; do sleep 0.1; done`), stopGraceSeconds: 1 }))
      const pid = place.commandPid(id)
      await first.kill9()
      const second = await place.agent()
      const applied = await second.apply(target(id, { stopGraceSeconds: 1 }, { generation: 2, state: 'hibernated' }))
      expect(observedOf(applied)).to.include({ status: 'hibernated' })
      expect(await isRunning(pid)).to.equal(false)
    })

    it('a process that got the pid of a session is no session, and is left alone', async () => {
      const id = aSessionId()
      await first.apply(target(id, { command: sh('sleep 600') }))
      const { run } = place.record(id)
      await first.kill9()
      process.kill(run!.shim!.pid, 'SIGKILL')
      process.kill(run!.command!.pid, 'SIGKILL')
      await gone(run!.command!.pid)
      // The record and the shim's file name this very test, as if its pid had been given out again.
      const runDir = join(place.sessionDir(id), 'run', run!.instance)
      for (const name of ['pid', 'shim']) {
        const path = join(runDir, name)
        const line = readFileSync(path, 'utf8')
        writeFileSync(
          path,
          line.replaceAll(
            new RegExp(`^${Number.parseInt(line, 10)}|(?<= )${Number.parseInt(line, 10)}(?= \\()`, 'g'),
            `${process.pid}`,
          ),
        )
      }
      const second = await place.agent()
      expect(await second.reported(id, () => true)).to.include({ status: 'failed', generation: 1 })
      await second.apply(target(id, { stopGraceSeconds: 0 }, { generation: 2, state: 'deleted' }))
      expect(await isRunning(process.pid)).to.equal(true)
    })

    it('after the machine was restarted the policy decides', async () => {
      const [calm, eager] = [aSessionId(), aSessionId()]
      await first.apply(target(calm, { command: sh('sleep 600') }))
      await first.apply(target(eager, { command: sh('sleep 600'), restart: { policy: 'on-failure' } }))
      const runs = [calm, eager].map((id) => place.record(id).run!)
      await first.kill9()
      for (const { shim, command } of runs) {
        process.kill(shim!.pid, 'SIGKILL')
        process.kill(command!.pid, 'SIGKILL')
        await gone(command!.pid)
      }
      for (const id of [calm, eager]) tamper(id, ({ run }) => ({ run: { ...run, hostEpoch: 'another boot' } }))
      const second = await place.agent()
      expect(await second.reported(calm, () => true)).to.deep.include({
        status: 'failed',
        reason: 'host_restarted',
        exitCode: null,
      })
      expect(await second.reported(eager, ({ status }) => status === 'running')).to.include({ restarts: 1 })
    })

    it('runs again at the same generation what was suspended, and nothing else', async () => {
      const [up, resting, failed, waiting] = [aSessionId(), aSessionId(), aSessionId(), aSessionId()]
      await first.close()
      const slow = await place.agent({ backoff: { baseMs: 60_000, capMs: 60_000 } })
      const serve = { command: aServer, ports: httpPort }
      const before_ = observedOf(await slow.apply(target(up, serve, { generation: 3 })))
      await slow.apply(target(resting, { command: sh('sleep 600') }))
      await slow.apply(target(resting, {}, { generation: 2, state: 'stopped' }))
      await slow.apply(target(failed, { command: sh('exit 1'), ports: httpPort }))
      await slow.apply(target(waiting, { ...serve, restart: { policy: 'always' } }))
      process.kill(place.commandPid(waiting), 'SIGKILL')
      await slow.reported(waiting, ({ reason }) => reason === 'restarting')
      const pid = place.commandPid(up)
      const told = slow.reports.length
      await slow.suspend()
      expect(await isRunning(pid)).to.equal(false)
      expect(slow.reports.slice(told)).to.deep.equal([])
      const second = await place.agent()
      const report = await second.reported(up, ({ status }) => status === 'running')
      expect(report).to.deep.include({ generation: 3, restarts: 0, endpoint: before_!.endpoint })
      await second.reported(waiting, ({ status }) => status === 'running')
      expect(await second.inventoryOf(resting)).to.include({ status: 'stopped', generation: 2 })
      expect(await second.inventoryOf(failed)).to.include({ status: 'failed', generation: 1 })
    })

    it('does not begin twice: one agent works on a state directory', async () => {
      const failure = await place.agent().then(
        () => null,
        (error: Error) => error,
      )
      expect(failure?.message).to.match(/^another agent \(process \d+\) works on /)
      await first.kill9()
      await place.agent()
    })

    it('a record that cannot be read is left alone', async () => {
      const id = aSessionId()
      await first.apply(target(id, { command: sh('sleep 600') }))
      const whole = readFileSync(join(place.sessionDir(id), 'record.json'), 'utf8')
      await first.kill9()
      writeFileSync(join(place.sessionDir(id), 'record.json'), '{ torn')
      const second = await place.agent()
      expect(await second.inventoryOf(id)).to.equal(undefined)
      expect(existsSync(home(id))).to.equal(true)
      await second.close()
      writeFileSync(join(place.sessionDir(id), 'record.json'), whole)
      const third = await place.agent()
      expect(await third.inventoryOf(id)).to.include({ status: 'running' })
    })
  })
