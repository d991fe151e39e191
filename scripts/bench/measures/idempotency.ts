/** What an Idempotency-Key adds to a create: the same creates without and with one, in turns, as a shared machine is not equally fast all the time. */
import { type CpuTimes, cpuNote, cpuPer, cpuTimes, medianCpu } from '../cpu-time.ts'
import { partsOf, startInstallation } from '../installation.ts'
import type { LoadResult } from '../load/plan.ts'
import { startLoad } from '../load/start.ts'
import type { Measure } from '../measure.ts'
import { distributionOf, median } from '../percentiles.ts'
import { CREATE, createsAt } from '../template.ts'
import { doubtsOf } from './doubts.ts'

const ROUNDS = 6
const CONNECTIONS = 16
const PER_SECOND = 200

export const idempotency: Measure = {
  name: 'idempotency',
  about: `creates with an Idempotency-Key beside creates without one, at ${CONNECTIONS} connections and at ${PER_SECOND}/s`,
  run: async (bench) => {
    const installation = await startInstallation(bench, { agents: 8 })
    const load = await startLoad(bench)
    const results: LoadResult[] = []
    const asked = async (keyed: boolean, plan: object): Promise<LoadResult> => {
      const result = await load.run({ ...installation.plan, ...(plan as ReturnType<typeof createsAt>), keyed })
      results.push(result)
      await installation.delivered()
      return result
    }
    const closed = {
      ...createsAt(1, 6, 1),
      body: JSON.stringify(CREATE),
      connections: CONNECTIONS,
      pace: { kind: 'closed' },
    }
    const parts = partsOf(installation, load)
    const cpuMs: [CpuTimes[], CpuTimes[]] = [[], []]
    const rate = async (keyed: boolean): Promise<number> => {
      const [cpuBefore, createdBefore] = [cpuTimes(parts), await installation.created()]
      const { latenciesMs, seconds } = await asked(keyed, closed)
      cpuMs[Number(keyed)]?.push(cpuPer(cpuBefore, cpuTimes(parts), (await installation.created()) - createdBefore))
      return latenciesMs.length / seconds
    }
    const p50 = async (keyed: boolean): Promise<number> =>
      distributionOf((await asked(keyed, createsAt(PER_SECOND, 5, 1))).latenciesMs).p50

    await rate(false)
    const rounds: { readonly rate: number[]; readonly p50: number[] }[] = []
    for (let round = 1; round <= ROUNDS; round += 1) {
      // Each comes first in every other round.
      const order = round % 2 === 0 ? [true, false] : [false, true]
      const figures = { rate: [0, 0], p50: [0, 0] }
      for (const keyed of order) {
        figures.rate[Number(keyed)] = await rate(keyed)
        figures.p50[Number(keyed)] = await p50(keyed)
      }
      rounds.push(figures)
    }
    const of = (what: 'rate' | 'p50', keyed: 0 | 1): number => median(rounds.map((round) => round[what][keyed] ?? 0))
    const cpu = (keyed: 0 | 1): string => cpuNote(medianCpu(cpuMs[keyed]))
    const added = (without: number, withOne: number): number => (withOne / without - 1) * 100
    return {
      lines: [
        { what: `creates, ${CONNECTIONS} connections`, figure: of('rate', 0), unit: '/s', bar: null, note: cpu(0) },
        { what: 'creates with an Idempotency-Key', figure: of('rate', 1), unit: '/s', bar: null, note: cpu(1) },
        {
          what: 'an Idempotency-Key adds to the time of a create',
          figure: median(rounds.map(({ rate: [without = 0, withOne = 0] }) => added(1 / without, 1 / withOne))),
          unit: '%',
          bar: { atMost: 20 },
        },
        { what: `create at ${PER_SECOND}/s, p50`, figure: of('p50', 0), unit: 'ms', bar: null },
        { what: `create with an Idempotency-Key at ${PER_SECOND}/s, p50`, figure: of('p50', 1), unit: 'ms', bar: null },
        {
          what: `an Idempotency-Key adds to a create at ${PER_SECOND}/s, p50`,
          figure: median(rounds.map(({ p50: [without = 0, withOne = 0] }) => added(without, withOne))),
          unit: '%',
          bar: { atMost: 20 },
        },
      ],
      details: { rounds, cpuMs },
      postgres: installation.database.settings,
      doubts: doubtsOf(installation, results),
    }
  },
}
