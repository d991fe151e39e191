/** An engine whose disk is full: at which step ever, it is said, tried again, and over when there is room. */

import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { closeSync, ftruncateSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import type { Step } from '../../../agents/docker/session.ts'
import { needsOwnDocker, type OwnEngine, ownEngine } from '../../support/docker-engine.ts'
import { eventually } from '../../support/eventually.ts'
import { type Registry, startRegistry } from '../../support/registry.ts'
import { aSessionId, type DockerAgent, type Place, place, script } from './docker-agent.ts'

const MIB = 1024 * 1024
const idle = script('exec sleep 600')

describe('an engine whose disk is full', function () {
  this.timeout(120_000)
  let engine: OwnEngine
  let here: Place
  let agent: DockerAgent
  let registry: Registry
  let fillAt: Step | null = null
  before(async function () {
    needsOwnDocker.call(this)
    registry = await startRegistry()
    engine = await ownEngine([], { diskMib: 48 })
    here = await place(engine)
    agent = await here.agent({}, { step: async (name) => void (name === fillAt && fill()) })
  })
  afterEach(() => {
    fillAt = null
    empty()
  })
  after(async () => {
    await here?.close()
    await engine?.remove()
    await registry?.close()
  })

  const ballast = () => join(engine.dataRoot, 'ballast')
  /** To the last byte, but for `leaving`. */
  const fill = (leaving = 0): void => {
    const file = openSync(ballast(), 'a')
    let size = 0
    for (let piece = MIB; piece >= 512; )
      try {
        size += writeSync(file, Buffer.alloc(piece, 1))
      } catch {
        piece /= 2
      }
    if (leaving > 0) ftruncateSync(file, Math.max(0, size - leaving))
    closeSync(file)
  }
  const empty = (): void => rmSync(ballast(), { force: true })
  const well = (why: RegExp | null) =>
    eventually(() => {
      const now = agent.degraded.at(-1) ?? null
      if (why === null) expect(now).to.equal(null)
      else expect(now).to.match(why)
    })
  const left = async (): Promise<readonly string[]> =>
    (await engine.docker.listContainers({ all: true }))
      .filter(({ Labels }) => Labels['streamspace.io/session'] !== undefined)
      .map(({ Names }) => Names[0] ?? '')

  const full = { kind: 'failed', retryable: true, code: 'agent_degraded' }

  for (const step of ['begun', 'anchored', 'network_there', 'workload_created', 'home_given', 'started'] as const)
    it(`after the step ${step} of a start: it fails for now, the agent says why, and it runs when there is room`, async () => {
      const id = aSessionId()
      fillAt = step
      const failed = await agent.apply(id, idle)
      expect(failed).to.include(full)
      expect(failed)
        .to.have.property('message')
        .that.matches(/no space left on device/)
      await well(/the engine's disk is full: .*no space left on device/)
      fillAt = null
      empty()
      await well(null)
      await agent.run(id, idle)
      await agent.apply(id, idle, { state: 'deleted', generation: 2 })
      expect(await left()).to.deep.equal([])
    })

  it('while an image is pulled: the same, and it is no fault of the image', async () => {
    const rootfs = mkdtempSync(join(tmpdir(), 'full-disk-'))
    writeFileSync(join(rootfs, 'ballast'), randomBytes(12 * MIB))
    execFileSync('cp', ['/bin/busybox', join(rootfs, 'sleep')])
    const layer = execFileSync('tar', ['-c', '-C', rootfs, '.'], { maxBuffer: 64 * MIB })
    rmSync(rootfs, { recursive: true })
    registry.offer({ name: 'some/large:1', layer })
    const id = aSessionId()
    const spec = { container: { image: `${registry.host}/some/large:1`, command: ['/sleep', '600'] } }
    fill(10 * MIB)
    expect(await agent.apply(id, spec)).to.include(full)
    empty()
    await well(null)
    await agent.run(id, spec)
    await agent.apply(id, spec, { state: 'deleted', generation: 2 })
  })

  for (const state of ['running', 'hibernated'] as const)
    it(`takes the deletion of a ${state} session, which makes room`, async () => {
      const id = aSessionId()
      await agent.run(id, idle)
      if (state === 'hibernated') await agent.apply(id, idle, { state, generation: 2 })
      fill()
      const applied = await agent.apply(id, idle, { state: 'deleted', generation: 3 })
      expect(applied).to.deep.equal({ kind: 'applied', observed: null })
      expect(await left()).to.deep.equal([])
      const { Volumes } = await engine.docker.listVolumes()
      expect((Volumes ?? []).map(({ Name }) => Name).filter((name) => name.includes(id))).to.deep.equal([])
      expect(agent.platform.held(id)).to.equal(null)
    })

  it('at the start of an agent: it is there and says so, and adopts what there is when there is room', async () => {
    const id = aSessionId()
    await agent.run(id, idle)
    await agent.close()
    fill()
    agent = await here.agent()
    await well(/the engine's disk is full/)
    expect(agent.platform.adopted?.()).to.equal(false)
    empty()
    await well(null)
    expect(agent.platform.held(id)).to.deep.include({ generation: 1 })
    await agent.apply(id, idle, { state: 'deleted', generation: 2 })
  })
})
