/** Somebody ends a session's processes and removes its files while its agent is away: the restart policy decides. */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { eventually } from './support/eventually.ts'
import { pidOfSession, processesOfSession } from './support/processes.ts'
import type { Json } from './support/rest.ts'
import { type Program, scene } from './support/scene.ts'
import { agent, enrol, migratedDatabase, type Server, server } from './support/streamspace.ts'
import { idle, putTemplate } from './support/templates.ts'

/** Six heartbeats of half a second, the agents' cap, and ten seconds: what an agent that is back has. */
const BOUND_MS = 15_000

describe('a session that is removed by hand while its agent is away', function () {
  this.timeout(120_000)
  const here = scene('suite')
  let control: Server
  let dataDir: string
  let start: () => Program

  before(async () => {
    control = await server(here, await migratedDatabase(here), { STREAMSPACE_HEARTBEAT_INTERVAL_MS: '500' })
    dataDir = join(await here.folder(), 'agent')
    const token = await enrol(control.rest, 'edge-1')
    start = () => agent(here, { id: 'edge-1', token, url: control.url, dataDir })
    for (const policy of ['never', 'on-failure', 'always'])
      await putTemplate(control.rest, {
        ...idle,
        name: policy,
        spec: { ...idle.spec, restart: policy === 'never' ? { policy } : { policy, maxRetries: 1 } },
      })
  })

  const kill = async (running: Program): Promise<void> => {
    running.signal('SIGKILL')
    await running.end()
  }

  /** Nothing of it is left, as far as one can see from outside. */
  const remove = async (id: string): Promise<void> => {
    await rm(join(dataDir, 'agents', 'edge-1', 'sessions', id), { recursive: true })
    await eventually(async () => {
      const left = await processesOfSession(id)
      for (const { pid } of left) process.kill(pid, 'SIGKILL')
      expect(left).to.deep.equal([])
    })
  }
  const historyOf = async (id: string): Promise<readonly string[]> =>
    (await control.rest.all(`/sessions/${id}/events`)).map(({ type }: Json) => type)

  it('with the policy `never` is failed', async () => {
    const first = start()
    const { id } = await control.rest.create({ template: 'never' })
    await control.rest.until(id, 'running')
    await kill(first)
    await remove(id)
    const second = start()
    expect(await control.rest.until(id, 'failed', BOUND_MS)).to.include({ statusReason: 'removed_outside' })
    expect(await processesOfSession(id)).to.deep.equal([])
    await kill(second)
  })

  for (const policy of ['on-failure', 'always'])
    it(`with the policy \`${policy}\` is repaired, as often as that allows, then failed, and can be asked for again`, async () => {
      const first = start()
      const { id } = await control.rest.create({ template: policy })
      await control.rest.until(id, 'running')
      await kill(first)
      await remove(id)

      const second = start()
      await eventually(async () => expect((await control.rest.session(id)).generation).to.equal(2), {
        within: BOUND_MS,
      })
      await control.rest.until(id, 'running', BOUND_MS)
      expect(await pidOfSession(id)).to.be.a('number')
      await kill(second)
      await remove(id)

      const third = start()
      const failed = await control.rest.until(id, 'failed', BOUND_MS)
      expect(failed).to.include({ statusReason: 'restart_limit', generation: 2 })
      expect(failed.statusMessage).to.include('it was repaired once')
      expect((await historyOf(id)).filter((type) => type === 'repair_requested')).to.have.length(1)

      expect((await control.rest.post(`/sessions/${id}/start`)).status).to.equal(202)
      await control.rest.until(id, 'running', BOUND_MS)
      await kill(third)
    })
})
