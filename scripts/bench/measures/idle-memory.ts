/** What `streamspace server` holds in memory when nothing is asked of it. */
import { execFile } from 'node:child_process'
import { setTimeout as wait } from 'node:timers/promises'
import { promisify } from 'node:util'
import { startInstallation } from '../installation.ts'
import type { Measure } from '../measure.ts'
import { doubtsOf } from './doubts.ts'

const SECONDS = 30

/** Of Linux and macOS alike; ps tells kibibytes. */
const residentMib = async (pid: number): Promise<number> => {
  const { stdout } = await promisify(execFile)('ps', ['-o', 'rss=', '-p', String(pid)])
  return Number(stdout.trim()) / 1_024
}

export const idleMemory: Measure = {
  name: 'idle-memory',
  about: `resident memory of streamspace server after ${SECONDS} s idle, one agent connected`,
  run: async (bench) => {
    const installation = await startInstallation(bench, { agents: 1 })
    await wait(SECONDS * 1_000 * bench.scale)
    const serverMib = await residentMib(installation.server.pid)
    return {
      lines: [{ what: `server, ${SECONDS} s idle, one agent`, figure: serverMib, unit: 'MiB', bar: { atMost: 160 } }],
      details: { serverMib },
      postgres: installation.database.settings,
      doubts: doubtsOf(installation, []),
    }
  },
}
