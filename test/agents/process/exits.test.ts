import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'chai'
import { readProcessTable } from '../../../agents/process/process-table.ts'
import type { Applied } from '../../../agents/runtime/platform.ts'
import { eventually } from '../../support/eventually.ts'
import {
  type AgentProcess,
  aServer,
  aSessionId,
  gone,
  httpPort,
  nameOf,
  nodeScript,
  sh,
  target,
  type Workplace,
  whoAgentsAre,
  workplace,
  written,
} from '../../support/process-agent.ts'
import { quickestOf, timed } from '../../support/quickest.ts'

const startsIn = (place: Workplace, id: ReturnType<typeof aSessionId>): number =>
  readFileSync(join(place.sessionDir(id), 'home', 'starts'), 'utf8').split('\n').length - 1

/** What ends before its apply has answered is told by that answer, not by a report: it waits until it may. */
const whenTold = 'until test -e go; do sleep 0.02; done'
const tell = (place: Workplace, id: ReturnType<typeof aSessionId>): void =>
  writeFileSync(join(place.sessionDir(id), 'home', 'go'), '')

for (const uid of whoAgentsAre)
  describe(`a session's command that ends by itself (as ${nameOf(uid)})`, () => {
    let place: Workplace
    let agent: AgentProcess
    before(async () => {
      place = workplace(uid)
      agent = await place.agent()
    })
    after(() => place.close())

    it('makes the session failed, with its exit code and its last output', async () => {
      const id = aSessionId()
      await agent.apply(
        target(id, {
          command: sh(`echo before; ${whenTold}; echo "the reason" >&2; exit 3`),
        }),
      )
      tell(place, id)
      const report = await agent.reported(id, ({ status }) => status === 'failed')
      expect(report).to.deep.include({
        sessionId: id,
        generation: 1,
        reason: 'exited_early',
        message: 'the command ended with exit code 3',
        exitCode: 3,
        exitSignal: null,
        endpoint: null,
        lastOutput: 'before\nthe reason\n',
      })
      expect(await agent.inventoryOf(id)).to.deep.include({ status: 'failed', exitCode: 3, generation: 1 })
    })

    it('makes it stopped when it ended well', async () => {
      const id = aSessionId()
      await agent.apply(target(id, { command: sh(whenTold) }))
      tell(place, id)
      const report = await agent.reported(id, ({ status }) => status !== 'running')
      expect(report).to.deep.include({ status: 'stopped', reason: 'exited_early', exitCode: 0, lastOutput: null })
    })

    it('makes it failed with the signal that ended it', async () => {
      const id = aSessionId()
      await agent.apply(target(id, { command: aServer, ports: httpPort }))
      process.kill(place.commandPid(id), 'SIGSEGV')
      const report = await agent.reported(id, ({ status }) => status === 'failed')
      expect(report).to.deep.include({ reason: 'exited_early', exitCode: null, exitSignal: 'SIGSEGV' })
      expect(report.message).to.equal('the command was ended by SIGSEGV')
    })

    it('takes what it left running with it', async () => {
      const id = aSessionId()
      await agent.apply(
        target(id, {
          command: sh(`sleep 600 & echo $! >left.new; mv left.new left; ${whenTold}; exit 4`),
        }),
      )
      const left = Number(await eventually(() => readFileSync(join(place.sessionDir(id), 'home', 'left'), 'utf8')))
      tell(place, id)
      await agent.reported(id, ({ status }) => status === 'failed')
      await gone(left)
    })

    it('fails the start when it ends before it is ready', async () => {
      const applied = await agent.apply(
        target(aSessionId(), { command: sh('echo "no config" >&2; exit 5'), ports: httpPort }),
      )
      expect(applied).to.deep.include({ kind: 'failed', code: 'exited_early', retryable: false })
      expect((applied as Extract<Applied, { kind: 'failed' }>).observed).to.deep.include({
        status: 'failed',
        exitCode: 5,
        lastOutput: 'no config\n',
      })
    })

    for (const command of [['no-such-program', 'x'], ['./no-such-program'], ['/no/such/program'], ['/etc/passwd']])
      it(`says so when the command ${command[0]} does not exist or is no program`, async () => {
        const restart = { policy: 'always' as const }
        const applied = await agent.apply(target(aSessionId(), { command, restart }))
        expect(applied).to.deep.include({ kind: 'failed', code: 'exited_early', retryable: false })
        expect((applied as { message: string }).message).to.equal(`command not found: ${command[0]}`)
      })

    it('is started again under the policy on-failure, and counted', async () => {
      const id = aSessionId()
      const command = sh(
        "echo once >>starts; exec node -e \"require('net').createServer().listen(process.env.PORT, '127.0.0.1')\"",
      )
      await agent.apply(target(id, { command, ports: httpPort, restart: { policy: 'on-failure' } }))
      const port = place.record(id).ports.http
      process.kill(place.commandPid(id), 'SIGKILL')
      // What it waits for once it is started again is `starting`, too, and may be told by the time anybody looks.
      const restarting = await agent.reported(id, ({ reason }) => reason === 'restarting')
      expect(restarting).to.include({ status: 'starting', restarts: 1 })
      expect(agent.reports.filter((one) => one.sessionId === id && one.reason === 'restarting')[0]?.message).to.match(
        /^the command was ended by SIGKILL; starting it again in .* s \(1 of 3\)$/,
      )
      const running = await agent.reported(id, ({ status }) => status === 'running')
      expect(running).to.deep.include({ restarts: 1, generation: 1, reason: null, exitSignal: null })
      expect(running.endpoint?.port).to.equal(port)
      expect(startsIn(place, id)).to.equal(2)
      expect(place.record(id)).to.include({ restarts: 1 })
    })

    it('fails with the last exit when it was started again as often as allowed', async () => {
      const id = aSessionId()
      const applied = await agent.apply(
        target(id, {
          command: sh('echo once >>starts; echo "try $(wc -l <starts)"; exit 6'),
          ports: httpPort,
          restart: { policy: 'on-failure', maxRetries: 2 },
        }),
      )
      expect(applied).to.deep.include({ kind: 'failed', code: 'restart_limit' })
      const { observed } = applied as Extract<Applied, { kind: 'failed' }>
      expect(observed).to.deep.include({ reason: 'restart_limit', exitCode: 6, restarts: 2, lastOutput: 'try 3\n' })
      expect(startsIn(place, id)).to.equal(3)
    })

    it('counts from the beginning after it was healthy for long', async () => {
      const place_ = workplace(uid)
      try {
        const patient = await place_.agent({ healthyAfterMs: 1 })
        const id = aSessionId()
        const spec = {
          command: sh('echo once >>starts; sleep 600'),
          restart: { policy: 'always' as const, maxRetries: 1 },
        }
        await patient.apply(target(id, spec))
        for (let restarts = 1; restarts <= 3; restarts += 1) {
          process.kill(place_.commandPid(id), 'SIGKILL')
          await patient.reported(id, (one) => one.status === 'running' && one.restarts === restarts)
        }
      } finally {
        await place_.close()
      }
    })

    it('is not started again under on-failure when it ended well, but is under always', async () => {
      const [calm, eager] = [aSessionId(), aSessionId()]
      const command = sh(`echo once >>starts; test $(wc -l <starts) -gt 1 && sleep 600; ${whenTold}`)
      await agent.apply(target(calm, { command, restart: { policy: 'on-failure' } }))
      await agent.apply(target(eager, { command, restart: { policy: 'always' } }))
      for (const id of [calm, eager]) tell(place, id)
      expect(await agent.reported(calm, ({ status }) => status !== 'running')).to.include({ status: 'stopped' })
      expect(await agent.reported(eager, ({ status }) => status === 'running')).to.include({ restarts: 1 })
    })

    it('can be asked for again after it failed', async () => {
      const id = aSessionId()
      const command = sh('test -e fine && exec sleep 600; exit 1')
      expect(await agent.apply(target(id, { command, ports: httpPort }))).to.include({ kind: 'failed' })
      writeFileSync(join(place.sessionDir(id), 'home', 'fine'), '')
      const applied = await agent.apply(target(id, { command }, { generation: 2 }))
      expect(applied).to.deep.include({ kind: 'applied' })
      expect(await agent.inventoryOf(id)).to.include({ status: 'running', generation: 2 })
    })

    it('shows the last 4 KiB of its output from a whole character on, without NUL', async () => {
      const script = "process.stdout.write('x'.repeat(10) + 'ä'.repeat(4000) + '\\0end', () => process.exit(1))"
      const applied = await agent.apply(target(aSessionId(), { command: nodeScript(script), ports: httpPort }))
      const { lastOutput } = (applied as Extract<Applied, { kind: 'failed' }>).observed!
      expect(lastOutput).to.match(/^ä+end$/)
      expect(Buffer.byteLength(lastOutput!)).to.be.within(4085, 4096)
    })

    it('does not show what an earlier start wrote', async () => {
      const id = aSessionId()
      await agent.apply(target(id, { command: sh('echo "of the first"; exit 1'), ports: httpPort }))
      const applied = await agent.apply(
        target(id, { command: sh('echo "of the second"; exit 1'), ports: httpPort }, { generation: 2 }),
      )
      expect((applied as Extract<Applied, { kind: 'failed' }>).observed!.lastOutput).to.equal('of the second\n')
    })

    it('that takes too much memory is ended, and that is said', async () => {
      const id = aSessionId()
      const hungry = 'const held = []; setInterval(() => held.push(Buffer.alloc(8 * 1024 * 1024, 1)), 20)'
      const resources = { cpuMillis: 100, memoryMib: 150 }
      await agent.apply(target(id, { command: sh(`${whenTold}; node -e '${hungry}'; sleep 600`), resources }))
      tell(place, id)
      const report = await agent.reported(id, ({ status }) => status === 'failed')
      expect(report).to.include({ reason: 'out_of_memory', exitSignal: 'SIGKILL' })
      expect(report.message).to.match(/^the session used \d+ MiB of memory, more than its 150 MiB, and was ended$/)
    })

    it('does not count memory several times that its processes share', async function () {
      if (process.platform !== 'linux') this.skip()
      const id = aSessionId()
      // Each is some 45 MiB, most of it the program itself, which all of them share.
      const script = "for i in 1 2 3 4 5 6; do node -e 'console.log(1); setInterval(() => {}, 1000)' >>up & done; wait"
      const resources = { cpuMillis: 100, memoryMib: 220 }
      await agent.apply(target(id, { command: sh(script), resources }))
      await eventually(() => expect(readFileSync(join(place.sessionDir(id), 'home', 'up'), 'utf8')).to.have.length(12))
      const rows = await readProcessTable()
      const group = rows.filter((row) => row.group === place.commandPid(id))
      const resident = group.reduce((sum, { rssBytes }) => sum + rssBytes, 0)
      expect(resident).to.be.greaterThan(220 * 1024 * 1024)
      // When another session was looked at and found too large, this one was looked at too.
      const hungry = aSessionId()
      const command = sh(`${whenTold}; exec node -e 'held = Buffer.alloc(1e8, 1); setInterval(() => held, 1000)'`)
      await agent.apply(target(hungry, { command, resources: { cpuMillis: 100, memoryMib: 64 } }))
      tell(place, hungry)
      await agent.reported(hungry, ({ reason }) => reason === 'out_of_memory')
      expect(await agent.inventoryOf(id)).to.include({ status: 'running' })
    })

    it('has its output bounded by two files, and goes on writing', async () => {
      const quick = workplace(uid)
      try {
        const other = await quick.agent({ outputLimitBytes: 64 * 1024 })
        const id = aSessionId()
        const script =
          'i=0; until test -e go; do i=$((i+1)); echo "line $i of a long output"; done; echo "the very end"; exit 1'
        await other.apply(target(id, { command: sh(script) }))
        const files = ['output.log', 'output.1.log'].map((name) => join(quick.sessionDir(id), name))
        await eventually(() => expect(statSync(files[1]!).size).to.be.at.least(64 * 1024))
        tell(quick, id)
        const report = await other.reported(id, ({ status }) => status === 'failed')
        expect(report.lastOutput).to.match(/the very end\n$/)
        expect(
          report
            .lastOutput!.split('\n')
            .slice(1, -2)
            .every((line) => /^line \d+ of a long output$/.test(line)),
        ).to.equal(true)
        // Together they hold the end of it.
        const lines = [files[1]!, files[0]!].flatMap(
          (path) => readFileSync(path, 'utf8').match(/(?<=^line )\d+(?= of)/gm) ?? [],
        )
        expect(Number(lines.at(-1)) - Number(lines[0])).to.be.greaterThan(1_000)
      } finally {
        await quick.close()
      }
    })

    it('may open its output again as /dev/stdout', async () => {
      const applied = await agent.apply(
        target(aSessionId(), { command: sh('echo through the device >/dev/stdout; exit 1'), ports: httpPort }),
      )
      expect((applied as Extract<Applied, { kind: 'failed' }>).observed!.lastOutput).to.equal('through the device\n')
    })

    it('is noticed within a second', async () => {
      const normal = workplace(uid)
      try {
        const other = await normal.agent({ pollMs: 500 })
        await quickestOf(5, 1_000, async () => {
          const id = aSessionId()
          await other.apply(target(id, { command: sh('sleep 600') }))
          return timed(async () => {
            process.kill(normal.commandPid(id), 'SIGKILL')
            await other.reported(id, ({ status }) => status === 'failed')
          })
        })
      } finally {
        await normal.close()
      }
    })

    it('is told once', async () => {
      const id = aSessionId()
      await agent.apply(target(id, { command: sh('sleep 600') }))
      process.kill(place.commandPid(id), 'SIGKILL')
      await agent.reported(id, ({ status }) => status === 'failed')
      // Another session that comes and goes: whatever else were to be told of the first has been by then.
      const later = aSessionId()
      await agent.apply(target(later, { command: sh('echo up >up; sleep 600') }))
      await written(join(place.sessionDir(later), 'home', 'up'))
      expect(agent.reports.filter((one) => one.sessionId === id)).to.have.length(1)
    })
  })
