import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { networkInterfaces, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect } from 'chai'
import pg from 'pg'
import { startOf } from '../../../adapters/embedded-postgres/process-identity.ts'
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../../adapters/embedded-postgres/start.ts'
import { eventually } from '../../support/eventually.ts'

const program = fileURLToPath(new URL('./program.ts', import.meta.url))

/** One database directory for all of these: what one test leaves, the next one must cope with. */
describe('an embedded PostgreSQL', () => {
  let home: string
  let dataDir: string
  let log: string[]
  let server: EmbeddedPostgres | undefined
  let child: ChildProcess | undefined

  before(async () => {
    // Closed to everyone else, as /root is: PostgreSQL's account gets no further by the name of its directory.
    home = await mkdtemp(join(tmpdir(), 'streamspace-embedded-'))
    await chmod(home, 0o700)
    dataDir = join(home, 'postgres')
  })
  beforeEach(() => {
    log = []
  })
  afterEach(async () => {
    await server?.stop()
    server = undefined
    await killed(child)
    child = undefined
  })
  after(() => rm(home, { recursive: true, force: true }))

  const start = async (): Promise<EmbeddedPostgres> => {
    server = await startEmbeddedPostgres({ dataDir, onLog: (line) => log.push(line) })
    return server
  }

  const startChild = async (): Promise<{ pid: number; url: string }> => {
    child = spawn(process.execPath, [program, dataDir], { stdio: ['ignore', 'pipe', 'inherit'] })
    child.stdout?.setEncoding('utf8')
    const [line] = child.stdout === null ? [] : await once(child.stdout, 'data')
    return JSON.parse(String(line))
  }

  it('starts on a free port with an empty UTF-8 database that is as durable as any', async () => {
    const { url, port } = await start()
    expect(new URL(url)).to.include({ hostname: '127.0.0.1', port: String(port), pathname: '/streamspace' })
    const settings = await ask(url, `SELECT name, setting FROM pg_settings WHERE name = ANY ($1)`, [
      ['fsync', 'synchronous_commit', 'server_encoding', 'lc_collate', 'password_encryption'],
    ])
    expect(Object.fromEntries(settings.map(({ name, setting }) => [name, setting]))).to.include({
      fsync: 'on',
      synchronous_commit: 'on',
      server_encoding: 'UTF8',
      password_encryption: 'scram-sha-256',
    })
  })

  it('keeps its password from other people, and lets nobody in without it', async () => {
    const { url } = await start()
    expect((await stat(join(dataDir, 'password'))).mode & 0o777).to.equal(0o600)
    expect((await stat(dataDir)).mode & 0o777).to.equal(0o700)
    const wrong = new URL(url)
    wrong.password = 'guessed'
    expect(await failureOf(ask(wrong.href, 'SELECT 1'))).to.contain('password authentication failed')
  })

  it('is not to be reached from another machine', async function () {
    const outward = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? [])
    const address = outward.find(({ internal, family }) => !internal && family === 'IPv4')
    if (address === undefined) return this.skip()
    const { port } = await start()
    expect(await failureOf(reach(address.address, port))).to.contain('ECONNREFUSED')
  })

  it('keeps what was written over a stop and a start', async () => {
    const first = await start()
    await ask(first.url, 'CREATE TABLE kept AS SELECT 42 AS answer')
    await first.stop()
    expect(await startOf(first.pid)).to.equal(undefined)
    expect(await ask((await start()).url, 'SELECT answer FROM kept')).to.deep.equal([{ answer: 42 }])
  })

  it('comes back on its port with all that was committed when its server is killed', async () => {
    const { url, pid } = await start()
    await ask(url, 'CREATE TABLE committed AS SELECT 1 AS one')
    process.kill(pid, 'SIGKILL')
    const rows = await eventually(() => ask(url, 'SELECT one FROM committed'))
    expect(rows).to.deep.equal([{ one: 1 }])
    expect(server?.pid).not.to.equal(pid)
  })

  it('stops in order right after its server was killed', async () => {
    const running = await start()
    process.kill(running.pid, 'SIGKILL')
    await running.stop()
    expect(await startOf(running.pid)).to.equal(undefined)
  })

  it('refuses a second program on the same directory, and names the first', async () => {
    const { url } = await startChild()
    expect(await failureOf(start())).to.contain(`in use by process ${child?.pid}`)
    expect(await ask(url, 'SELECT 1 AS one')).to.deep.equal([{ one: 1 }])
  })

  it('stops the server that a killed program left behind, and starts anew', async () => {
    const left = await startChild()
    await ask(left.url, 'CREATE TABLE left_behind AS SELECT 7 AS seven')
    await killed(child)
    expect(await startOf(left.pid)).not.to.equal(undefined)
    const { url } = await start()
    expect(await startOf(left.pid)).to.equal(undefined)
    expect(await ask(url, 'SELECT seven FROM left_behind')).to.deep.equal([{ seven: 7 }])
  })

  it('starts after program and server were killed together', async () => {
    const left = await startChild()
    await ask(left.url, 'CREATE TABLE both_killed AS SELECT 8 AS eight')
    await killed(child)
    process.kill(left.pid, 'SIGKILL')
    expect(await ask((await start()).url, 'SELECT eight FROM both_killed')).to.deep.equal([{ eight: 8 }])
  })

  it('leaves alone a stranger who came by the pid of a server that is gone', async () => {
    const stranger = spawn('sleep', ['60'])
    try {
      await (await start()).stop()
      const pidFile = join(dataDir, 'data', 'postmaster.pid')
      await writeFile(pidFile, `${stranger.pid}\n${dataDir}/data\n1700000000\n1\n\n127.0.0.1\n\nready\n`)
      // Readable for PostgreSQL's account whatever our umask is, as the one it writes itself.
      await chmod(pidFile, 0o644)
      const { url } = await start()
      expect(await ask(url, 'SELECT 1 AS one')).to.deep.equal([{ one: 1 }])
      expect(stranger.exitCode).to.equal(null)
    } finally {
      stranger.kill()
    }
  })

  it('is out of reach of the Ctrl-C that its program gets', async function () {
    if (process.platform !== 'linux') return this.skip()
    const { pid } = await start()
    expect(await processGroupOf(pid))
      .to.equal(pid)
      .and.not.to.equal(await processGroupOf(process.pid))
  })

  it('goes down with a program that ends without stopping it', async () => {
    const text = `
      const { startEmbeddedPostgres } = await import(${JSON.stringify(new URL('../../../adapters/embedded-postgres/start.ts', import.meta.url).href)})
      const { pid } = await startEmbeddedPostgres({ dataDir: ${JSON.stringify(dataDir)}, onLog: () => {} })
      process.stdout.write(String(pid), () => process.exit(1))`
    child = spawn(process.execPath, ['--input-type=module', '-e', text], { stdio: ['ignore', 'pipe', 'inherit'] })
    const [pid] = child.stdout === null ? [] : await once(child.stdout, 'data')
    await eventually(async () => expect(await startOf(Number(pid))).to.equal(undefined))
  })

  it('gets a new password when the file with the old one is gone', async () => {
    const { url } = await start()
    await server?.stop()
    await rm(join(dataDir, 'password'))
    const renewed = await start()
    expect(new URL(renewed.url).password).not.to.equal(new URL(url).password)
    expect(await ask(renewed.url, 'SELECT answer FROM kept')).to.deep.equal([{ answer: 42 }])
  })

  it('says which port is taken when it was told one', async () => {
    const { port } = await start()
    const elsewhere = startEmbeddedPostgres({ dataDir: join(home, 'other'), port, onLog: () => {} })
    expect(await failureOf(elsewhere)).to.contain(`Port ${port} is taken`)
  })

  it('begins again where an initdb was killed half-way', async () => {
    const dataDir = join(home, 'half')
    await mkdir(join(dataDir, 'data.new', 'base'), { recursive: true })
    await writeFile(join(dataDir, 'data.new', 'PG_VERSION'), '18\n')
    const begun = await startEmbeddedPostgres({ dataDir, onLog: () => {} })
    await begun.stop()
    expect(await readFile(join(dataDir, 'data', 'PG_VERSION'), 'utf8')).to.equal('18\n')
  })

  it('does not write over files that are no database', async () => {
    const dataDir = join(home, 'strange')
    await mkdir(join(dataDir, 'data'), { recursive: true })
    await writeFile(join(dataDir, 'data', 'letters.txt'), 'mine')
    expect(await failureOf(startEmbeddedPostgres({ dataDir, onLog: () => {} }))).to.contain(
      'are not a PostgreSQL database',
    )
    expect(await readFile(join(dataDir, 'data', 'letters.txt'), 'utf8')).to.equal('mine')
  })
})

const ask = async (url: string, text: string, values: unknown[] = []): Promise<Record<string, unknown>[]> => {
  const client = new pg.Client({ connectionString: url })
  client.on('error', () => {})
  try {
    await client.connect()
    return (await client.query(text, values)).rows
  } finally {
    await client.end()
  }
}

const failureOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'no failure',
    (error: Error) => error.message,
  )

const reach = (host: string, port: number): Promise<void> =>
  new Promise((resolve, reject) => {
    const socket = connect({ host, port }, () => {
      socket.destroy()
      resolve()
    })
    socket.once('error', reject)
  })

const killed = async (child: ChildProcess | undefined): Promise<void> => {
  if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
  const exit = once(child, 'exit')
  child.kill('SIGKILL')
  await exit
}

/** proc(5): the fifth field of stat. */
const processGroupOf = async (pid: number): Promise<number> => {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8')
  return Number(text.slice(text.lastIndexOf(')') + 2).split(' ')[2])
}
