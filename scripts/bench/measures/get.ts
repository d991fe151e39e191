/** `GET /sessions/{id}`: the most a second, the latency at half of what is asked for, and the floor beside it. */
import { fileURLToPath } from 'node:url'
import type { Bench } from '../bench.ts'
import { type Installation, profiling, startInstallation } from '../installation.ts'
import type { LoadPlan, LoadResult } from '../load/plan.ts'
import { type Load, startLoad } from '../load/start.ts'
import type { Measure } from '../measure.ts'
import { distributionOf, median } from '../percentiles.ts'
import { listeningUrl, startProgram } from '../program.ts'
import { CREATE } from '../template.ts'
import { doubtsOf } from './doubts.ts'

const CONNECTIONS = 16
const ASKED_PER_SECOND = 4_000
const ROUNDS = 4

export const getSession: Measure = {
  name: 'get',
  about: `GET /sessions/{id} at ${CONNECTIONS} connections, and at ${ASKED_PER_SECOND / 2}/s`,
  run: async (bench) => {
    const installation = await startInstallation(bench, { agents: 8 })
    const load = await startLoad(bench)
    const paths = await someSessions(installation, load)
    const floorUrl = await startFloor(bench, installation)
    const get = {
      ...installation.plan,
      method: 'GET',
      paths,
      body: null,
      expect: 200,
      connections: CONNECTIONS,
    } as const
    const results: LoadResult[] = []
    const closed = async (plan: Partial<LoadPlan>, seconds: number): Promise<number> => {
      const pace = { kind: 'closed' } as const
      const result = await load.run({ ...get, ...plan, pace, warmUpSeconds: 2, seconds })
      results.push(result)
      return result.latenciesMs.length / result.seconds
    }

    const rounds = []
    for (let round = 1; round <= ROUNDS; round += 1) {
      const floorPerSecond = await closed({ url: floorUrl }, 4)
      rounds.push({ floorPerSecond, perSecond: await closed({}, 6) })
    }
    const pace = { kind: 'open', perSecond: ASKED_PER_SECOND / 2 } as const
    const steady = await load.run({ ...get, pace, warmUpSeconds: 3, seconds: 15 })
    results.push(steady)
    const latencyMs = distributionOf(steady.latenciesMs)
    const perSecond = median(rounds.map((round) => round.perSecond))
    const floorPerSecond = median(rounds.map((round) => round.floorPerSecond))
    return {
      lines: [
        { what: 'get, bare Express and the same query', figure: floorPerSecond, unit: '/s', bar: null },
        { what: `get, ${CONNECTIONS} connections`, figure: perSecond, unit: '/s', bar: { atLeast: ASKED_PER_SECOND } },
        { what: 'get, of bare Express', figure: (perSecond / floorPerSecond) * 100, unit: '%', bar: null },
        {
          what: `get at ${ASKED_PER_SECOND / 2}/s, from the planned time, p50`,
          figure: latencyMs.p50,
          unit: 'ms',
          bar: null,
        },
        {
          what: `get at ${ASKED_PER_SECOND / 2}/s, from the planned time, p99`,
          figure: latencyMs.p99,
          unit: 'ms',
          bar: { atMost: 10 },
        },
      ],
      details: { sessions: paths.length, rounds, latencyMs },
      postgres: installation.database.settings,
      doubts: doubtsOf(installation, results),
    }
  },
}

/** Running sessions, made as anyone makes them. */
const someSessions = async (installation: Installation, load: Load): Promise<readonly string[]> => {
  await load.run({
    ...installation.plan,
    method: 'POST',
    paths: ['/api/v1/sessions'],
    body: JSON.stringify(CREATE),
    expect: 201,
    connections: 16,
    pace: { kind: 'closed' },
    warmUpSeconds: 0,
    seconds: 10,
  })
  await installation.delivered()
  const rows = await installation.database.query(`SELECT id FROM sessions WHERE status = 'running'`)
  await installation.database.query('VACUUM ANALYZE')
  return rows.map(({ id }) => `/api/v1/sessions/${id}`)
}

const FLOOR = fileURLToPath(new URL('../floor/get-floor.ts', import.meta.url))

const startFloor = async (bench: Bench, { database }: Installation): Promise<string> => {
  const program = await startProgram(bench, {
    what: 'the floor of GET',
    command: process.execPath,
    args: [FLOOR],
    env: { DATABASE_URL: database.url, ...profiling(bench, 'get-floor') },
  })
  return program.line(listeningUrl, 15_000)
}
