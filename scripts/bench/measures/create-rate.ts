/**
 * The most creates a second over HTTP, beside the raw floor of the same run: the product's very statement through
 * bare `pg` at 8 clients. Floor and product take turns, as a shared machine is not equally fast all the time, and
 * the medians are compared. The floor works in a database of its own, so that no agent is sent what it commits;
 * meanwhile the server and its agents stand idle.
 */
import { fileURLToPath } from 'node:url'
import type { Bench } from '../bench.ts'
import { type CpuTimes, cpuNote, cpuPer, cpuTimes, medianCpu } from '../cpu-time.ts'
import type { FloorAnswer, FloorRun, FloorStart } from '../floor/create-floor.ts'
import { type Installation, partsOf, profiling, startInstallation } from '../installation.ts'
import type { LoadResult } from '../load/plan.ts'
import { type Load, startLoad } from '../load/start.ts'
import type { Measure } from '../measure.ts'
import { distributionOf, median } from '../percentiles.ts'
import { startProgram } from '../program.ts'
import { CREATE } from '../template.ts'
import { doubtsOf } from './doubts.ts'

const FLOOR_CLIENTS = 8
const CONNECTIONS = [8, 16, 32]
const ROUNDS = 4

/** `orgs`: so many, each with a quota in every scope that it never reaches, and each create with an Idempotency-Key. 0: one, without. */
const createRate = (name: string, agents: number, orgs = 0): Measure => ({
  name,
  about: `the most creates a second over HTTP with ${inWords(agents, orgs)}, beside the raw floor`,
  ...(orgs === 0 ? {} : { groups: ['quotas'] }),
  run: async (bench) => {
    const installation = await startInstallation(bench, { agents, ...(orgs === 0 ? {} : { shared: true }) })
    const tokens = await makeOrgs(installation, orgs)
    const floor = await startFloor(bench, installation, agents)
    const load = await startLoad(bench)
    const results: LoadResult[] = []
    const parts = partsOf(installation, load)
    const product = async (connections: number, seconds: number, warmUpSeconds: number) => {
      const [cpuBefore, createdBefore] = [cpuTimes(parts), await installation.created()]
      const result = await creates(installation, load, { tokens, keyed: orgs > 0 }, connections, seconds, warmUpSeconds)
      results.push(result)
      const backlogMs = await installation.delivered()
      const cpuMs = cpuPer(cpuBefore, cpuTimes(parts), (await installation.created()) - createdBefore)
      return { perSecond: result.latenciesMs.length / result.seconds, result, backlogMs, cpuMs }
    }

    await product(16, 1, 6)
    await floor(2)
    const tried: { connections: number; perSecond: number }[] = []
    for (const connections of CONNECTIONS)
      tried.push({ connections, perSecond: (await product(connections, 5, 1)).perSecond })
    const best = tried.toSorted((a, b) => b.perSecond - a.perSecond)[0]?.connections ?? 16

    const rounds = []
    for (let round = 1; round <= ROUNDS; round += 1) {
      const raw = await floor(5)
      const { result, ...figures } = await product(best, 8, 1)
      rounds.push({ raw, ...figures, latencyMs: distributionOf(result.latenciesMs) })
    }
    const floorPerSecond = median(rounds.map(({ raw }) => raw.perSecond))
    const perSecond = median(rounds.map((round) => round.perSecond))
    const backlogMs = median(rounds.map((round) => round.backlogMs))
    const of = inWords(agents, orgs)
    return {
      lines: [
        {
          what: `raw floor, ${of}, ${FLOOR_CLIENTS} clients of bare pg`,
          figure: floorPerSecond,
          unit: '/s',
          bar: null,
          note: cpuNote(medianCpu(rounds.map(({ raw }) => raw.cpuMs))),
        },
        {
          what: `creates over HTTP, ${of}, ${best} connections`,
          figure: perSecond,
          unit: '/s',
          bar: null,
          note: `all delivered ${(backlogMs / 1_000).toFixed(1)} s after the end`,
        },
        {
          what: `creates over HTTP, ${of}, of the floor`,
          figure: (perSecond / floorPerSecond) * 100,
          unit: '%',
          // With one agent there is no bar: both ends wait for the one row that counts its capacity.
          bar: agents === 8 ? { atLeast: 40 } : null,
          note: cpuNote(medianCpu(rounds.map(({ cpuMs }) => cpuMs))),
        },
      ],
      details: { tried, connections: best, rounds },
      postgres: installation.database.settings,
      doubts: doubtsOf(installation, results),
    }
  },
})

const inWords = (agents: number, orgs: number): string =>
  `${agents} agent${agents === 1 ? '' : 's'}${orgs === 0 ? '' : `, quotas in ${orgs} org${orgs === 1 ? '' : 's'}, keys`}`

const FAR_AWAY = { maxSessions: 1e9, maxRunning: 1e9, cpuMillis: 1e12, memoryMib: 1e12 }
const QUOTA = { ...FAR_AWAY, perUser: FAR_AWAY, perTemplate: { [CREATE.template]: FAR_AWAY } }

/** A key for each. */
const makeOrgs = async ({ call, key }: Installation, orgs: number): Promise<readonly string[]> => {
  const keys: string[] = []
  for (let number = 1; number <= orgs; number += 1) {
    const orgId = `bench-org-${number}`
    await call('POST', '/orgs', { id: orgId })
    await call('PUT', `/orgs/${orgId}/quota`, QUOTA)
    const made = (await call('POST', '/api-keys', { role: 'user', userId: 'bench', orgId })) as { key: string }
    keys.push(made.key)
  }
  return orgs === 0 ? [key] : keys
}

/** From the create to the end of its delivery. */
const creates = (
  installation: Installation,
  load: Load,
  as: { readonly tokens: readonly string[]; readonly keyed: boolean },
  connections: number,
  seconds: number,
  warmUpSeconds: number,
): Promise<LoadResult> =>
  load.run({
    ...installation.plan,
    ...as,
    method: 'POST',
    paths: ['/api/v1/sessions'],
    body: JSON.stringify(CREATE),
    expect: 201,
    connections,
    pace: { kind: 'closed' },
    warmUpSeconds,
    seconds,
  })

const FLOOR = fileURLToPath(new URL('../floor/create-floor.ts', import.meta.url))

type FloorRound = { readonly perSecond: number; readonly cpuMs: CpuTimes }

/** Answers a function that runs the floor for so many seconds. */
const startFloor = async (bench: Bench, { database }: Installation, agents: number) => {
  const program = await startProgram(bench, {
    what: 'the raw floor',
    command: process.execPath,
    args: [FLOOR],
    env: profiling(bench, 'floor'),
    channel: true,
  })
  const url = await database.another('floor')
  await program.ask({ kind: 'start', url, agents, clients: FLOOR_CLIENTS } satisfies FloorStart)
  const parts = { 'bare pg': [program.pid], PostgreSQL: [database.pid] }
  return async (seconds: number): Promise<FloorRound> => {
    const run: FloorRun = { kind: 'run', seconds: seconds * bench.scale }
    const before = cpuTimes(parts)
    const { committed, seconds: took } = (await program.ask(run)) as FloorAnswer
    return { perSecond: committed / took, cpuMs: cpuPer(before, cpuTimes(parts), committed) }
  }
}

export const createRateOfEight = createRate('create-rate', 8)
export const createRateOfOne = createRate('create-rate-one-agent', 1)
export const createRateOfOneOrg = createRate('create-rate-quota', 8, 1)
export const createRateOfEightOrgs = createRate('create-rate-quotas', 8, 8)
