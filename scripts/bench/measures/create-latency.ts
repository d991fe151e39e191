/** `POST /sessions` at a fixed rate: how long an answer takes, counted from when the request was due. */
import { startInstallation } from '../installation.ts'
import { startLoad } from '../load/start.ts'
import type { Measure } from '../measure.ts'
import { distributionOf } from '../percentiles.ts'
import { createsAt } from '../template.ts'
import { doubtsOf } from './doubts.ts'

const PER_SECOND = 200
const SECONDS = 30

export const createLatency: Measure = {
  name: 'create-latency',
  about: `POST /sessions, open loop at ${PER_SECOND}/s for ${SECONDS} s over 8 agents`,
  run: async (bench) => {
    const installation = await startInstallation(bench, { agents: 8 })
    const load = await startLoad(bench)
    const result = await load.run({
      ...installation.plan,
      ...createsAt(PER_SECOND, SECONDS),
    })
    const latencyMs = distributionOf(result.latenciesMs)
    const what = `create at ${PER_SECOND}/s, from the planned time`
    return {
      lines: [
        { what: `${what}, p50`, figure: latencyMs.p50, unit: 'ms', bar: null },
        { what: `${what}, p95`, figure: latencyMs.p95, unit: 'ms', bar: null },
        { what: `${what}, p99`, figure: latencyMs.p99, unit: 'ms', bar: { atMost: 30 } },
      ],
      details: { latencyMs, succeeded: result.succeeded, failures: result.failures },
      postgres: installation.database.settings,
      doubts: doubtsOf(installation, [result]),
    }
  },
}
