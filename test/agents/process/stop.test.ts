import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { eventually } from '../../support/eventually.ts'
import {
  type AgentProcess,
  aServer,
  aSessionId,
  gone,
  httpPort,
  isRunning,
  nameOf,
  sh,
  target,
  type Workplace,
  whoAgentsAre,
  workplace,
  written,
} from '../../support/process-agent.ts'
import { quickestOf, timed } from '../../support/quickest.ts'

/** A process that left its group, its parent and its session, as daemons do. */
const daemon = (file: string): string =>
  `setsid sh -c 'sh -c "trap \\"\\" TERM; echo \\$\\$ >${file}.new; mv ${file}.new ${file}; while :; do sleep 0.1; done" & exit 0' &`

for (const uid of whoAgentsAre)
  describe(`ending a session (as ${nameOf(uid)})`, () => {
    let place: Workplace
    let agent: AgentProcess
    before(async () => {
      place = workplace(uid)
      agent = await place.agent()
    })
    after(() => place.close())
    const home = (id: ReturnType<typeof aSessionId>): string => join(place.sessionDir(id), 'home')

    it('asks its processes to end, and keeps the home', async () => {
      const id = aSessionId()
      await agent.apply(
        target(id, { command: sh('trap "echo bye >bye; exit 0" TERM; echo ok >up; while :; do sleep 0.02; done') }),
      )
      await written(join(home(id), 'up'))
      const pid = place.commandPid(id)
      const applied = await agent.apply(target(id, {}, { generation: 2, state: 'stopped' }))
      expect(applied).to.deep.include({ kind: 'applied' })
      expect(applied.kind === 'applied' && applied.observed).to.deep.include({
        status: 'stopped',
        reason: 'by_request',
        endpoint: null,
      })
      expect(await isRunning(pid)).to.equal(false)
      expect(readFileSync(join(home(id), 'bye'), 'utf8')).to.equal('bye\n')
      expect(await agent.inventoryOf(id)).to.deep.include({ status: 'stopped', generation: 2 })
      expect(agent.reports.filter(({ sessionId }) => sessionId === id)).to.deep.equal([])
    })

    it('hibernates and wakes with the same home', async () => {
      const id = aSessionId()
      await agent.apply(target(id, { command: sh('echo once >>starts; sleep 600') }))
      await written(join(home(id), 'starts'))
      await agent.apply(target(id, {}, { generation: 2, state: 'hibernated' }))
      expect(await agent.inventoryOf(id)).to.deep.include({ status: 'hibernated', generation: 2 })
      await agent.apply(target(id, { command: sh('echo once >>starts; sleep 600') }, { generation: 3 }))
      await eventually(() => expect(readFileSync(join(home(id), 'starts'), 'utf8')).to.equal('once\nonce\n'))
    })

    it('kills what does not end in time, children and grandchildren and daemons alike', async () => {
      const stubborn =
        'trap "" TERM; (trap "" TERM; sh -c "trap \\"\\" TERM; echo \\$\\$ >grandchild; while :; do sleep 0.1; done") & '
      await quickestOf(3, 4_000, async () => {
        const id = aSessionId()
        await agent.apply(
          target(id, {
            command: sh(`${stubborn} ${daemon('daemon')} while :; do sleep 0.1; done`),
            stopGraceSeconds: 1,
          }),
        )
        const pids = await Promise.all(
          ['grandchild', 'daemon'].map(async (name) => Number(await written(join(home(id), name)))),
        )
        pids.push(place.commandPid(id))
        const taken = await timed(async () => {
          const applied = await agent.apply(target(id, { stopGraceSeconds: 1 }, { generation: 2, state: 'stopped' }))
          expect(applied).to.deep.include({ kind: 'applied' })
        })
        expect(taken).to.be.at.least(900)
        for (const pid of pids) expect(await isRunning(pid), `process ${pid}`).to.equal(false)
        return taken
      })
    })

    it('asks once, and what it starts in order to end is left to it', async () => {
      const id = aSessionId()
      const ending = 'echo asked >>asked; for i in 1 2 3 4; do sleep 0.3; done; echo saved >saved; exit 7'
      await agent.apply(
        target(id, {
          command: sh(`trap "${ending}" TERM; echo ok >up; while :; do sleep 0.02; done`),
          stopGraceSeconds: 30,
        }),
      )
      await written(join(home(id), 'up'))
      const applied = await agent.apply(target(id, { stopGraceSeconds: 30 }, { generation: 2, state: 'stopped' }))
      expect(applied).to.include({ kind: 'applied' })
      expect(readFileSync(join(home(id), 'asked'), 'utf8')).to.equal('asked\n')
      expect(readFileSync(join(home(id), 'saved'), 'utf8')).to.equal('saved\n')
      const exit = join(place.sessionDir(id), 'run', place.record(id).run!.instance, 'exit')
      expect(readFileSync(exit, 'utf8').trim()).to.equal('7')
    })

    it('asks those outside of its group as well that come only while it ends', async () => {
      const id = aSessionId()
      // As a shell says it: 143 is SIGTERM, 137 would be SIGKILL.
      const ending = 'setsid sleep 600 & wait $!; echo $? >late; exit 0'
      await agent.apply(
        target(id, {
          command: sh(`trap '${ending}' TERM; echo ok >up; while :; do sleep 0.02; done`),
          stopGraceSeconds: 30,
        }),
      )
      await written(join(home(id), 'up'))
      const applied = await agent.apply(target(id, { stopGraceSeconds: 30 }, { generation: 2, state: 'stopped' }))
      expect(applied).to.include({ kind: 'applied' })
      expect(readFileSync(join(home(id), 'late'), 'utf8')).to.equal('143\n')
    })

    it('ends processes that were stopped', async () => {
      await quickestOf(3, 3_000, async () => {
        const id = aSessionId()
        await agent.apply(
          target(id, { command: sh('trap "exit 0" TERM; while :; do sleep 0.02; done'), stopGraceSeconds: 5 }),
        )
        process.kill(place.commandPid(id), 'SIGSTOP')
        return timed(() => agent.apply(target(id, { stopGraceSeconds: 5 }, { generation: 2, state: 'stopped' })))
      })
    })

    it('leaves nothing when the home is not to be kept', async () => {
      const id = aSessionId()
      await agent.apply(target(id, { command: sh('sleep 600') }, { persistentHome: false }))
      const applied = await agent.apply(target(id, {}, { generation: 2, state: 'stopped', persistentHome: false }))
      expect(applied.kind === 'applied' && applied.observed).to.deep.include({ status: 'stopped' })
      expect(await agent.inventoryOf(id)).to.equal(undefined)
      expect(existsSync(place.sessionDir(id))).to.equal(false)
    })

    it('stops and deletes what it never had', async () => {
      const id = aSessionId()
      expect(await agent.apply(target(id, {}, { state: 'hibernated' }))).to.deep.equal({
        kind: 'applied',
        observed: { status: 'hibernated' },
      })
      expect(await agent.apply(target(id, {}, { state: 'deleted' }))).to.deep.equal({ kind: 'applied', observed: null })
      expect(await agent.inventoryOf(id)).to.equal(undefined)
    })

    it('deletes everything, however the home looks, and nothing that links lead to', async () => {
      const id = aSessionId()
      await agent.apply(
        target(id, {
          command: sh(
            'mkdir -p closed/inner; echo x >closed/inner/file; chmod 000 closed/inner closed; echo ok >up; sleep 600',
          ),
        }),
      )
      await written(join(home(id), 'up'))
      const outside = join(tmpdir(), `outside-${id}`)
      mkdirSync(outside)
      writeFileSync(join(outside, 'precious'), 'x')
      symlinkSync(outside, join(home(id), 'link'))
      const pid = place.commandPid(id)
      expect(await agent.apply(target(id, {}, { generation: 2, state: 'deleted' }))).to.deep.equal({
        kind: 'applied',
        observed: null,
      })
      expect(existsSync(place.sessionDir(id))).to.equal(false)
      expect(await isRunning(pid)).to.equal(false)
      expect(readdirSync(outside)).to.deep.equal(['precious'])
      expect(await agent.inventoryOf(id)).to.equal(undefined)
      chmodSync(outside, 0o700)
      const { rmSync } = await import('node:fs')
      rmSync(outside, { recursive: true })
    })

    it('ends what waits to be started again', async () => {
      const slow = workplace(uid)
      try {
        const other = await slow.agent({ backoff: { baseMs: 60_000, capMs: 60_000 } })
        const id = aSessionId()
        await other.apply(target(id, { command: aServer, ports: httpPort, restart: { policy: 'always' } }))
        process.kill(slow.commandPid(id), 'SIGKILL')
        await other.reported(id, ({ reason }) => reason === 'restarting')
        const applied = await other.apply(target(id, {}, { generation: 2, state: 'stopped' }))
        expect(applied.kind === 'applied' && applied.observed).to.include({ status: 'stopped' })
        expect(await other.inventoryOf(id)).to.include({ status: 'stopped', generation: 2 })
      } finally {
        await slow.close()
      }
    })

    it('makes way for a newer wish, which ends what is still ending before it starts anew', async () => {
      const id = aSessionId()
      const script =
        'trap "echo asked >asked; until test -e let-go; do sleep 0.02; done; exit 0" TERM; ' +
        'echo once >>starts; while :; do sleep 0.02; done'
      await agent.apply(target(id, { command: sh(script), stopGraceSeconds: 10 }))
      await written(join(home(id), 'starts'))
      const pid = place.commandPid(id)
      const stopping = agent.apply(target(id, { stopGraceSeconds: 10 }, { generation: 2, state: 'stopped' }))
      await written(join(home(id), 'asked'))
      await agent.interrupt()
      expect(await stopping).to.deep.equal({ kind: 'interrupted' })
      const applying = agent.apply(target(id, { command: sh(script), stopGraceSeconds: 10 }, { generation: 3 }))
      writeFileSync(join(home(id), 'let-go'), '')
      const applied = await applying
      expect(applied.kind === 'applied' && applied.observed).to.include({ status: 'running' })
      expect(place.commandPid(id)).to.not.equal(pid)
      await gone(pid)
      await eventually(() => expect(readFileSync(join(home(id), 'starts'), 'utf8')).to.equal('once\nonce\n'))
    })
  })
