/** An agent is drained: two process agents, kill -9 of the server in the middle, and nothing lost. */
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { portToKeep } from '../support/ports.ts'
import { eventually } from './support/eventually.ts'
import type { Json, Rest } from './support/rest.ts'
import { scene } from './support/scene.ts'
import { agent, enrol, migratedDatabase, type Server, server } from './support/streamspace.ts'
import { counted, putTemplate, startsFolder } from './support/templates.ts'

/** Each start of it makes a file: on another agent it runs as another user, who cannot write into the first one's. */
const told = {
  ...counted,
  spec: {
    ...counted.spec,
    process: { command: ['/bin/sh', '-c', ': > "$STARTS/$STREAMSPACE_SESSION_ID.$$"; exec sleep 86400'] },
  },
}

describe('an agent that is drained', function () {
  this.timeout(180_000)
  const here = scene('each')

  const online = (api: Rest, id: string): Promise<void> =>
    eventually(async () => {
      expect((await api.get(`/agents/${id}`)).body.status).to.equal('online')
    })

  /** Two agents, the sessions all on the first of them. */
  const twoAgents = async () => {
    const database = await migratedDatabase(here)
    const PORT = await portToKeep()
    let control: Server = await server(here, database, { PORT })
    const folder = await here.folder()
    const starts = await startsFolder(folder)
    await putTemplate(control.rest, told)
    const start = async (id: string) => {
      const token = await enrol(control.rest, id)
      agent(here, { id, token, url: control.url, dataDir: join(folder, id) }, { STREAMSPACE_MAX_SESSIONS: '40' })
      await online(control.rest, id)
    }
    await start('first')
    const make = async (count: number, request: object): Promise<Json[]> =>
      Promise.all(
        Array.from({ length: count }, () =>
          control.rest.create({ template: 'counted', env: { STARTS: starts }, ...request }),
        ),
      )
    return {
      get api() {
        return control.rest
      },
      make,
      start,
      kill: async () => {
        control.program.signal('SIGKILL')
        await control.program.end()
      },
      again: async () => {
        control = await server(here, database, { PORT })
      },
      startsOf: async (id: string): Promise<number> =>
        (await readdir(starts)).filter((name) => name.startsWith(id)).length,
    }
  }

  it('is emptied of what can move, through kill -9 of the server; what stays says why', async () => {
    const scenery = await twoAgents()
    const movable = await scenery.make(25, { persistentHome: false })
    const kept = await scenery.make(2, {})
    const asked = await scenery.make(1, { persistentHome: false, agentId: 'first' })
    for (const { id } of [...movable, ...kept, ...asked]) await scenery.api.until(id, 'running', 60_000)

    // Nowhere to go yet: all stay as they are, and say so.
    const drained = await scenery.api.post('/agents/first/drain')
    expect(drained.status).to.equal(202)
    expect(drained.body).to.include({ cordoned: true, draining: true })
    const before = (await scenery.api.get('/agents/first/drain?limit=500')).body
    expect(before).to.include({ draining: true, remaining: 28, moving: 0, movable: 25, startedBy: 'user:admin' })
    const reasons = (items: readonly Json[]): readonly string[] =>
      [...new Set(items.map(({ reason }) => reason))].sort()
    expect(reasons(before.items)).to.deep.equal(['agent_asked', 'home_kept', 'no_other_agent'])

    await scenery.start('second')
    const moving = async (): Promise<void> => {
      await eventually(async () => {
        const { body } = await scenery.api.get('/agents/first/drain')
        expect(body.moving + (25 - body.movable)).to.be.above(0)
      })
    }
    await moving()
    await scenery.kill()
    await scenery.again()

    await eventually(
      async () => {
        const { body } = await scenery.api.get('/agents/first/drain?limit=500')
        expect(body).to.include({ remaining: 3, moving: 0, movable: 0 })
        expect(reasons(body.items)).to.deep.equal(['agent_asked', 'home_kept'])
      },
      { within: 90_000 },
    )
    /** `running` comes before the command has done anything: its file may be still to come. */
    const startedTimes = (id: string, times: number): Promise<void> =>
      eventually(async () => {
        expect(await scenery.startsOf(id)).to.equal(times)
      })
    for (const { id } of movable) {
      expect(await scenery.api.until(id, 'running', 60_000)).to.include({ agentId: 'second' })
      // Started once here and once there, and never twice in one place.
      await startedTimes(id, 2)
    }
    for (const { id } of [...kept, ...asked]) {
      expect(await scenery.api.session(id)).to.include({ agentId: 'first', status: 'running', generation: 1 })
      await startedTimes(id, 1)
    }
    const [one] = movable
    const { items } = (await scenery.api.get(`/sessions/${one.id}/events?limit=500`)).body
    expect(items.filter(({ actor }: Json) => actor === 'drain').map(({ type }: Json) => type)).to.deep.equal([
      'hibernate_requested',
      'wake_requested',
    ])
    // Nothing of them is left behind.
    expect((await scenery.api.get('/agents/first/orphans')).body.items).to.deep.equal([])
    expect((await scenery.api.get('/agents/first')).body.allocated.sessions).to.equal(3)
    expect((await scenery.api.get('/agents/second')).body.allocated.sessions).to.equal(25)

    const back = await scenery.api.post('/agents/first/uncordon')
    expect(back.body).to.include({ cordoned: false, draining: false })
    const [more] = await scenery.make(1, { persistentHome: false })
    expect(await scenery.api.until(more.id, 'running')).to.include({ agentId: 'first' })
  })

  it('goes on with what has to be started elsewhere when it is uncordoned in the middle', async () => {
    const scenery = await twoAgents()
    const sessions = await scenery.make(6, { persistentHome: false })
    for (const { id } of sessions) await scenery.api.until(id, 'running', 60_000)
    await scenery.start('second')
    await scenery.api.post('/agents/first/drain')
    await eventually(async () => {
      const { body } = await scenery.api.get('/agents/first/drain')
      expect(body.movable).to.be.below(6)
    })
    await scenery.api.post('/agents/first/uncordon')
    for (const { id } of sessions) await scenery.api.until(id, 'running', 60_000)
  })
})
