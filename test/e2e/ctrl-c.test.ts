/** Signals: everything ends in order, the data stays, and the next start goes on where the last one was. */
import { expect } from 'chai'
import { eventually } from './support/eventually.ts'
import { isAlive, postmastersOf, processesOf, processesOfSession } from './support/processes.ts'
import { scene } from './support/scene.ts'
import {
  dev,
  type Installation,
  migratedDatabase,
  npmStart,
  server,
  streamspace,
  usedDataDir,
} from './support/streamspace.ts'
import { counted, deaf, putTemplate, startsFolder, startsIn } from './support/templates.ts'
import { listens, visit } from './support/visit.ts'

const orderly = { code: 0, signal: null }

describe('Ctrl-C', function () {
  this.timeout(120_000)
  const here = scene('each')

  /** As a terminal does: to the whole group, so that npm gets it, and the program twice. */
  const ctrlC = ({ program }: Installation): void => {
    process.kill(-program.pid, 'SIGINT')
  }

  it('ends npm start, its sessions and its database, and the next start runs again what should be running', async () => {
    const folder = await here.folder()
    const starts = await startsFolder(folder)
    const dataDir = await usedDataDir(here)
    const first = await npmStart(here, dataDir)
    await putTemplate(first.rest, counted)
    const web = await first.rest.create({ template: 'hello-web' })
    const plain = await first.rest.create({ template: 'counted', env: { STARTS: starts } })
    const stopped = await first.rest.create({ template: 'counted', env: { STARTS: starts } })
    const { endpoint } = await first.rest.until(web.id, 'running')
    await first.rest.until(plain.id, 'running')
    await first.rest.until(stopped.id, 'running')
    await first.rest.post(`/sessions/${stopped.id}/stop`)
    await first.rest.until(stopped.id, 'stopped')

    ctrlC(first)
    expect(await first.program.end(10_000)).to.deep.equal(orderly)
    expect(await processesOf(dataDir)).to.deep.equal([])
    expect(await listens(endpoint.url)).to.equal(false)

    const second = await npmStart(here, dataDir)
    expect(second.rest.key).to.equal(first.rest.key)
    const again = await second.rest.until(web.id, 'running')
    // The row may still tell of the endpoint of the last run until the agent has spoken.
    await eventually(async () => {
      const { status, html } = await visit((await second.rest.session(web.id)).endpoint.url)
      expect(status).to.equal(200)
      expect(html).to.include(web.id)
    })
    expect(again).to.include({ generation: 1, incarnation: 0 })
    await eventually(async () => expect((await startsIn(starts)).get(plain.id)).to.have.lengthOf(2))
    const pids = (await startsIn(starts)).get(plain.id) ?? []
    expect(pids.map(isAlive)).to.deep.equal([false, true])
    expect(await processesOfSession(stopped.id)).to.deep.equal([])
    expect(await second.rest.session(stopped.id)).to.include({ status: 'stopped' })
    ctrlC(second)
    expect(await second.program.end(10_000)).to.deep.equal(orderly)
    expect(await processesOf(dataDir)).to.deep.equal([])
  })

  it('twice within a millisecond is once, and SIGTERM is the same', async () => {
    const dataDir = await usedDataDir(here)
    for (const signals of [['SIGINT', 'SIGINT'], ['SIGTERM'], ['SIGTERM', 'SIGINT']] as const) {
      const { program, rest } = await dev(here, dataDir)
      const { id } = await rest.create({ template: 'hello-web' })
      await rest.until(id, 'running')
      for (const name of signals) program.signal(name)
      expect(await program.end(10_000), signals.join(' and ')).to.deep.equal(orderly)
      expect(await processesOf(dataDir)).to.deep.equal([])
    }
  })

  it('ends a session that does not listen, too, within ten seconds', async () => {
    const dataDir = await usedDataDir(here)
    const { program, rest } = await dev(here, dataDir)
    await putTemplate(rest, deaf)
    const { id } = await rest.create({ template: 'deaf' })
    await rest.until(id, 'running')
    program.signal('SIGINT')
    expect(await program.end(10_000)).to.deep.equal(orderly)
    expect(await processesOf(dataDir)).to.deep.equal([])
  })

  it('a second time after more than a second ends it at once', async () => {
    const dataDir = await usedDataDir(here)
    const { program, rest } = await dev(here, dataDir)
    await putTemplate(rest, deaf)
    const { id } = await rest.create({ template: 'deaf' })
    await rest.until(id, 'running')
    program.signal('SIGINT')
    const first = performance.now()
    await eventually(() => expect(performance.now() - first).to.be.above(1_100))
    expect(program.ended(), 'the session takes its time').to.equal(null)
    program.signal('SIGINT')
    const { code, signal } = await program.end(5_000)
    expect([code, signal]).not.to.deep.equal([0, null])
    // What it left behind is taken over by the next start.
    const next = await dev(here, dataDir)
    await next.rest.until(id, 'running')
    await eventually(async () => expect(await processesOfSession(id)).to.have.lengthOf(2))
  })

  it('while it is still starting ends it as well', async () => {
    const dataDir = await usedDataDir(here)
    const program = streamspace(here, ['dev'], { STREAMSPACE_DATA_DIR: dataDir, PORT: '0' })
    await eventually(async () => expect(await postmastersOf(dataDir)).to.have.lengthOf(1))
    program.signal('SIGINT')
    await program.end(10_000)
    await eventually(async () => expect(await processesOf(dataDir)).to.deep.equal([]))
  })

  it('ends a server, and one that has clients and agents', async () => {
    const control = await server(here, await migratedDatabase(here))
    expect((await control.rest.get('/sessions')).status).to.equal(200)
    control.program.signal('SIGINT')
    expect(await control.program.end(10_000)).to.deep.equal(orderly)
  })
})
