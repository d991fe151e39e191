/**
 * Whether agents suffer from others: the same load on the same agents, first alone, then with a dead agent for which a
 * hundred thousand commands wait and an agent that takes nothing off its socket; in turns, in one run.
 */
import { enrolMany, startFleets } from '../../simulate/fleets.ts'
import { waitingCreates } from '../backlog.ts'
import { startInstallation } from '../installation.ts'
import { startLoad } from '../load/start.ts'
import type { Measure } from '../measure.ts'
import { distributionOf } from '../percentiles.ts'
import { createsAt } from '../template.ts'
import { commitsSince } from './commits.ts'
import { doubtsOf } from './doubts.ts'

const AGENTS = 16
const BACKLOG = 100_000
const PER_SECOND = 100
const SECONDS = 30

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

    const measured = async () => {
      await fleets.order({ kind: 'arrivals' })
      const result = await load.run({
        ...installation.plan,
        ...createsAt(PER_SECOND, SECONDS),
      })
      const { arrivals } = await fleets.order({ kind: 'arrivals' })
      const committed = await commitsSince(database, result.beganAtMs)
      // Creates that were placed on the stalled agent are its own.
      const latencies = [...committed].flatMap(([id, at]) => (arrivals?.has(id) ? [(arrivals.get(id) ?? 0) - at] : []))
      return { latencyMs: distributionOf(latencies), result }
    }

    const alone = await measured()
    await waitingCreates(database, Math.round(BACKLOG * bench.scale), `'${dead?.id}'`)
    const rude = await start([stalled ?? { id: '', token: '' }])
    await rude.connected(30_000)
    await rude.order({ kind: 'stall', ids: [stalled?.id ?? ''] })
    // Enough to fill its socket and its window.
    await waitingCreates(database, 5_000, `'${stalled?.id}'`)
    const beside = await measured()
    const moved = (beside.latencyMs.p99 / alone.latencyMs.p99 - 1) * 100
    return {
      lines: [
        { what: 'commit to frame, alone, p99', figure: alone.latencyMs.p99, unit: 'ms', bar: null },
        { what: 'beside a dead and a stalled agent, p99', figure: beside.latencyMs.p99, unit: 'ms', bar: null },
        { what: 'p99 of the others moves by', figure: moved, unit: '%', bar: { atMost: 10 } },
      ],
      details: { alone: alone.latencyMs, beside: beside.latencyMs },
      postgres: database.settings,
      doubts: doubtsOf(installation, [alone.result, beside.result]),
    }
  },
}
