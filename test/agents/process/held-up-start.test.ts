/** A session is ended while its shim, on a machine that is busy, is still about to begin the command. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'chai'
import type { SessionId } from '../../../domain/ids.ts'
import { eventually } from '../../support/eventually.ts'
import {
  type AgentProcess,
  aSessionId,
  nameOf,
  observedOf,
  sh,
  target,
  type Workplace,
  whoAgentsAre,
  workplace,
} from '../../support/process-agent.ts'

/** Its processes and its shims: whatever has its id among its arguments or in its environment. */
const related = (id: SessionId): string[] =>
  execFileSync('ps', ['axeww', '-o', 'pid=,args='], { encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 })
    .split('\n')
    .filter((line) => line.includes(id) && !line.includes('ps axeww'))

/** Tells that it is here, and goes on a second after it may: by then whoever ends the session has looked for it. */
const heldUp = 'echo ok >here; until test -e go-on; do sleep 0.02; done; sleep 1\n'

for (const uid of whoAgentsAre)
  describe(`a session that is ended before its command has begun (as ${nameOf(uid)})`, () => {
    let place: Workplace
    let agent: AgentProcess
    before(async () => {
      place = workplace(uid)
      agent = await place.agent()
    })
    after(() => place.close())

    const command = sh('echo once >>starts; sleep 600')
    const starts = (id: SessionId): string => join(place.sessionDir(id), 'home', 'starts')

    /** Its start was interrupted with the shim in the midst of this script. The folder of the run. */
    const interruptedIn = async (id: SessionId, script: string): Promise<string> => {
      const passed = agent.steps.length
      await agent.stopAt('run_recorded')
      const applying = agent.apply(target(id, { command }))
      await eventually(() => expect(agent.steps.slice(passed)).to.include('run_recorded'))
      const runDir = join(place.sessionDir(id), 'run', place.record(id).run!.instance)
      const path = join(runDir, script)
      writeFileSync(path, heldUp + readFileSync(path, 'utf8'))
      await eventually(() => {
        // Again and again: it may have said that it stops and not have done so yet.
        agent.child.kill('SIGCONT')
        expect(readFileSync(join(runDir, 'here'), 'utf8')).to.equal('ok\n')
      })
      await agent.interrupt()
      expect(await applying).to.deep.equal({ kind: 'interrupted' })
      return runDir
    }

    /** Asked to end, and only then the shim goes on. */
    const end = async (id: SessionId, runDir: string, state: 'stopped' | 'deleted') => {
      const passed = agent.steps.length
      const ending = agent.apply(target(id, { command }, { generation: 2, state }))
      await eventually(() => expect(agent.steps.slice(passed)).to.include('discarded'))
      writeFileSync(join(runDir, 'go-on'), '')
      return ending
    }

    it('never begins it, and the next one does', async () => {
      const id = aSessionId()
      const applied = await end(id, await interruptedIn(id, 'shim.sh'), 'stopped')
      expect(observedOf(applied)).to.include({ status: 'stopped' })
      await eventually(() => expect(related(id)).to.deep.equal([]))
      expect(existsSync(starts(id))).to.equal(false)
      const again = await agent.apply(target(id, { command }, { generation: 3 }))
      expect(observedOf(again)).to.include({ status: 'running' })
      await eventually(() => expect(readFileSync(starts(id), 'utf8')).to.equal('once\n'))
    })

    it('never begins it, and nothing is left', async () => {
      const id = aSessionId()
      const applied = await end(id, await interruptedIn(id, 'shim.sh'), 'deleted')
      expect(applied).to.deep.equal({ kind: 'applied', observed: null })
      await eventually(() => expect(related(id)).to.deep.equal([]))
    })

    it('ends it once it has begun, when that had been decided', async () => {
      const id = aSessionId()
      const applied = await end(id, await interruptedIn(id, 'begin.sh'), 'deleted')
      expect(applied).to.deep.equal({ kind: 'applied', observed: null })
      await eventually(() => expect(related(id)).to.deep.equal([]))
    })

    it('ends it once it has begun, when the agent cannot write that it is not to begin', async () => {
      const id = aSessionId()
      const runDir = await interruptedIn(id, 'shim.sh')
      mkdirSync(join(runDir, 'begun.agent'))
      const applied = await end(id, runDir, 'deleted')
      expect(applied).to.deep.equal({ kind: 'applied', observed: null })
      await eventually(() => expect(related(id)).to.deep.equal([]))
    })
  })
