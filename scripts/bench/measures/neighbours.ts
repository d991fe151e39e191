/**
 * Whether agents suffer from others: the same load on the same agents, first alone, then with a dead agent for which a
 * hundred thousand commands wait and an agent that takes nothing off its socket; in one run. Each in several windows, of whose
 * percentiles the median counts: of one window the 99th is what the machine did in its worst moments. Before each of the
 * two PostgreSQL writes out what it has, so that neither pays for how the backlog was made.
 */
import { enrolMany, startFleets } from '../../simulate/fleets.ts'
import { waitingCreates } from '../backlog.ts'
import { startInstallation } from '../installation.ts'
import { startLoad } from '../load/start.ts'
import type { Measure } from '../measure.ts'
import { distributionOf, median } from '../percentiles.ts'
import { createsAt } from '../template.ts'
import { commitsSince } from './commits.ts'
import { doubtsOf } from './doubts.ts'

const AGENTS = 16
const BACKLOG = 100_000
const PER_SECOND = 100
const WINDOWS = 9
const SECONDS = 10
const WARM_UP_SECONDS = 2

export const neighbours: Measure = {
  name: 'neighbours',
  about: `commit to frame at ${PER_SECOND}/s, before and while ${BACKLOG} commands wait for a dead agent and a socket is stalled`,
  run: async (bench) => {
    const installation = await startInstallation(bench, {
      agents: 0,
      postgres: { track_commit_timestamp: 'on' },
      // The stalled one stays for the whole run: it is not to be cured by being thrown out.
      serverEnv: { STREAMSPACE_HEARTBEAT_INTERVAL_MS: '60000' },
    })
    const { database } = installation
    const agents = await enrolMany(database, AGENTS)
    const [dead, stalled] = await enrolMany(database, 2, 'neighbour')
    const start = (all: typeof agents) => startFleets(bench, { urls: [installation.url], agents: all, perSecond: 100 })
    const fleets = await start(agents)
    await fleets.connected(30_000)
    const load = await startLoad(bench)

    const oneWindow = async () => {
      await fleets.order({ kind: 'arrivals' })
      const result = await load.run({
        ...installation.plan,
        ...createsAt(PER_SECOND, SECONDS, WARM_UP_SECONDS),
      })
      const { arrivals } = await fleets.order({ kind: 'arrivals' })
      const committed = await commitsSince(database, result.beganAtMs)
      // Creates that were placed on the stalled agent are its own.
      const latencies = [...committed].flatMap(([id, at]) => (arrivals?.has(id) ? [(arrivals.get(id) ?? 0) - at] : []))
      return { latencyMs: distributionOf(latencies), result }
    }
    const measured = async () => {
      await database.query('CHECKPOINT')
      const windows: Awaited<ReturnType<typeof oneWindow>>[] = []
      for (let window = 0; window < WINDOWS; window += 1) windows.push(await oneWindow())
      const of = (percentile: 'p50' | 'p99') => windows.map(({ latencyMs }) => latencyMs[percentile])
      return { p50s: of('p50'), p99s: of('p99'), p99: median(of('p99')), results: windows.map(({ result }) => result) }
    }

    const alone = await measured()
    await waitingCreates(database, Math.round(BACKLOG * bench.scale), `'${dead?.id}'`)
    const rude = await start([stalled ?? { id: '', token: '' }])
    await rude.connected(30_000)
    await rude.order({ kind: 'stall', ids: [stalled?.id ?? ''] })
    // Enough to fill its socket and its window.
    await waitingCreates(database, 5_000, `'${stalled?.id}'`)
    const beside = await measured()
    const moved = (beside.p99 / alone.p99 - 1) * 100
    return {
      lines: [
        { what: 'commit to frame, alone, p99', figure: alone.p99, unit: 'ms', bar: null },
        { what: 'beside a dead and a stalled agent, p99', figure: beside.p99, unit: 'ms', bar: null },
        { what: 'p99 of the others moves by', figure: moved, unit: '%', bar: { atMost: 10 } },
      ],
      details: { alone: { p50: alone.p50s, p99: alone.p99s }, beside: { p50: beside.p50s, p99: beside.p99s } },
      postgres: database.settings,
      doubts: doubtsOf(installation, [...alone.results, ...beside.results]),
    }
  },
}
