/** kill -9 of the server and of everything: what was promised is there, and nothing runs twice. */
import { join } from 'node:path'
import { expect } from 'chai'
import { portToKeep } from '../support/ports.ts'
import { eventually } from './support/eventually.ts'
import { agentsOf, isAlive, isAsleep, postmastersOf, processesBySession, processesOf } from './support/processes.ts'
import { type Json, type Rest, rest } from './support/rest.ts'
import { scene } from './support/scene.ts'
import { ADMIN_KEY, agent, enrol, migratedDatabase, npmStart, server } from './support/streamspace.ts'
import { counted, putTemplate, startsFolder, startsIn } from './support/templates.ts'
import { visit } from './support/visit.ts'

/** Clients that create sessions for as long as they are let, and remember every one that was promised. */
const creating = (api: Rest, request: object, clients = 4) => {
  const promised: string[] = []
  let over = false
  let refused = 0
  const client = async (): Promise<void> => {
    while (!over) {
      try {
        const { status, body } = await api.post('/sessions', request)
        if (status >= 200 && status < 300) promised.push(body.id)
        else refused += 1
      } catch {
        return
      }
    }
  }
  const clientsEnd = Promise.all(Array.from({ length: clients }, client))
  return {
    promised: (count: number) => eventually(() => expect(promised.length, `${refused} refused`).to.be.at.least(count)),
    end: async (): Promise<readonly string[]> => {
      over = true
      await clientsEnd
      return promised
    },
  }
}

/** Every promised session runs, once; what nobody was promised, because the answer was lost, does too. */
const allRunOnce = async (api: Rest, promised: readonly string[], starts: string): Promise<readonly Json[]> => {
  const sessions = await eventually(async () => {
    const found = await api.all('/sessions?limit=500')
    const byStatus = Object.groupBy(found, ({ status }: Json) => status)
    expect(
      Object.keys(byStatus),
      JSON.stringify(Object.entries(byStatus).map(([s, l]) => [s, l?.length])),
    ).to.deep.equal(['running'])
    return found
  })
  const ids = sessions.map(({ id }) => id)
  expect(ids).to.include.members([...promised])
  expect(new Set(ids).size).to.equal(ids.length)
  // `running` comes before the command has done anything; and the file of a start is there before its pid is.
  await eventually(async () => {
    const started = await startsIn(starts)
    expect([...started.keys()].sort()).to.deep.equal([...ids].sort())
    for (const [id, pids] of started) expect(pids, `starts of ${id}`).not.to.include(0)
  })
  return sessions
}

describe('the server is killed while sessions are being created', function () {
  this.timeout(120_000)
  const here = scene('each')

  it('after a restart nothing that was promised is missing, and nothing runs twice', async () => {
    const folder = await here.folder()
    const starts = await startsFolder(folder)
    const databaseUrl = await migratedDatabase(here)
    const port = await portToKeep()
    const first = await server(here, databaseUrl, { PORT: port })
    await putTemplate(first.rest, counted)
    const token = await enrol(first.rest, 'edge-1')
    const capacity = {
      STREAMSPACE_MAX_SESSIONS: '2000',
      STREAMSPACE_CPU_MILLIS: '100000',
      STREAMSPACE_MEMORY_MIB: '100000',
    }
    agent(here, { id: 'edge-1', token, url: first.url, dataDir: join(folder, 'agent') }, capacity)
    const request = { template: 'counted', env: { STARTS: starts } }

    const promised: string[] = []
    let current = first
    // Killed early, with commands in the outbox, in flight and being applied.
    for (const count of [10, 25]) {
      const clients = creating(rest(current.url, ADMIN_KEY), request)
      await clients.promised(count)
      current.program.signal('SIGKILL')
      promised.push(...(await clients.end()))
      await current.program.end()
      current = await server(here, databaseUrl, { PORT: port })
    }
    const sessions = await allRunOnce(current.rest, promised, starts)
    for (const [id, pids] of await startsIn(starts)) {
      expect(pids, `session ${id} was started ${pids.length} times`).to.have.lengthOf(1)
      expect(isAlive(pids[0]!)).to.equal(true)
    }
    // While a process becomes another program it shows neither its command nor its session for an instant.
    const running = await eventually(async () => {
      const found = await processesBySession()
      for (const { id } of sessions) expect(found.get(id)?.some(isAsleep), `session ${id} sleeps`).to.equal(true)
      return found
    })
    for (const { id } of sessions) expect(running.get(id), `processes of ${id}`).to.have.lengthOf(1)
    for (const session of sessions) expect(session).to.include({ generation: 1, observedGeneration: 1, restarts: 0 })
    await eventually(async () => {
      const { body } = await current.rest.get('/agents/edge-1')
      expect(body.allocated.sessions).to.equal(sessions.length)
    })
    const left = await current.rest.all('/commands?status=pending,dead,failed,expired&limit=500')
    expect(left).to.deep.equal([])
  })
})

describe('everything is killed', function () {
  this.timeout(120_000)
  const here = scene('each')

  it('npm start again: nothing that was promised is missing, what ran runs, and nothing runs twice', async () => {
    const folder = await here.folder()
    const starts = await startsFolder(folder)
    const dataDir = join(folder, 'data')
    const capacity = {
      STREAMSPACE_MAX_SESSIONS: '2000',
      STREAMSPACE_CPU_MILLIS: '100000',
      STREAMSPACE_MEMORY_MIB: '100000',
    }
    const first = await npmStart(here, dataDir, capacity)
    await putTemplate(first.rest, counted)
    const web = await first.rest.create({ template: 'hello-web' })
    const { endpoint } = await first.rest.until(web.id, 'running')
    const server_ = (await processesOf(dataDir)).filter(({ command }) => /cli\.ts\ndev\n/.test(command))
    const victims = [
      first.program.pid,
      ...server_.map(({ pid }) => pid),
      ...(await agentsOf(dataDir)),
      ...(await postmastersOf(dataDir)),
    ]
    expect(victims, 'npm, the server, its agent and its database').to.have.lengthOf(4)
    const clients = creating(first.rest, { template: 'counted', env: { STARTS: starts } })
    await clients.promised(20)
    for (const pid of victims) process.kill(pid, 'SIGKILL')
    const promised = [...(await clients.end()), web.id]
    await first.program.end()
    expect((await visit(endpoint.url)).status, 'sessions go on').to.equal(200)

    const second = await npmStart(here, dataDir, capacity)
    const sessions = await eventually(async () => {
      const found = await second.rest.all('/sessions?limit=500')
      for (const session of found) expect(session.status, session.statusMessage).to.equal('running')
      return found
    })
    const ids: string[] = sessions.map(({ id }) => id)
    expect(ids).to.include.members(promised)
    // `running` comes before the command has done anything: until it sleeps it may not have told of its start.
    const { started, bySession } = await eventually(async () => {
      const found = { bySession: await processesBySession(), started: await startsIn(starts) }
      for (const id of ids.filter((one) => one !== web.id))
        expect(found.bySession.get(id)?.some(isAsleep), `session ${id} sleeps`).to.equal(true)
      return found
    })
    for (const id of ids) {
      const running = bySession.get(id) ?? []
      expect(running, `processes of ${id}`).to.have.lengthOf(1)
      if (id === web.id) continue
      const pids = started.get(id) ?? []
      // A start that had begun when its agent died was ended and begun again; those that ran were left alone.
      expect(pids.at(-1), `of ${pids.join(', ')}`).to.equal(running[0]?.pid)
      expect(pids.slice(0, -1).filter(isAlive), 'earlier starts still running').to.deep.equal([])
    }
    expect(
      [...started.keys()].filter((id) => !ids.includes(id)),
      'run without a row',
    ).to.deep.equal([])
    expect(await second.rest.session(web.id)).to.deep.include({ status: 'running', endpoint, restarts: 0 })
    expect((await visit(endpoint.url)).status).to.equal(200)
  })

  it('npm start alone: its agent ends by itself, in order, and the session goes on', async () => {
    const dataDir = join(await here.folder(), 'data')
    const { program, rest: api } = await npmStart(here, dataDir)
    const web = await api.create({ template: 'hello-web' })
    const { endpoint } = await api.until(web.id, 'running')
    const servers = (await processesOf(dataDir)).filter(({ command }) => /cli\.ts\ndev\n/.test(command))
    for (const pid of [program.pid, ...servers.map(({ pid }) => pid)]) process.kill(pid, 'SIGKILL')
    await eventually(async () => expect(await agentsOf(dataDir)).to.deep.equal([]))
    await program.end()
    expect(program.stderr(), 'complains of nothing').to.not.include('fault')
    expect((await visit(endpoint.url)).status).to.equal(200)
  })
})
