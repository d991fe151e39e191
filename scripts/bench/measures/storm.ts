/**
 * Ten thousand agents that lose their connection in the same moment, while people go on using the API. Agents run on
 * machines of their own: here their processes have the lowest priority, so that the server's cores are the server's first.
 */
import { constants, setPriority } from 'node:os'
import { setTimeout as wait } from 'node:timers/promises'
import { enrolMany, type Fleets, startFleets } from '../../simulate/fleets.ts'
import type { Bench } from '../bench.ts'
import { type Installation, startInstallation } from '../installation.ts'
import { startLoad } from '../load/start.ts'
import type { Measure } from '../measure.ts'
import { type Distribution, distributionOf } from '../percentiles.ts'
import { CREATE } from '../template.ts'
import { doubtsOf } from './doubts.ts'

const AGENTS = 10_000
const READS_PER_SECOND = 100
/** What people do while agents come back; open loop, so that a request that waits is counted as it waits. */
const SECONDS = 60
const WARM_UP_SECONDS = 3
const BACK_WITHIN_MS = 120_000

export type Storm = {
  readonly backMs: number
  readonly apiMs: Distribution
  readonly refusals: { readonly [how: string]: number }
  readonly failures: { readonly [how: string]: number }
}

export const storm = async (bench: Bench, installation: Installation, fleets: Fleets): Promise<Storm> => {
  for (const pid of fleets.pids) setPriority(pid, constants.priority.PRIORITY_LOW)
  const created = (await installation.call('POST', '/sessions', CREATE)) as { id: string }
  const load = await startLoad(bench)
  const reading = load.run({
    ...installation.plan,
    method: 'GET',
    paths: [`/api/v1/sessions/${created.id}`, '/api/v1/sessions?limit=20', '/api/v1/sessions/summary'],
    body: null,
    expect: 200,
    connections: 32,
    pace: { kind: 'open', perSecond: READS_PER_SECOND },
    warmUpSeconds: WARM_UP_SECONDS,
    // Not scaled with the run: the storm takes as long as it takes.
    seconds: SECONDS / bench.scale,
  })
  await wait((WARM_UP_SECONDS * bench.scale + 1) * 1_000)
  await fleets.order({ kind: 'cut' })
  const { ms: backMs, state } = await fleets.connected(BACK_WITHIN_MS)
  const { latenciesMs, failures } = await reading
  return { backMs, apiMs: distributionOf(latenciesMs), refusals: state.refusals, failures }
}

export const stormOfAgents: Measure = {
  name: 'storm',
  about: `${AGENTS} agents lose their connection at once: when all are back, and what the API's users feel`,
  run: async (bench) => {
    const installation = await startInstallation(bench, { agents: 0 })
    const agents = await enrolMany(installation.database, Math.round(AGENTS * bench.scale))
    const fleets = await startFleets(bench, { urls: [installation.url], agents, perSecond: 500 })
    await fleets.connected(BACK_WITHIN_MS)
    const { backMs, apiMs, refusals, failures } = await storm(bench, installation, fleets)
    return {
      lines: [
        {
          what: `${agents.length} agents cut at once, all back`,
          figure: backMs / 1_000,
          unit: 's',
          bar: { atMost: 60 },
        },
        { what: 'requests meanwhile, p99', figure: apiMs.p99, unit: 'ms', bar: { atMost: 250 } },
      ],
      details: { apiMs, refusals },
      postgres: installation.database.settings,
      doubts: [
        ...doubtsOf(installation, []),
        ...Object.entries(failures).map(([how, count]) => `${count} requests were answered with: ${how}`),
      ],
    }
  },
}
