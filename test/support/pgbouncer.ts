/**
 * A real PgBouncer in front of a database, as Debian has it (`apt-get install pgbouncer`; 1.18 on Debian 12, which knows
 * no prepared statements in transaction mode). It is not on npm, so it may be missing: then a person's run leaves
 * those tests out and counts them as skipped, and a run with CI set fails, as nothing is skipped there.
 */
import { spawn } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { chown, mkdir, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { delimiter, join } from 'node:path'
import pg from 'pg'
import { accountFor } from '../../adapters/embedded-postgres/account.ts'
import { eventually } from './eventually.ts'

const program = (): string | null => {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin']
  for (const folder of folders) {
    const path = join(folder, 'pgbouncer')
    try {
      accessSync(path, constants.X_OK)
      return path
    } catch {
      // Looked for in the next one.
    }
  }
  return null
}

/** For `before(needsPgBouncer)`. */
export function needsPgBouncer(this: Mocha.Context): void {
  if (program() !== null) return
  if (process.env.CI) throw new Error('there is no pgbouncer: apt-get install -y --no-install-recommends pgbouncer')
  this.skip()
}

export type PgBouncer = {
  /** The same database, through the pooler. */
  readonly url: string
  /** What it said, a line at a time. */
  readonly log: () => readonly string[]
  readonly stop: () => Promise<void>
}

export type PgBouncerOptions = {
  /** Made for it alone. */
  readonly directory: string
  readonly databaseUrl: string
  /** Connections to the server, however many clients there are. */
  readonly poolSize: number
}

/** In transaction mode, with the defaults of its configuration otherwise. */
export const startPgBouncer = async (options: PgBouncerOptions): Promise<PgBouncer> => {
  const { directory, databaseUrl, poolSize } = options
  const { hostname, port, pathname, username, password } = new URL(databaseUrl)
  const listenPort = await freePort()
  const account = await accountFor(directory)
  const config = join(directory, 'pgbouncer.ini')
  const target = `host=${hostname} port=${port} dbname=${pathname.slice(1)} user=${username} password=${decodeURIComponent(password)}`
  await mkdir(directory, { recursive: true, mode: 0o700 })
  await writeFile(
    config,
    [
      '[databases]',
      `streamspace = ${target}`,
      '[pgbouncer]',
      'listen_addr = 127.0.0.1',
      `listen_port = ${listenPort}`,
      'unix_socket_dir =',
      'auth_type = any',
      'pool_mode = transaction',
      `default_pool_size = ${poolSize}`,
      'max_client_conn = 200',
    ].join('\n'),
    { mode: 0o600 },
  )
  if (account.uid !== undefined && account.gid !== undefined)
    for (const path of [directory, config]) await chown(path, account.uid, account.gid)

  const child = spawn(program() ?? 'pgbouncer', [config], { ...account, cwd: '/', stdio: ['ignore', 'pipe', 'pipe'] })
  const lines: string[] = []
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => lines.push(...text.split('\n').filter(Boolean)))
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  const url = `postgres://${username}:any@127.0.0.1:${listenPort}/streamspace`
  const stop = async (): Promise<void> => {
    child.kill('SIGTERM')
    await gone
  }
  try {
    await eventually(() => answers(url))
  } catch (error) {
    await stop()
    throw new Error(`PgBouncer did not start:\n${lines.join('\n')}`, { cause: error })
  }
  return { url, log: () => lines, stop }
}

const answers = async (url: string): Promise<void> => {
  const client = new pg.Client({ connectionString: url })
  client.on('error', () => {})
  await client.connect()
  await client.query('SELECT 1').finally(() => client.end())
}

const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const probe = createServer()
    probe.once('error', reject)
    probe.listen(0, '127.0.0.1', () => {
      const { port } = probe.address() as { port: number }
      probe.close(() => resolve(port))
    })
  })
