/** What `streamspace server` holds in memory when nothing is asked of it. */
import { setTimeout as wait } from 'node:timers/promises'
import { startInstallation } from '../installation.ts'
import type { Measure } from '../measure.ts'
import { residentMib } from '../processes.ts'
import { doubtsOf } from './doubts.ts'

const SECONDS = 30

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
