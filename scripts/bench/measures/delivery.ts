/**
 * From the commit of a create to its command frame at the agent.
 *
 * The beginning is PostgreSQL's own commit timestamp (`track_commit_timestamp`, on for this measure alone): the
 * transaction's id is in the session's first event. PostgreSQL takes it just before it flushes the commit to the
 * disk, so the wait for the disk is in the figure, and nothing of any client. The end is noted by the agent's
 * runtime as soon as the frame is decoded. Both are this machine's wall clock.
 */
import { readFile, stat } from 'node:fs/promises'
import { type Installation, startInstallation } from '../installation.ts'
import { startLoad } from '../load/start.ts'
import type { Bar, Measure } from '../measure.ts'
import { distributionOf } from '../percentiles.ts'
import { until } from '../program.ts'
import { createsAt } from '../template.ts'
import { commitsSince } from './commits.ts'
import { doubtsOf } from './doubts.ts'

const PER_SECOND = 200
const SECONDS = 30

const delivery = (how: {
  readonly name: string
  readonly through: string
  readonly serverEnv: { readonly [name: string]: string }
  readonly p50: Bar | null
  readonly p99: Bar
}): Measure => ({
  name: how.name,
  about: `from commit to the command frame at the agent, at ${PER_SECOND}/s over 8 agents, ${how.through}`,
  run: async (bench) => {
    const installation = await startInstallation(bench, {
      agents: 8,
      serverEnv: how.serverEnv,
      postgres: { track_commit_timestamp: 'on' },
    })
    const load = await startLoad(bench)
    const result = await load.run({
      ...installation.plan,
      ...createsAt(PER_SECOND, SECONDS),
    })
    await installation.delivered()
    const arrived = await arrivalsOf(installation)
    const committed = await commitsSince(installation.database, result.beganAtMs)
    const latencies = [...committed].flatMap(([sessionId, commitMs]) => {
      const at = arrived.get(sessionId)
      return at === undefined ? [] : [at - commitMs]
    })
    const latencyMs = distributionOf(latencies)
    const lost = committed.size - latencies.length
    const what = `commit to frame at ${PER_SECOND}/s, ${how.through}`
    return {
      lines: [
        { what: `${what}, p50`, figure: latencyMs.p50, unit: 'ms', bar: how.p50 },
        { what: `${what}, p99`, figure: latencyMs.p99, unit: 'ms', bar: how.p99 },
      ],
      details: { latencyMs, commands: committed.size, lost },
      postgres: installation.database.settings,
      doubts: [
        ...doubtsOf(installation, [result]),
        ...(lost === 0 ? [] : [`${lost} commands of ${committed.size} never arrived`]),
        ...(latencyMs.min >= 0
          ? []
          : [`a frame arrived ${-latencyMs.min} ms before its commit: the clock was changed`]),
      ],
    }
  },
})

/** When the first frame of each session's first generation arrived, in milliseconds since 1970. */
const arrivalsOf = async ({ agents }: Installation): Promise<ReadonlyMap<string, number>> => {
  for (const { program } of agents) program.signal('SIGUSR2')
  const arrived = new Map<string, number>()
  for (const { arrivals } of agents) {
    await until(`what ${arrivals} should have`, 10_000, () =>
      stat(arrivals).then(
        () => true,
        () => false,
      ),
    )
    for (const line of (await readFile(arrivals, 'utf8')).split('\n')) {
      if (line === '') continue
      const { sessionId, generation, receivedAtMs } = JSON.parse(line)
      if (generation === 1 && !arrived.has(sessionId)) arrived.set(sessionId, receivedAtMs)
    }
  }
  return arrived
}

export const deliveryByNudge = delivery({
  name: 'delivery',
  through: 'nudge on',
  serverEnv: {},
  p50: { atMost: 5 },
  p99: { atMost: 50 },
})

export const deliveryByJobs = delivery({
  name: 'delivery-jobs',
  through: 'pg-boss alone',
  serverEnv: { STREAMSPACE_NUDGE: 'off' },
  p50: null,
  p99: { atMost: 100 },
})
