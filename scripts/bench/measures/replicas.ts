/**
 * From the commit on one replica to the frame at an agent whose socket another replica holds: three replicas, creates
 * at the first, agents on the two others. Times as in `delivery.ts`. Before it counts it runs for as long as three servers on
 * two cores need until V8 has compiled them.
 */
import { enrolMany, startFleets } from '../../simulate/fleets.ts'
import { startInstallation, startReplica } from '../installation.ts'
import { startLoad } from '../load/start.ts'
import type { Line, Measure } from '../measure.ts'
import { createsAt } from '../template.ts'
import { commitsSince, commitToAgent } from './commits.ts'
import { doubtsOf } from './doubts.ts'

const AGENTS = 32
const SECONDS = 20
const WARM_UP_SECONDS = 15
const RATES = [
  { perSecond: 500, p50: 15, p99: 50 },
  { perSecond: 1_000, p50: null, p99: 150 },
] as const

export const acrossReplicas: Measure = {
  name: 'replicas',
  about: `from commit to frame, three replicas, the request on another than the agent's, at 500/s and 1000/s`,
  run: async (bench) => {
    const installation = await startInstallation(bench, { agents: 0, postgres: { track_commit_timestamp: 'on' } })
    const { database, key } = installation
    const others = [
      await startReplica(bench, database, key, {}, 'server-2'),
      await startReplica(bench, database, key, {}, 'server-3'),
    ]
    const agents = await enrolMany(database, AGENTS)
    const fleets = await startFleets(bench, { urls: others.map(({ url }) => url), agents, perSecond: 100 })
    await fleets.connected(30_000)
    const load = await startLoad(bench)
    const lines: Line[] = []
    const details: Record<string, unknown> = {}
    const doubts: string[] = []
    for (const { perSecond, p50, p99 } of RATES) {
      const result = await load.run({
        ...installation.plan,
        ...createsAt(perSecond, SECONDS, WARM_UP_SECONDS),
      })
      await installation.delivered()
      const { arrivals } = await fleets.order({ kind: 'arrivals' })
      const { latencyMs, lost, commands } = commitToAgent(
        await commitsSince(database, result.beganAtMs),
        arrivals ?? new Map(),
      )
      const what = `commit to frame on another replica at ${perSecond}/s`
      lines.push({
        what: `${what}, p50`,
        figure: latencyMs.p50,
        unit: 'ms',
        bar: p50 === null ? null : { atMost: p50 },
      })
      lines.push({ what: `${what}, p99`, figure: latencyMs.p99, unit: 'ms', bar: { atMost: p99 } })
      details[perSecond] = { latencyMs, commands, lost, succeeded: result.succeeded }
      doubts.push(...doubtsOf(installation, [result]))
      if (lost > 0) doubts.push(`${lost} commands of ${commands} never arrived at ${perSecond}/s`)
    }
    return { lines, details, postgres: database.settings, doubts }
  },
}
