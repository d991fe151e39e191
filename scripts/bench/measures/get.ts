/** `GET /sessions/{id}`: the most a second, the latency at half of what is asked for, and the floor beside it. */
import { fileURLToPath } from 'node:url'
import type { Bench } from '../bench.ts'
import { cpuNote, cpuPer, cpuTimes, medianCpu, type Parts } from '../cpu-time.ts'
import { type Installation, partsOf, profiling, startInstallation } from '../installation.ts'
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
    const express = await startFloor(bench, installation)
    const parts = partsOf(installation, load)
    const get = {
      ...installation.plan,
      method: 'GET',
      paths,
      body: null,
      expect: 200,
      connections: CONNECTIONS,
    } as const
    const results: LoadResult[] = []
    const closed = async (plan: Partial<LoadPlan>, parts: Parts, seconds: number) => {
      const pace = { kind: 'closed' } as const
      await load.run({ ...get, ...plan, pace, warmUpSeconds: 0, seconds: 2 })
      const before = cpuTimes(parts)
      const result = await load.run({ ...get, ...plan, pace, warmUpSeconds: 0, seconds })
      results.push(result)
      const answers = result.latenciesMs.length
      return { perSecond: answers / result.seconds, cpuMs: cpuPer(before, cpuTimes(parts), answers) }
    }

    type Rate = Awaited<ReturnType<typeof closed>>
    const rounds: { readonly floor: Rate; readonly product: Rate }[] = []
    for (let round = 1; round <= ROUNDS; round += 1) {
      const floor = await closed({ url: express.url }, { ...parts, server: [], Express: [express.pid] }, 4)
      rounds.push({ floor, product: await closed({}, parts, 6) })
    }
    const steady = async (url: string) => {
      const pace = { kind: 'open', perSecond: ASKED_PER_SECOND / 2 } as const
      const result = await load.run({ ...get, url, pace, warmUpSeconds: 3, seconds: 15 })
      results.push(result)
      return distributionOf(result.latenciesMs)
    }
    const floorLatencyMs = await steady(express.url)
    const latencyMs = await steady(get.url)
    const perSecond = median(rounds.map(({ product }) => product.perSecond))
    const floorPerSecond = median(rounds.map(({ floor }) => floor.perSecond))
    const cpuOf = (which: 'floor' | 'product') => cpuNote(medianCpu(rounds.map((round) => round[which].cpuMs)))
    return {
      lines: [
        {
          what: 'get, bare Express and the same query',
          figure: floorPerSecond,
          unit: '/s',
          bar: null,
          note: cpuOf('floor'),
        },
        {
          what: `get, ${CONNECTIONS} connections`,
          figure: perSecond,
          unit: '/s',
          bar: { atLeast: ASKED_PER_SECOND },
          note: cpuOf('product'),
        },
        { what: 'get, of bare Express', figure: (perSecond / floorPerSecond) * 100, unit: '%', bar: null },
        {
          what: `get at ${ASKED_PER_SECOND / 2}/s, bare Express, p99`,
          figure: floorLatencyMs.p99,
          unit: 'ms',
          bar: null,
        },
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
      details: { sessions: paths.length, rounds, latencyMs, floorLatencyMs },
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

const startFloor = async (bench: Bench, { database }: Installation) => {
  const program = await startProgram(bench, {
    what: 'the floor of GET',
    command: process.execPath,
    args: [FLOOR],
    env: { DATABASE_URL: database.url, ...profiling(bench, 'get-floor') },
  })
  return { pid: program.pid, url: await program.line(listeningUrl, 15_000) }
}
