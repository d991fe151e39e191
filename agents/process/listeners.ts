/** Who listens on a TCP port of this machine, and where a session listens. */
import { execFile } from 'node:child_process'
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { promisify } from 'node:util'
import { hasProc } from './process-table.ts'

const run = promisify(execFile)

/**
 * `unknown`: of the session's user, and some of the session's processes do not show what they hold (programs
 * that must not be looked into, as the system sees them).
 */
export type Listener = {
  readonly address: string
  readonly port: number
  readonly owner: 'session' | 'other' | 'unknown'
}

/** Everything that listens; `pids` are the session's processes. */
export const listeners = (pids: readonly number[], uid: number): Promise<readonly Listener[]> =>
  hasProc ? Promise.resolve(listenersFromProc(pids, uid)) : listenersFromLsof(pids)

const wildcards = ['0.0.0.0', '::', '*']

/** Of all that listen on the port those whom a connection to `host` reaches: an exact address comes before a wildcard. */
export const reachedBy = (all: readonly Listener[], host: string, port: number): readonly Listener[] => {
  const addresses = host === 'localhost' ? ['127.0.0.1', '::1'] : [host]
  const exact = all.filter((one) => one.port === port && addresses.includes(one.address))
  return exact.length > 0 ? exact : all.filter((one) => one.port === port && wildcards.includes(one.address))
}

type Socket = {
  readonly address: string
  readonly port: number
  readonly state: string
  readonly inode: string
  readonly uid: number
}

const LISTEN = '0A'
const ESTABLISHED = '01'

const sockets = (): readonly Socket[] =>
  ['/proc/net/tcp', '/proc/net/tcp6'].flatMap((path) => {
    let text = ''
    try {
      text = readFileSync(path, 'utf8')
    } catch {
      // A machine without IPv6.
    }
    return text
      .split('\n')
      .slice(1)
      .flatMap((line) => socketOf(line) ?? [])
  })

/** proc_net_tcp(5): `sl local_address rem_address st … inode`, addresses as hexadecimal words in host order. */
export const socketOf = (line: string): Socket | null => {
  const fields = line.trim().split(/\s+/)
  const [hexAddress = '', hexPort = ''] = fields[1]?.split(':') ?? []
  const inode = fields[9]
  if (inode === undefined || hexPort === '') return null
  return {
    address: addressOf(hexAddress),
    port: Number.parseInt(hexPort, 16),
    state: fields[3] ?? '',
    uid: Number(fields[7]),
    inode,
  }
}

const addressOf = (hex: string): string => {
  const bytes = (hex.match(/.{8}/g) ?? []).flatMap((word) => {
    const value = Number.parseInt(word, 16)
    // Words are in the order of the machine; every machine that Node runs Linux sessions on is little-endian but s390x.
    return [value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, value >>> 24]
  })
  if (bytes.length === 4) return bytes.join('.')
  const mapped = bytes.slice(0, 10).every((byte) => byte === 0) && bytes[10] === 0xff && bytes[11] === 0xff
  if (mapped) return bytes.slice(12).join('.')
  if (bytes.every((byte) => byte === 0)) return '::'
  if (bytes.slice(0, 15).every((byte) => byte === 0) && bytes[15] === 1) return '::1'
  return Array.from({ length: 8 }, (_, i) => (((bytes[2 * i] ?? 0) << 8) | (bytes[2 * i + 1] ?? 0)).toString(16)).join(
    ':',
  )
}

/** null: the process does not show what it holds. */
const inodesOf = (pid: number): readonly string[] | null => {
  try {
    return readdirSync(`/proc/${pid}/fd`).flatMap((fd) => inodeOf(`/proc/${pid}/fd/${fd}`) ?? [])
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EACCES' ? null : []
  }
}

const inodeOf = (link: string): string | null => {
  try {
    return /^socket:\[(\d+)\]$/.exec(readlinkSync(link))?.[1] ?? null
  } catch {
    return null
  }
}

const listenersFromProc = (pids: readonly number[], uid: number): readonly Listener[] => {
  const shown = pids.map(inodesOf)
  const held = new Set(shown.flatMap((inodes) => inodes ?? []))
  const someHide = shown.includes(null)
  return sockets()
    .filter(({ state }) => state === LISTEN)
    .map((socket) => ({
      address: socket.address,
      port: socket.port,
      owner: held.has(socket.inode) ? 'session' : someHide && socket.uid === uid ? 'unknown' : 'other',
    }))
}

const lsof = async (...state: readonly string[]): Promise<string> => {
  const answer = await run('lsof', ['-nP', '-iTCP', ...state, '-Fpn'], {
    env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
    maxBuffer: 64 * 1024 * 1024,
  }).catch((error: { stdout?: string }) => ({ stdout: error.stdout ?? '' }))
  return answer.stdout
}

const listenersFromLsof = async (pids: readonly number[]): Promise<readonly Listener[]> =>
  listenersOfLsof(await lsof('-sTCP:LISTEN'), pids)

/** lsof -F: a line `p<pid>` for a process, then `n<address>:<port>` for each of its sockets. */
export const listenersOfLsof = (text: string, pids: readonly number[]): readonly Listener[] => {
  const found: Listener[] = []
  let pid = 0
  for (const line of text.split('\n')) {
    if (line.startsWith('p')) pid = Number(line.slice(1))
    const [, address = '', port = ''] = /^n(.*):(\d+)$/.exec(line) ?? []
    if (port === '') continue
    const bare = address.replaceAll(/[[\]]/g, '')
    found.push({ address: bare, port: Number(port), owner: pids.includes(pid) ? 'session' : 'other' })
  }
  return found
}

/** Ports of this machine that somebody is connected to at this moment. */
export const connectedPorts = async (): Promise<ReadonlySet<number>> =>
  hasProc
    ? new Set(sockets().flatMap(({ state, port }) => (state === ESTABLISHED ? [port] : [])))
    : new Set([...(await lsof('-sTCP:ESTABLISHED')).matchAll(/^n.*?:(\d+)->/gm)].map(([, port]) => Number(port)))
