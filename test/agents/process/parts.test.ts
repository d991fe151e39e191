/** The parts of the process platform that can be looked at without a session. */
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import fc from 'fast-check'
import { measuredCapacity } from '../../../agents/process/capacity.ts'
import { findFreePorts } from '../../../agents/process/free-ports.ts'
import { launchScript } from '../../../agents/process/launch-script.ts'
import { processSettingsFrom } from '../../../agents/process/settings.ts'
import { forestall, prepareRunDir, readCommand, readExitStatus, readShim } from '../../../agents/process/shim.ts'
import { lockStateDir } from '../../../agents/process/state-lock.ts'
import { endShim } from '../../../agents/process/terminate.ts'
import { openUids } from '../../../agents/process/uids.ts'
import { exitOf } from '../../../agents/runtime/exit.ts'
import { LAST_OUTPUT_BYTES, presentable } from '../../../agents/runtime/observed.ts'
import { afterExit } from '../../../agents/runtime/restart-policy.ts'
import { gone, written } from '../../support/process-agent.ts'

describe('the parts of the process platform', () => {
  let folder: string
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'process-parts-'))
  })
  after(() => rmSync(folder, { recursive: true, force: true }))

  describe('the launch script', () => {
    it('gives any environment and any arguments to the command as they are', function () {
      this.timeout(120_000)
      const path = join(folder, 'launch.sh')
      const text = fc.string({ unit: 'binary', maxLength: 40 }).map((s) => s.toWellFormed().replaceAll('\0', ''))
      const name = fc.oneof(
        fc.stringMatching(/^[A-Za-z_][A-Za-z0-9_]{0,8}$/),
        fc.constantFrom(
          'PWD',
          'UID',
          'PPID',
          'IFS',
          '_',
          'SHLVL',
          'OPTIND',
          'LINENO',
          'PS1',
          'LC_ALL',
          'BASH_ENV',
          'PATH',
        ),
      )
      const script = 'process.stdout.write(JSON.stringify([process.argv.slice(1), process.env]))'
      fc.assert(
        fc.property(fc.dictionary(name, text, { maxKeys: 8 }), fc.array(text, { maxLength: 5 }), (given, args) => {
          // Variables that Node itself obeys.
          const environment = Object.fromEntries(
            Object.entries(given).filter(([key]) => !/^(NODE|SSL|LC_|UV_)/.test(key)),
          )
          const command = [process.execPath, '-e', script, '--', ...args]
          writeFileSync(path, launchScript({ home: folder, environment, command, program: process.execPath }))
          const said = execFileSync('/bin/sh', [path], {
            encoding: 'utf8',
            env: { PATH: '/usr/bin:/bin', FROM_OUTSIDE: '1', NODE_V8_COVERAGE: undefined },
          })
          const [argv, env] = JSON.parse(said)
          delete env.FROM_OUTSIDE
          if (!Object.hasOwn(environment, 'PATH')) delete env.PATH
          expect(argv).to.deep.equal(args)
          expect(env).to.deep.equal({ ...environment })
        }),
        { numRuns: 25 },
      )
    })

    it('runs commands whose names look like options or variables', () => {
      for (const name of ['-odd', 'a=b']) {
        const program = join(folder, name)
        writeFileSync(program, '#!/bin/sh\necho "$1"\n')
        chmodSync(program, 0o755)
        const path = join(folder, 'odd.sh')
        writeFileSync(
          path,
          launchScript({ home: folder, environment: { PATH: folder }, command: [name, 'heard'], program }),
        )
        expect(execFileSync('/bin/sh', [path], { encoding: 'utf8' })).to.equal('heard\n')
      }
    })
  })

  describe('the shim', () => {
    const shells = ['sh', 'bash'].filter((name) => {
      try {
        execFileSync(name, ['-c', ':'])
        return true
      } catch {
        return false
      }
    })
    const runIn = async (shell: string, setsid: string, script: string): Promise<string> => {
      const runDir = join(folder, `run-${Math.random()}`)
      await prepareRunDir(runDir)
      const child = spawn(shell, ['shim.sh', 'streamspace-session', 'id', setsid, '/bin/sh', '-c', script], {
        cwd: runDir,
        detached: true,
        stdio: 'ignore',
      })
      await once(child, 'exit')
      expect((await readShim(runDir))?.pid).to.equal(child.pid)
      return runDir
    }

    for (const shell of shells)
      for (const setsid of shell === 'bash' ? ['', '/usr/bin/setsid'] : ['/usr/bin/setsid'])
        it(`tells pid and end of a command in a group of its own (${shell}, ${setsid === '' ? 'job control' : 'setsid'})`, async function () {
          if (setsid !== '' && process.platform !== 'linux') this.skip()
          const out = join(folder, 'group')
          const ended = await runIn(shell, setsid, `echo $$ $(ps -o pgid= -p $$) >${out}; exit 7`)
          const [pid, group] = readFileSync(out, 'utf8').trim().split(/\s+/)
          expect(group).to.equal(pid)
          expect((await readCommand(ended))?.pid).to.equal(Number(pid))
          expect(await readExitStatus(ended)).to.equal(7)
          const killed = await runIn(shell, setsid, 'kill -9 -$$')
          expect(exitOf((await readExitStatus(killed))!)).to.deep.equal({ kind: 'signal', signal: 'SIGKILL' })
        })

    it('outlives signals that are meant for the session', async () => {
      const runDir = await runIn('sh', '', 'kill -TERM $PPID; kill -HUP $PPID; exit 3')
      expect(await readExitStatus(runDir)).to.equal(3)
    })

    it('does not run what an agent has found not to have begun, however often it looked', async () => {
      const runDir = join(folder, 'forestalled')
      await prepareRunDir(runDir)
      expect(await forestall(runDir)).to.equal('forestalled')
      expect(await forestall(runDir)).to.equal('forestalled')
      const child = spawn('/bin/sh', ['shim.sh', 'x', 'id', '', '/bin/sh', '-c', 'echo ran >ran'], {
        cwd: runDir,
        stdio: 'ignore',
      })
      await once(child, 'exit')
      expect(await readCommand(runDir)).to.equal(null)
      expect(() => statSync(join(runDir, 'ran'))).to.throw()
      const begun = await runIn('sh', '', 'exit 0')
      expect(await forestall(begun)).to.equal('begun')
    })

    it('that is ended takes a command with it of which nobody has learnt', async () => {
      const runDir = join(folder, 'held-up')
      await prepareRunDir(runDir)
      writeFileSync(join(runDir, 'begin.sh'), 'echo $$ >here.new; mv here.new here; sleep 600')
      const child = spawn('/bin/sh', ['shim.sh', 'x', 'id', '', 'never'], {
        cwd: runDir,
        detached: true,
        stdio: 'ignore',
      })
      const exited = once(child, 'exit')
      const command = Number(await written(join(runDir, 'here')))
      expect(await readCommand(runDir)).to.equal(null)
      await endShim((await readShim(runDir))!, 0)
      await exited
      await gone(command)
    })
  })

  it('a shell says 128 + n of signal n', () => {
    expect(exitOf(0)).to.deep.equal({ kind: 'code', code: 0 })
    expect(exitOf(143)).to.deep.equal({ kind: 'signal', signal: 'SIGTERM' })
    expect(exitOf(255)).to.deep.equal({ kind: 'code', code: 255 })
    expect(exitOf(128)).to.deep.equal({ kind: 'code', code: 128 })
  })

  describe('the restart policy', () => {
    const backoff = { baseMs: 1_000, capMs: 30_000 }
    const failed = { exit: { kind: 'code', code: 1 } as const, ending: null, backoff }
    it('waits twice as long each time, up to the cap', () => {
      const delays = Array.from({ length: 8 }, (_, retries) =>
        afterExit({ policy: 'always', maxRetries: 100 }, { ...failed, retries }),
      )
      expect(delays.map((one) => (one.kind === 'restart' ? one.delayMs : null))).to.deep.equal([
        1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000,
      ])
    })
    it('is never when nothing is said, and three times when it is not said how often', () => {
      expect(afterExit(undefined, { ...failed, retries: 0 })).to.include({ kind: 'failed', reason: 'exited_early' })
      expect(afterExit({ policy: 'on-failure' }, { ...failed, retries: 2 })).to.include({ kind: 'restart' })
      expect(afterExit({ policy: 'on-failure' }, { ...failed, retries: 3 })).to.include({
        kind: 'failed',
        reason: 'restart_limit',
      })
    })
    it('takes an end for want of memory for a failure, whatever the exit', () => {
      const ending = { reason: 'out_of_memory', message: 'too much' }
      expect(
        afterExit({ policy: 'never' }, { ...failed, exit: { kind: 'code', code: 0 }, ending, retries: 0 }),
      ).to.deep.equal({
        kind: 'failed',
        ...ending,
      })
    })
  })

  it('ports are free, different, the wished ones where they are, and never those of others', async () => {
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const taken = (server.address() as { port: number }).port
    const first = await findFreePorts('127.0.0.1', ['a', 'b', 'c'], { a: taken }, new Set())
    expect(new Set([...Object.values(first), taken]).size).to.equal(4)
    expect(await findFreePorts('127.0.0.1', ['a', 'b', 'c'], first, new Set())).to.deep.equal(first)
    const others = await findFreePorts('127.0.0.1', ['a'], first, new Set([first.a!]))
    expect(others.a).to.not.equal(first.a)
    server.close()
  })

  it('the last output begins at a whole character', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', minLength: 2_000, maxLength: 6_000 }), (text) => {
        const shown = presentable(Buffer.from(text.toWellFormed()).subarray(-LAST_OUTPUT_BYTES))
        expect(shown?.isWellFormed() ?? true).to.equal(true)
        expect(
          text
            .toWellFormed()
            .replaceAll('\0', '')
            .endsWith((shown ?? '').replaceAll('\0', '')),
        ).to.equal(true)
      }),
    )
  })

  it('a state directory has one agent at a time, and a dead one does not count', async () => {
    const stateDir = mkdtempSync(join(folder, 'state-'))
    writeFileSync(join(stateDir, 'agent.999999.lock'), 'long ago')
    writeFileSync(join(stateDir, `agent.${process.ppid}.lock`), 'another start')
    const lock = await lockStateDir(stateDir)
    const second = await lockStateDir(stateDir).then(
      () => null,
      (error: Error) => error,
    )
    expect(second?.message).to.match(/another agent/)
    await lock.release()
    await (await lockStateDir(stateDir)).release()
  })

  it('uids are never given to two sessions, and come back only when the range is used up', async () => {
    const claims = join(folder, 'claims')
    const range = { first: 300_000, last: 300_003 }
    const [one, two] = [
      await openUids(mkdtempSync(join(folder, 's-')), claims, range),
      await openUids(mkdtempSync(join(folder, 's-')), claims, range),
    ]
    const dirs = Array.from({ length: 4 }, () => mkdtempSync(join(folder, 'd-')))
    for (const dir of dirs) writeFileSync(join(dir, 'record.json'), '')
    const given = await Promise.all(dirs.map((dir, i) => (i % 2 === 0 ? one : two).allocate(dir)))
    expect(new Set(given).size).to.equal(4)
    const fifth = await one.allocate(folder).then(
      () => null,
      (error: Error) => error,
    )
    expect(fifth?.message).to.match(/no uid from 300000 to 300003 is free/)
    expect(await two.claim(given[0]!, dirs[0]!)).to.equal(true)
    expect(await two.claim(given[0]!, dirs[1]!)).to.equal(false)
    await one.release(given[2]!)
    expect(await two.allocate(dirs[2]!)).to.equal(given[2])
    rmSync(dirs[3]!, { recursive: true })
    expect(await two.claim(given[3]!, dirs[0]!)).to.equal(true)
  })

  it('of two agents that find the same claim left over one gets it', async () => {
    const claims = join(folder, 'left-over')
    const range = { first: 300_000, last: 300_003 }
    const agents = [
      await openUids(mkdtempSync(join(folder, 's-')), claims, range),
      await openUids(mkdtempSync(join(folder, 's-')), claims, range),
    ]
    const dirs = agents.map(() => mkdtempSync(join(folder, 'd-')))
    for (const dir of dirs) writeFileSync(join(dir, 'record.json'), '')
    for (let round = 0; round < 500; round += 1) {
      writeFileSync(join(claims, '300000'), join(folder, 'no-session'))
      const got = await Promise.all(agents.map((one, i) => one.claim(300_000, dirs[i]!)))
      expect(got.filter((mine) => mine)).to.have.length(1)
      expect(readFileSync(join(claims, '300000'), 'utf8')).to.equal(dirs[got.indexOf(true)])
    }
    expect(readdirSync(claims)).to.deep.equal(['300000'])
  })

  it('capacity is measured, and what is set counts', () => {
    const measured = measuredCapacity({ stateDir: '/' })
    expect(measured.maxSessions).to.be.at.least(64)
    expect(measured.cpuMillis % 8_000).to.equal(0)
    expect(measured.memoryMib).to.be.greaterThan(0)
    const set = { maxSessions: 3, cpuMillis: 4, memoryMib: 5 }
    expect(measuredCapacity({ stateDir: '/', ...set })).to.deep.equal(set)
  })

  it('settings come from the environment, and every wrong one is named', () => {
    const read = processSettingsFrom(
      {
        STREAMSPACE_MAX_SESSIONS: '7',
        STREAMSPACE_ALLOW_SHARED_PROCESS_AGENT: 'true',
        STREAMSPACE_PROCESS_UIDS: '300000-300010',
        STREAMSPACE_PROCESS_BIND_HOST: '0.0.0.0',
      },
      '/state',
    )
    expect(read).to.deep.equal({
      _tag: 'Right',
      right: {
        stateDir: '/state',
        maxSessions: 7,
        allowSharedWithoutIsolation: true,
        uidRange: { first: 300_000, last: 300_010 },
        bindHost: '0.0.0.0',
      },
    })
    const wrong = processSettingsFrom(
      {
        STREAMSPACE_MAX_SESSIONS: '0',
        STREAMSPACE_CPU_MILLIS: 'x',
        STREAMSPACE_ALLOW_SHARED_PROCESS_AGENT: 'yes',
        STREAMSPACE_PROCESS_UIDS: '0-10',
        STREAMSPACE_PROCESS_ADVERTISE_HOST: 'a b',
      },
      '/state',
    )
    expect(wrong._tag === 'Left' ? wrong.left.map((text) => text.split(' ')[0]) : []).to.have.members([
      'STREAMSPACE_MAX_SESSIONS',
      'STREAMSPACE_CPU_MILLIS',
      'STREAMSPACE_ALLOW_SHARED_PROCESS_AGENT',
      'STREAMSPACE_PROCESS_UIDS',
      'STREAMSPACE_PROCESS_ADVERTISE_HOST',
    ])
  })
})
