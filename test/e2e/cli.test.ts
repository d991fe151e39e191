/** The command line against the real thing, in a pipe, as scripts use it. */
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import type { Json } from './support/rest.ts'
import { type Ended, type Environment, root, scene } from './support/scene.ts'
import { dev, type Installation, usedDataDir } from './support/streamspace.ts'
import { absent, putTemplate } from './support/templates.ts'

type Said = Ended & { readonly stdout: string; readonly stderr: string }

describe('scripts/streamspace', function () {
  this.timeout(120_000)
  const here = scene('suite')
  let home: Installation

  before(async () => {
    home = await dev(here, await usedDataDir(here))
    await putTemplate(home.rest, absent)
  })

  const run = async (args: readonly string[], env: Environment = {}): Promise<Said> => {
    const program = here.start({
      command: join(root, 'scripts/streamspace'),
      args,
      // From anywhere; the key is found where npm start keeps it.
      cwd: tmpdir(),
      env: { STREAMSPACE_URL: home.url, STREAMSPACE_DATA_DIR: home.dataDir, ...env },
    })
    const ended = await program.end(30_000)
    return { ...ended, stdout: program.stdout(), stderr: program.stderr() }
  }

  const done = async (args: readonly string[]): Promise<string> => {
    const said = await run(args)
    expect(said, args.join(' ')).to.include({ code: 0, signal: null, stderr: '' })
    expect(said.stdout, 'no colours and no moving lines in a pipe').not.to.include('\x1b').and.not.to.include('\r')
    return said.stdout
  }
  const json = async (args: readonly string[]): Promise<Json> => JSON.parse(await done([...args, '--json']))

  it('creates a session and waits for it, shows, lists, stops and deletes it', async () => {
    const created = await json([
      'session',
      'create',
      'hello-web',
      '--name',
      'from the shell',
      '--param',
      'title=Moin',
      '--wait',
    ])
    expect(created).to.include({ name: 'from the shell', status: 'running' })
    expect(created.parameters).to.deep.equal({ title: 'Moin' })
    expect(created.endpoint.url).to.match(/^http/)

    expect(await json(['session', 'get', created.id])).to.deep.equal(await home.rest.session(created.id))
    const shown = await done(['session', 'get', 'from the shell'])
    expect(shown).to.include(created.id).and.to.include('running').and.to.include(created.endpoint.url)
    const listed = await done(['session', 'list'])
    expect(listed).to.include(created.id).and.to.include('from the shell').and.to.include('running')
    expect((await json(['session', 'list', '--status', 'running'])).map?.(({ id }: Json) => id) ?? []).to.be.an('array')

    const events = await done(['session', 'events', created.id])
    expect(events).to.include('created').and.to.include('running')

    expect(await json(['session', 'stop', created.id, '--wait'])).to.include({ status: 'stopped' })
    expect(await done(['session', 'start', created.id, '--wait'])).to.include('running')
    expect(await done(['session', 'restart', created.id, '--wait'])).to.include('running')
    expect(await done(['session', 'hibernate', created.id, '--wait'])).to.include('hibernated')
    expect(await done(['session', 'wake', created.id, '--wait'])).to.include('running')
    await done(['session', 'delete', created.id, '--wait'])
    expect((await home.rest.get(`/sessions/${created.id}`)).status).to.equal(404)
  })

  it('shows templates, agents and how it is', async () => {
    const templates = await done(['template', 'list'])
    for (const name of ['hello-web', 'file-browser', 'static-site']) expect(templates).to.include(name)
    expect(await done(['agent', 'list']))
      .to.include('local')
      .and.to.include('online')
    expect(await done(['status'])).to.include('ready')
    expect(await json(['status'])).to.include({ ready: true, url: home.url })
  })

  it('enrols an agent', async () => {
    const said = await run(['agent', 'enrol', 'by-hand', '--platform', 'process', '--json'])
    expect(said.code, said.stderr).to.equal(0)
    const enrolled = JSON.parse(said.stdout)
    expect(enrolled.token).to.match(/^ssa_/)
    expect((await home.rest.get('/agents/by-hand')).status).to.equal(200)
  })

  it('ends with 1 what fails and says why on stderr', async () => {
    const unknown = await run(['session', 'get', '01900000-0000-7000-8000-000000000000'])
    expect(unknown).to.include({ code: 1, stdout: '' })
    expect(unknown.stderr).not.to.equal('')
    const template = await run(['session', 'create', 'no-such-template'])
    expect(template).to.include({ code: 1, stdout: '' })
    expect(template.stderr).to.include('no-such-template')
    const failed = await run(['session', 'create', 'absent', '--wait'])
    expect(failed.code).to.equal(1)
    expect(failed.stderr).to.include('no-such-command-anywhere')
    const key = await run(['session', 'list'], { STREAMSPACE_API_KEY: `ssk_${'x'.repeat(40)}` })
    expect(key).to.include({ code: 1, stdout: '' })
    const nobody = await run(['status'], { STREAMSPACE_URL: 'http://127.0.0.1:9' })
    expect(nobody.code).to.equal(1)
    expect(nobody.stderr).to.include('127.0.0.1:9')
  })

  it('ends with 2 what was asked wrongly', async () => {
    for (const args of [
      ['session', 'dance'],
      ['session', 'create'],
      ['session', 'list', '--limit', 'few'],
      ['nonsense'],
    ]) {
      const said = await run(args)
      expect(said, args.join(' ')).to.include({ code: 2, stdout: '' })
      expect(said.stderr, args.join(' ')).not.to.equal('')
    }
  })
})
