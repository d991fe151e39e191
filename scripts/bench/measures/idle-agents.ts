/** What ten thousand connected agents cost a server when nothing is asked of them. */
import { setTimeout as wait } from 'node:timers/promises'
import { enrolMany, startFleets } from '../../simulate/fleets.ts'
import { cpuTimes } from '../cpu-time.ts'
import { startInstallation } from '../installation.ts'
import type { Measure } from '../measure.ts'
import { distributionOf } from '../percentiles.ts'
import { residentMib } from '../processes.ts'
import { doubtsOf } from './doubts.ts'

const AGENTS = 10_000
const SECONDS = 60
const CONNECT_WITHIN_MS = 180_000

export const idleAgents: Measure = {
  name: 'idle-agents',
  about: `${AGENTS} idle connected agents: memory of the server for each, and what their heartbeats (every 10 s) cost`,
  run: async (bench) => {
    const count = Math.round(AGENTS * bench.scale)
    const installation = await startInstallation(bench, { agents: 0 })
    const { database, server } = installation
    const agents = await enrolMany(database, count)
    // One comes first, so that what is loaded and compiled for the first of them is none of theirs.
    await (await startFleets(bench, { urls: [installation.url], agents: agents.slice(0, 1), perSecond: 1 })).connected(
      30_000,
    )
    await wait(5_000)
    const before = await residentMib(server.pid)
    const fleets = await startFleets(bench, { urls: [installation.url], agents: agents.slice(1), perSecond: 300 })
    const { ms, state } = await fleets.connected(CONNECT_WITHIN_MS)
    await wait(15_000)
    const parts = { server: [server.pid], PostgreSQL: [database.pid] }
    const seconds = SECONDS * bench.scale
    const cpuBefore = cpuTimes(parts)
    await wait(seconds * 1_000)
    const cpuAfter = cpuTimes(parts)
    const share = (part: keyof typeof parts): number =>
      ((cpuAfter?.[part] ?? Number.NaN) - (cpuBefore?.[part] ?? Number.NaN)) / (seconds * 10)
    const after = await residentMib(server.pid)
    const { connected } = await fleets.order({ kind: 'tell' })
    return {
      lines: [
        {
          what: `memory of the server, each of ${count} agents`,
          figure: ((after - before) * 1_024) / (count - 1),
          unit: 'KiB',
          bar: { atMost: 40 },
        },
        { what: `heartbeats of ${count} agents, of one core`, figure: share('server'), unit: '%', bar: { atMost: 15 } },
        { what: `the same, PostgreSQL's part`, figure: share('PostgreSQL'), unit: '%', bar: null },
      ],
      details: {
        before,
        after,
        connectedAfterMs: ms,
        connectMs: distributionOf(state.connectMs),
        refusals: state.refusals,
      },
      postgres: database.settings,
      doubts: [
        ...doubtsOf(installation, []),
        ...(connected === count - 1 ? [] : [`${connected} of ${count - 1} were connected at the end`]),
      ],
    }
  },
}
