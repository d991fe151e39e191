/** Started as root, every session is a user of its own, who can read nothing that is not its own. */
import { chmod, mkdir, readFile, rename, stat, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { eventually } from './support/eventually.ts'
import { agentsOf, pidOfSession, processesOf, processesOfSession } from './support/processes.ts'
import { scene } from './support/scene.ts'
import { dev, type Installation, usedDataDir } from './support/streamspace.ts'
import { idle, putTemplate, snoop } from './support/templates.ts'

describe('what a session can reach', function () {
  this.timeout(120_000)
  const here = scene('suite')
  let home: Installation
  let reports: string

  before(async () => {
    const folder = await here.folder()
    reports = join(folder, 'reports')
    await mkdir(reports)
    await chmod(reports, 0o1777)
    home = await dev(here, await usedDataDir(here), { A_SECRET_OF_THE_PERSON: 'swordfish' })
    for (const template of [idle, snoop]) await putTemplate(home.rest, template)
  })

  const running = async (request: object): Promise<string> => {
    const { id } = await home.rest.create(request)
    await home.rest.until(id, 'running')
    return id
  }

  const environmentOf = async (id: string): Promise<ReadonlyMap<string, string>> => {
    const [process_] = await processesOfSession(id)
    return new Map(
      (process_?.environment ?? '')
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
    )
  }

  it('its environment is built from nothing', async () => {
    const id = await running({ template: 'hello-web', env: { MINE: 'yes' } })
    const environment = await environmentOf(id)
    expect([...environment.keys()].sort()).to.deep.equal(
      [
        ...['HELLO_TITLE', 'HOME', 'MINE', 'PATH', 'PORT', 'PORT_HTTP'],
        ...['STREAMSPACE_ACCESS_TOKEN', 'STREAMSPACE_SESSION_ID', 'STREAMSPACE_USER'],
      ].sort(),
    )
    expect(environment.get('STREAMSPACE_USER')).to.equal('admin')
    expect(environment.get('PORT')).to.equal(environment.get('PORT_HTTP'))
  })

  describe('as root', () => {
    before(function () {
      // What a process may do is read in /proc.
      if (process.getuid?.() === 0 && process.platform === 'linux') return
      console.log('      skipped: these need root, on Linux; otherwise sessions run as whoever runs the agent')
      this.skip()
    })

    it('each session has a user of its own, without any rights', async () => {
      const ids = [await running({ template: 'idle' }), await running({ template: 'idle' })]
      const users = await Promise.all(
        ids.map(async (id) => {
          const status = await readFile(`/proc/${await pidOfSession(id)}/status`, 'utf8')
          const line = (name: string): string =>
            new RegExp(`^${name}:[ \\t]*(.*)$`, 'm').exec(status)?.[1]?.trim() ?? ''
          expect(line('CapEff')).to.match(/^0+$/)
          expect(line('Groups')).to.equal('')
          const numbers = [...line('Uid').split(/\s+/), ...line('Gid').split(/\s+/)]
          expect(new Set(numbers).size, `uid and gid: ${numbers.join(' ')}`).to.equal(1)
          return Number(numbers[0])
        }),
      )
      expect(users[0]).to.be.above(1_000).and.not.to.equal(users[1])
      for (const id of ids) {
        const folder = (await environmentOf(id)).get('HOME') ?? ''
        expect((await stat(folder)).mode & 0o777).to.equal(0o700)
      }
    })

    it('it can read its own home, and no key, no token, no database, no other home and no other process', async () => {
      const other = await running({ template: 'idle', env: { WORD: 'xyzzy' } })
      const otherHome = (await environmentOf(other)).get('HOME') ?? ''
      const otherPid = await pidOfSession(other)
      const [agentPid] = await agentsOf(home.dataDir)
      const [serverPid] = (await processesOf(home.dataDir))
        .filter(({ command }) => /cli\.ts\ndev\n/.test(command))
        .map(({ pid }) => pid)
      const forbidden = [
        ...['admin-key', 'secret-key', 'agent-token', 'postgres', 'postgres/data', 'postgres/password'].map((name) =>
          join(home.dataDir, name),
        ),
        otherHome,
        join(otherHome, '..', 'record.json'),
        join(otherHome, '..', 'output.log'),
        join(home.dataDir, 'agents'),
        ...[otherPid, agentPid, serverPid].map((pid) => `/proc/${pid}/environ`),
      ]
      for (const path of forbidden) await stat(path)
      const id = await running({
        template: 'snoop',
        env: { PATHS: ['/etc/passwd', ...forbidden].join(' '), REPORTS: reports, VICTIM: String(otherPid) },
      })
      const said = await eventually(async () => readFile(join(reports, id), 'utf8'))
      expect(said.trim().split('\n')).to.deep.equal([
        'own home: written',
        'read /etc/passwd',
        ...forbidden.map((path) => `refused ${path}`),
        'kill: refused',
      ])
    })

    it('a home that has become a link leads nobody who deletes it anywhere else', async () => {
      const id = await running({ template: 'idle' })
      const folder = (await environmentOf(id)).get('HOME') ?? ''
      const precious = join(reports, 'precious')
      await mkdir(precious)
      await writeFile(join(precious, 'work'), 'of years')
      await rename(folder, `${folder}-moved`)
      await symlink(precious, folder)
      await home.rest.ask('DELETE', `/sessions/${id}`)
      await home.rest.gone(id)
      expect(await readFile(join(precious, 'work'), 'utf8')).to.equal('of years')
    })
  })
})
