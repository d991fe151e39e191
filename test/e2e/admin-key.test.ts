/** The installation key: made at the first start, kept, and made anew for someone who lost it. */
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { eventually } from './support/eventually.ts'
import type { Rest } from './support/rest.ts'
import { rest } from './support/rest.ts'
import { type Environment, type Program, scene } from './support/scene.ts'
import { migratedDatabase, streamspace } from './support/streamspace.ts'

const works = async (api: Rest): Promise<boolean> => {
  const { status } = await api.get('/sessions')
  expect(status).to.be.oneOf([200, 401])
  return status === 200
}

describe('the installation key', function () {
  this.timeout(120_000)
  const here = scene('each')
  const GIVEN = `ssk_${'Given0Key1'.repeat(4)}`
  const OTHER = `ssk_${'Other2Key3'.repeat(4)}`

  const start = async (env: Environment): Promise<{ readonly program: Program; readonly url: string }> => {
    const program = streamspace(here, ['server'], { PORT: '0', LOG_LEVEL: 'warn', ...env })
    return { program, url: String((await program.told('listening', 30_000)).url) }
  }

  const stop = async (program: Program): Promise<void> => {
    program.signal('SIGTERM')
    expect(await program.end()).to.deep.equal({ code: 0, signal: null })
  }

  it('is made at random at the first start, shown once, and kept where only its owner can read it', async () => {
    const dataDir = join(await here.folder(), 'data')
    const env = { DATABASE_URL: await migratedDatabase(here), STREAMSPACE_DATA_DIR: dataDir }
    const first = await start(env)
    const file = join(dataDir, 'admin-key')
    const key = (await readFile(file, 'utf8')).trim()
    expect(key).to.match(/^ssk_[A-Za-z0-9]{32,}$/)
    for (const name of ['admin-key', 'secret-key'])
      expect((await stat(join(dataDir, name))).mode & 0o777, name).to.equal(0o600)
    expect(first.program.stdout().split(key)).to.have.lengthOf(2)
    expect(await works(rest(first.url, key))).to.equal(true)
    await stop(first.program)

    const second = await start(env)
    expect(second.program.stdout()).not.to.include(key)
    expect(await works(rest(second.url, key))).to.equal(true)
    expect((await readFile(file, 'utf8')).trim()).to.equal(key)
  })

  it('is the one of STREAMSPACE_ADMIN_KEY at the first start; a different one later is ignored with a warning', async () => {
    const env = { DATABASE_URL: await migratedDatabase(here), STREAMSPACE_DATA_DIR: join(await here.folder(), 'data') }
    const first = await start({ ...env, STREAMSPACE_ADMIN_KEY: GIVEN })
    expect(await works(rest(first.url, GIVEN))).to.equal(true)
    expect(first.program.stdout() + first.program.stderr()).not.to.include(GIVEN)
    await stop(first.program)

    const second = await start({ ...env, STREAMSPACE_ADMIN_KEY: OTHER })
    const said = second.program.stdout() + second.program.stderr()
    expect(said).to.match(/warning.*STREAMSPACE_ADMIN_KEY/i)
    expect(said).not.to.include(OTHER)
    expect(await works(rest(second.url, GIVEN))).to.equal(true)
    expect(await works(rest(second.url, OTHER))).to.equal(false)
    await stop(second.program)

    const third = await start({ ...env, STREAMSPACE_ADMIN_KEY: GIVEN })
    expect(third.program.stdout() + third.program.stderr()).not.to.match(/warning/i)
  })

  it('is made anew by admin-key reset, which ends the earlier one, also for a server that runs', async () => {
    const env = { DATABASE_URL: await migratedDatabase(here), STREAMSPACE_DATA_DIR: join(await here.folder(), 'data') }
    const { url } = await start({ ...env, STREAMSPACE_ADMIN_KEY: GIVEN })
    expect(await works(rest(url, GIVEN))).to.equal(true)
    const reset = streamspace(here, ['admin-key', 'reset'], env)
    expect(await reset.end()).to.deep.equal({ code: 0, signal: null })
    const key = reset.stdout().trim()
    expect(key).to.match(/^ssk_[A-Za-z0-9]{32,}$/)
    expect(await works(rest(url, key))).to.equal(true)
    await eventually(async () => expect(await works(rest(url, GIVEN))).to.equal(false), { within: 2_000 })
  })
})
