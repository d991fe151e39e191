import { execFileSync, spawnSync } from 'node:child_process'
import { chmodSync, existsSync, linkSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect } from 'chai'
import type { SessionId } from '../../../domain/ids.ts'
import {
  type AgentProcess,
  aServer,
  aSessionId,
  gone,
  httpPort,
  isRoot,
  NOBODY,
  observedOf,
  sh,
  target,
  type Workplace,
  workplace,
  written,
} from '../../support/process-agent.ts'

describe('sessions of an agent that is root', () => {
  let place: Workplace
  let agent: AgentProcess
  before(async function () {
    if (!isRoot) return this.skip()
    place = workplace()
    agent = await place.agent()
  })
  after(() => place?.close())
  const home = (id: SessionId): string => join(place.sessionDir(id), 'home')

  /** What a shell script in a session says. */
  const saidBy = async (script: string, orgId = 'org-b'): Promise<string> => {
    const id = aSessionId()
    await agent.apply(
      target(id, { command: sh(`{ ${script}; } >said.new 2>&1; mv said.new said; sleep 600`) }, { orgId }),
    )
    return written(join(home(id), 'said'))
  }

  it('each run as a user of their own, without any right', async () => {
    const status = await saidBy('id -u; id -g; id -G; grep -E "^(Cap(Prm|Eff|Bnd)|NoNewPrivs)" /proc/self/status')
    const [uid, gid, groups, ...rest] = status.trim().split('\n')
    const other = (await saidBy('id -u')).trim()
    expect(Number(uid)).to.be.within(200_000, 265_535)
    expect([gid, groups]).to.deep.equal([uid, uid])
    expect(other).to.not.equal(uid)
    if (process.platform === 'linux') expect(rest.filter((line) => /Cap.*[1-9a-f]$/.test(line))).to.deep.equal([])
    if (process.platform === 'linux') expect(rest.at(-1)).to.match(/NoNewPrivs:\s+1/)
  })

  it('cannot read another home, the records, the keys, or the environment of the agent', async () => {
    const neighbour = aSessionId()
    await agent.apply(target(neighbour, { command: sh('echo private >diary; chmod 644 diary; sleep 600') }))
    await written(join(home(neighbour), 'diary'))
    const adminKey = join(place.stateDir, '..', 'admin-key')
    const token = join(place.stateDir, 'token')
    for (const path of [adminKey, token]) writeFileSync(path, 'secret', { mode: 0o600 })
    const dir = place.sessionDir(neighbour)
    const forbidden = [
      join(home(neighbour), 'diary'),
      join(dir, 'record.json'),
      join(dir, 'output.log'),
      join(dir, 'launch.sh'),
      adminKey,
      token,
      `/proc/${agent.child.pid}/environ`,
      `/proc/${place.commandPid(neighbour)}/environ`,
    ]
    for (const path of forbidden) expect(existsSync(path), path).to.equal(true)
    const said = await saidBy(
      [
        ...forbidden.map((path) => `cat ${path}`),
        `ls ${join(place.stateDir, 'sessions')}`,
        `ls ${place.stateDir}`,
        `kill -0 ${agent.child.pid}`,
        `kill -0 ${place.commandPid(neighbour)}`,
        'echo x >../record.json',
        'echo x >../launch.sh',
        'ls ../run',
        'mv ../home ../elsewhere',
      ].join('; '),
    )
    const lines = said.split('\n').filter((line) => line !== '')
    expect(lines, said).to.have.length(forbidden.length + 8)
    for (const line of lines) expect(line).to.match(/Permission denied|Operation not permitted/)
  })

  it('cannot reach the agent through what they put into their environment', async () => {
    const id = aSessionId()
    const lib = join(tmpdir(), `preload-${id}.so`)
    await agent.apply(
      target(id, {
        command: sh('sleep 600'),
        env: { LD_PRELOAD: lib, PATH: '/nowhere:/bin:/usr/bin', ENV: '/nowhere', BASH_ENV: '/nowhere' },
      }),
    )
    const { run } = place.record(id)
    const environment = readFileSync(`/proc/${run!.shim!.pid}/environ`, 'utf8')
    expect(environment).to.not.include('LD_PRELOAD')
    expect(environment).to.not.include('STREAMSPACE')
  })

  it('are ended with everything that runs as their user', async () => {
    const id = aSessionId()
    // Without its id in the environment, its parent, its group: only the user is left to know it by.
    const script = `setsid env -i sh -c 'sh -c "echo \\$\\$ >hidden.new; mv hidden.new hidden; exec sleep 600" & exit 0' & sleep 600`
    await agent.apply(target(id, { command: sh(script) }))
    const pid = Number(await written(join(home(id), 'hidden')))
    await agent.apply(target(id, {}, { generation: 2, state: 'stopped' }))
    await gone(pid, 100)
  })

  it('keep their user and their home over a stop', async () => {
    const id = aSessionId()
    await agent.apply(target(id, { command: sh('umask 077; echo mine >file; sleep 600') }))
    await written(join(home(id), 'file'))
    const { uid } = place.record(id)
    await agent.apply(target(id, {}, { generation: 2, state: 'stopped' }))
    await agent.apply(target(id, { command: sh('cat file >seen; sleep 600') }, { generation: 3 }))
    expect(await written(join(home(id), 'seen'))).to.equal('mine\n')
    expect(place.record(id).uid).to.equal(uid)
    expect(statSync(home(id)).uid).to.equal(uid)
  })

  it('of several orgs are taken', async () => {
    for (const orgId of ['org-x', 'org-y'])
      expect(await agent.apply(target(aSessionId(), { command: sh('sleep 600') }, { orgId }))).to.include({
        kind: 'applied',
      })
  })

  it('that were begun by an agent that was not root get a user of their own when they are started again', async () => {
    const plain = workplace(NOBODY)
    const id = aSessionId()
    const former = await plain.agent()
    await former.apply(target(id, { command: sh('umask 077; echo mine >file; sleep 600') }))
    await written(join(plain.sessionDir(id), 'home', 'file'))
    await former.close()
    expect(plain.record(id).uid).to.equal(null)
    const root = workplace(null)
    try {
      const now = await root.agent({ stateDir: plain.stateDir })
      expect(await now.inventoryOf(id)).to.include({ status: 'running' })
      for (const path of [plain.stateDir, plain.sessionDir(id), join(plain.sessionDir(id), 'record.json')])
        expect(statSync(path).uid, path).to.equal(0)
      const script = 'id -u >me; cat file >seen; sleep 600'
      await now.apply(target(id, { command: sh(script) }, { generation: 2, incarnation: 1 }))
      expect(await written(join(plain.sessionDir(id), 'home', 'seen'))).to.equal('mine\n')
      expect(Number(await written(join(plain.sessionDir(id), 'home', 'me')))).to.equal(plain.record(id).uid)
      await now.apply(target(id, {}, { generation: 3, state: 'deleted' }))
    } finally {
      await root.close()
      await plain.close()
    }
  })

  it('have their homes elsewhere when no other user can get to the state directory', async () => {
    const closed = workplace(null, { mode: 0o700 })
    const outsideHomesDir = mkdtempSync(join(tmpdir(), 'homes-'))
    chmodSync(outsideHomesDir, 0o711)
    try {
      const other = await closed.agent({ outsideHomesDir })
      const id = aSessionId()
      const applied = await other.apply(target(id, { command: aServer, ports: httpPort }))
      expect(observedOf(applied)).to.include({ status: 'running' })
      expect(closed.record(id).home.startsWith(outsideHomesDir)).to.equal(true)
      await other.apply(target(id, {}, { generation: 2, state: 'deleted' }))
      const left = execFileSync('find', [outsideHomesDir, '-name', id], { encoding: 'utf8' })
      expect(left).to.equal('')
    } finally {
      await closed.close()
      rmSync(outsideHomesDir, { recursive: true, force: true })
    }
  })

  it('use a copy of Node when it lies where no other user gets to', async () => {
    const hidden = mkdtempSync(join(tmpdir(), 'hidden-'))
    const execPath = join(hidden, 'node')
    try {
      linkSync(process.execPath, execPath)
    } catch {
      execFileSync('cp', [process.execPath, execPath])
    }
    const closed = workplace(null, { execPath })
    try {
      const other = await closed.agent()
      const id = aSessionId()
      const applied = await other.apply(target(id, { command: aServer, ports: httpPort }))
      expect(observedOf(applied), JSON.stringify(applied)).to.include({ status: 'running' })
    } finally {
      await closed.close()
      rmSync(hidden, { recursive: true })
    }
  })

  it('give up their rights also where there is no setpriv', () => {
    const script = fileURLToPath(new URL('../../../agents/process/drop-privileges.ts', import.meta.url))
    const asked = [script, String(NOBODY), '/bin/sh', '-c', 'id -u; id -g; id -G; cat /etc/shadow']
    const said = spawnSync(process.execPath, asked, { encoding: 'utf8' })
    expect(said.stdout.trim().split('\n')).to.deep.equal([NOBODY, NOBODY, NOBODY].map(String))
    expect(said.stderr).to.match(/Permission denied/)
    expect(spawnSync(process.execPath, [script, '0', '/bin/sh', '-c', 'id'], { encoding: 'utf8' }).status).to.equal(126)
  })
})

describe('an agent that is not root', () => {
  const uid = isRoot ? NOBODY : null
  let place: Workplace
  beforeEach(() => {
    place = workplace(uid)
  })
  afterEach(() => place.close())
  const about = (orgId: string) => target(aSessionId(), { command: sh('sleep 600') }, { orgId })

  it('refuses the sessions of a second org, and says what can be done', async () => {
    const agent = await place.agent()
    const first = about('org-a')
    expect(await agent.apply(first)).to.include({ kind: 'applied' })
    const refused = await agent.apply(about('org-b'))
    expect(refused).to.include({ kind: 'failed', code: 'rejected', retryable: false })
    expect((refused as { message: string }).message).to.match(/STREAMSPACE_ALLOW_SHARED_PROCESS_AGENT=true/)
    expect(await agent.inventory()).to.have.length(1)
    await agent.apply(target(first.sessionId, {}, { generation: 2, state: 'deleted' }))
    expect(await agent.apply(about('org-b'))).to.include({ kind: 'applied' })
  })

  it('takes them when the setting allows it', async () => {
    const agent = await place.agent({ allowSharedWithoutIsolation: true })
    for (const orgId of ['org-a', 'org-b']) expect(await agent.apply(about(orgId))).to.include({ kind: 'applied' })
  })

  it('keeps everything to itself', async () => {
    const agent = await place.agent()
    const first = about('org-a')
    await agent.apply(first)
    for (const path of [
      place.stateDir,
      place.sessionDir(first.sessionId),
      join(place.sessionDir(first.sessionId), 'home'),
    ])
      expect(statSync(path).mode & 0o077, path).to.equal(0)
  })
})
