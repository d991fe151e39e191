/** Somebody removes a session's folder under a living agent. */
import { existsSync, renameSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { expect } from 'chai'
import { eventually } from '../../support/eventually.ts'
import {
  type AgentProcess,
  aServer,
  aSessionId,
  gone,
  httpPort,
  nameOf,
  target,
  type Workplace,
  whoAgentsAre,
  workplace,
} from '../../support/process-agent.ts'

for (const uid of whoAgentsAre)
  describe(`a session whose folder is removed from outside (as ${nameOf(uid)})`, () => {
    let place: Workplace
    let agent: AgentProcess
    before(async () => {
      place = workplace(uid)
      agent = await place.agent()
    })
    after(() => place.close())

    const remove = (id: ReturnType<typeof aSessionId>) => rmSync(place.sessionDir(id), { recursive: true })

    it('is ended and failed when its policy is `never`', async () => {
      const id = aSessionId()
      await agent.apply(target(id, { command: aServer, ports: httpPort }))
      const pid = place.commandPid(id)
      remove(id)
      const report = await agent.reported(id, ({ status }) => status === 'failed')
      expect(report).to.deep.include({ reason: 'removed_outside', message: 'its files were removed from outside' })
      await gone(pid)
      expect(await agent.inventoryOf(id)).to.deep.include({ status: 'failed', generation: 1 })
    })

    it('is started again with a new home when its policy is `on-failure`', async () => {
      const id = aSessionId()
      await agent.apply(target(id, { command: aServer, ports: httpPort, restart: { policy: 'on-failure' } }))
      const pid = place.commandPid(id)
      remove(id)
      await agent.reported(id, ({ status, restarts }) => status === 'running' && restarts === 1)
      await gone(pid)
      expect(place.commandPid(id)).not.to.equal(pid)
      expect(existsSync(join(place.sessionDir(id), 'home'))).to.equal(true)
    })

    it('is ended as well when only its home was removed', async () => {
      const id = aSessionId()
      await agent.apply(target(id, { command: aServer, ports: httpPort }))
      rmSync(join(place.sessionDir(id), 'home'), { recursive: true })
      expect(await agent.reported(id, ({ status }) => status === 'failed')).to.include({ reason: 'removed_outside' })
    })

    it('is taken over by the next agent when the folder of its run was removed meanwhile', async () => {
      const id = aSessionId()
      await agent.apply(target(id, { command: aServer, ports: httpPort, restart: { policy: 'on-failure' } }))
      const pid = place.commandPid(id)
      await agent.kill9()
      rmSync(join(place.sessionDir(id), 'run'), { recursive: true })
      agent = await place.agent()
      // Found by its pid, and then found without its folder.
      await agent.reported(id, ({ status, restarts }) => status === 'running' && restarts === 1)
      await gone(pid)
    })

    it('with those of all others is left alone: the agent says that they are gone', async () => {
      const id = aSessionId()
      await agent.apply(target(id, { command: aServer, ports: httpPort }))
      const pid = place.commandPid(id)
      const sessions = dirname(place.sessionDir(id))
      renameSync(sessions, `${sessions}.away`)
      await eventually(() => expect(agent.degraded.at(-1)).to.include('is gone'))
      renameSync(`${sessions}.away`, sessions)
      await eventually(() => expect(agent.degraded.at(-1)).to.equal(null))
      expect(await agent.inventoryOf(id)).to.include({ status: 'running' })
      expect(place.commandPid(id)).to.equal(pid)
    })

    it('is known to the next agent when it was at rest', async () => {
      const id = aSessionId()
      await agent.apply(target(id, { command: aServer, ports: httpPort }))
      await agent.apply(target(id, {}, { state: 'stopped', generation: 2 }))
      remove(id)
      await eventually(() => expect(place.record(id).generation).to.equal(2))
      expect(await agent.inventoryOf(id)).to.deep.include({ status: 'stopped', generation: 2 })
    })
  })
