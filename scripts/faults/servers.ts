/** The replicas of a run: real `streamspace server` processes, each behind a proxy for its clients. */
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { listeningUrl } from '../bench/program.ts'
import { type Intervals, serverEnvironment } from './intervals.ts'
import type { Processes, Running } from './processes.ts'
import { type FaultyProxy, startProxy } from './proxy.ts'

export const ROOT = fileURLToPath(new URL('../..', import.meta.url))

export type Replica = {
  readonly name: string
  /** Listens and is not standing still, as far as the harness has done to it. */
  readonly isUp: () => boolean
  readonly port: () => number | null
  readonly proxy: FaultyProxy
  /** Resolves when it listens. */
  readonly start: () => Promise<void>
  readonly signal: (signal: 'SIGKILL' | 'SIGTERM' | 'SIGSTOP' | 'SIGCONT') => void
  readonly gone: () => Promise<void>
  /** What it wrote before it ended by itself, which no fault made it do; once. */
  readonly ended: () => string | null
  readonly output: () => readonly string[]
}

export type ReplicaSettings = {
  readonly name: string
  readonly directory: string
  readonly databaseUrl: string
  readonly key: string
  readonly intervals: Intervals
}

const START_WITHIN_MS = 60_000

export const createReplica = async (processes: Processes, settings: ReplicaSettings): Promise<Replica> => {
  let running: Running | null = null
  let port: number | null = null
  let stands = false
  let told = false
  let ended: string | null = null
  const proxy = await startProxy({ target: () => port })

  const start = async (): Promise<void> => {
    const started = processes.start({
      command: join(ROOT, 'scripts/streamspace'),
      args: ['server'],
      env: {
        DATABASE_URL: settings.databaseUrl,
        HOST: '127.0.0.1',
        PORT: '0',
        LOG_LEVEL: 'error',
        STREAMSPACE_DATA_DIR: join(settings.directory, settings.name),
        STREAMSPACE_SECRET_KEY: 'the same for all replicas of a run',
        STREAMSPACE_ADMIN_KEY: settings.key,
        ...serverEnvironment(settings.intervals),
      },
    })
    running = started
    stands = false
    told = false
    const listening = new Promise<number>((resolve) => {
      started.onLine((line) => {
        const url = line.includes('"listening"') ? listeningUrl(line) : null
        if (url !== null) resolve(Number(new URL(url).port))
      })
    })
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<null>((resolve) => {
      timer = setTimeout(() => resolve(null), START_WITHIN_MS)
    })
    const heard = await Promise.race([listening, started.gone.then(() => null), late])
    clearTimeout(timer)
    if (running !== started) return
    if (heard === null) throw new Error(`${settings.name} did not listen:\n${started.output().join('\n')}`)
    port = heard
    void started.gone.then(() => {
      if (running !== started) return
      port = null
      if (!told) ended = started.output().join('\n')
    })
  }

  return {
    name: settings.name,
    isUp: () => port !== null && !stands,
    port: () => port,
    proxy,
    start,
    signal: (signal) => {
      stands = signal === 'SIGSTOP'
      if (signal === 'SIGKILL' || signal === 'SIGTERM') told = true
      if (signal === 'SIGKILL') port = null
      running?.child.kill(signal)
    },
    gone: async () => running?.gone,
    ended: () => {
      const text = ended
      ended = null
      return text
    },
    output: () => running?.output() ?? [],
  }
}
