/**
 * A primary and a streaming standby of it: two real servers, from the programs that come with npm. The standby begins
 * as a copy of the primary's files, taken while it was stopped, which is all that pg_basebackup does for a running one.
 */
import { execFile } from 'node:child_process'
import { chown, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect } from 'chai'
import pg from 'pg'
import { accountFor } from '../../adapters/embedded-postgres/account.ts'
import { dataOf, ensureCluster, superuser } from '../../adapters/embedded-postgres/cluster.ts'
import { type Postmaster, startPostmaster } from '../../adapters/embedded-postgres/postmaster.ts'
import { programsFor } from '../../adapters/embedded-postgres/programs.ts'
import { eventually } from './eventually.ts'
import { portToKeep } from './ports.ts'

export type PostgresPair = {
  /** Both hosts, the primary first. */
  readonly url: string
  readonly primaryUrl: string
  readonly standbyUrl: string
  /** kill -9, and it stays dead. */
  readonly killPrimary: () => Promise<void>
  /** A host that swallows everything: its processes stand still, its sockets stay open. */
  readonly freezePrimary: () => Promise<void>
  /** Waits until the standby has what is committed now. */
  readonly standbyHasAll: () => Promise<void>
  /** From here on the standby hears nothing of the primary, as when the network between them is gone. */
  readonly detachStandby: () => Promise<void>
  readonly promoteStandby: () => Promise<void>
  readonly stop: () => Promise<void>
}

/** `synchronous`: a commit is answered when the standby has it on disk. */
export type Replication = 'synchronous' | 'asynchronous'

const DATABASE = 'streamspace'
const STANDBY = 'standby_1'

const settings = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  shared_buffers: '32MB',
  max_connections: '100',
  wal_level: 'replica',
  hot_standby: 'on',
  wal_receiver_status_interval: '1s',
}

/** `prepare` fills the database while there is no standby yet. Both servers end with `stop`. */
export const startPostgresPair = async (
  directory: string,
  replication: Replication,
  prepare: (url: string) => Promise<void> = async () => {},
): Promise<PostgresPair> => {
  const [primaryDirectory, standbyDirectory] = [join(directory, 'primary'), join(directory, 'standby')]
  const account = await accountFor(primaryDirectory)
  const programs = await programsFor(account)
  const { password } = await ensureCluster(primaryDirectory, programs, account)
  const [primaryPort, standbyPort] = [Number(await portToKeep()), Number(await portToKeep())]
  const urlOf = (port: number, database = DATABASE): string =>
    `postgres://${superuser}:${password}@127.0.0.1:${port}/${database}`
  const begin = (at: string, port: number, more: Readonly<Record<string, string>>): Promise<Postmaster> =>
    startPostmaster({ directory: at, programs, account, port, settings: { ...settings, ...more }, onLog: () => {} })

  const alone = await begin(primaryDirectory, primaryPort, {})
  try {
    await ask(urlOf(primaryPort, 'postgres'), `CREATE DATABASE ${DATABASE}`)
    await prepare(urlOf(primaryPort))
  } finally {
    await alone.stop()
  }
  await promisify(execFile)('cp', ['-Rp', primaryDirectory, standbyDirectory])
  const signal = join(dataOf(standbyDirectory), 'standby.signal')
  await writeFile(signal, '')
  if (account.uid !== undefined && account.gid !== undefined) await chown(signal, account.uid, account.gid)

  const synchronous = replication === 'synchronous' ? { synchronous_standby_names: STANDBY } : {}
  const primary = await begin(primaryDirectory, primaryPort, synchronous)
  const source = `host=127.0.0.1 port=${primaryPort} user=${superuser} password=${password} application_name=${STANDBY}`
  const standby = await begin(standbyDirectory, standbyPort, { primary_conninfo: source })
  const wanted = replication === 'synchronous' ? 'sync' : 'async'
  await eventually(async () => {
    const rows = await ask(urlOf(primaryPort), `SELECT state, sync_state FROM pg_stat_replication`)
    expect(rows).to.deep.equal([{ state: 'streaming', sync_state: wanted }])
  })

  const signalPrimary = async (name: NodeJS.Signals): Promise<void> => {
    // The server's own processes end by themselves once it is gone, some of them before their turn.
    for (const pid of await familyOf(primary.pid)) tell(pid, name)
  }
  return {
    url: urlOf(primaryPort).replace(`:${primaryPort}/`, `:${primaryPort},127.0.0.1:${standbyPort}/`),
    primaryUrl: urlOf(primaryPort),
    standbyUrl: urlOf(standbyPort),
    killPrimary: async () => {
      await signalPrimary('SIGKILL')
      await primary.gone
    },
    freezePrimary: () => signalPrimary('SIGSTOP'),
    standbyHasAll: async () => {
      const [now] = await ask(urlOf(primaryPort), 'SELECT pg_current_wal_flush_lsn()::text AS lsn')
      await eventually(async () => {
        const rows = await ask(urlOf(standbyPort), `SELECT pg_last_wal_receive_lsn() >= '${now?.lsn}' AS received`)
        expect(rows).to.deep.equal([{ received: true }])
      })
    },
    detachStandby: async () => {
      for (const { pid } of await ask(urlOf(primaryPort), 'SELECT pid FROM pg_stat_replication'))
        tell(Number(pid), 'SIGSTOP')
    },
    promoteStandby: async () => {
      const [row] = await ask(urlOf(standbyPort), 'SELECT pg_promote(true, 30) AS promoted')
      expect(row?.promoted).to.equal(true)
    },
    stop: async () => {
      await signalPrimary('SIGCONT')
      await Promise.all([primary.stop(), standby.stop()])
      await rm(directory, { recursive: true, force: true })
    },
  }
}

const tell = (pid: number, name: NodeJS.Signals): void => {
  try {
    process.kill(pid, name)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

/** A server and its own processes, as `ps` has them on every system; itself only when it is gone already. */
const familyOf = async (pid: number): Promise<readonly number[]> => {
  const { stdout } = await promisify(execFile)('ps', ['-eo', 'pid=,ppid='])
  const rows = stdout
    .trim()
    .split('\n')
    .map((line) => line.trim().split(/\s+/).map(Number))
  if (!rows.some(([id]) => id === pid)) return []
  return [pid, ...rows.flatMap(([id, parent]) => (parent === pid && id !== undefined ? [id] : []))]
}

const ask = async (url: string, text: string): Promise<readonly Record<string, unknown>[]> => {
  const client = new pg.Client({ connectionString: url })
  client.on('error', () => {})
  await client.connect()
  try {
    return (await client.query(text)).rows
  } finally {
    await client.end()
  }
}
