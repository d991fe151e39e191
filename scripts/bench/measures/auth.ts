/**
 * What it costs to know who asks: a request with a key that names nothing, which is refused without the database once its caller
 * is known, beside one that needs no key. Both are answered from memory; the difference is authentication, decoding and the longer answer.
 */
import { startInstallation } from '../installation.ts'
import type { LoadResult } from '../load/plan.ts'
import { startLoad } from '../load/start.ts'
import type { Measure } from '../measure.ts'
import { distributionOf, median } from '../percentiles.ts'
import { doubtsOf } from './doubts.ts'

const PER_SECOND = 1_000
const KEYS = 50
const ROUNDS = 5

export const auth: Measure = {
  name: 'auth',
  about: `what a key adds to a request, ${KEYS} keys, open loop at ${PER_SECOND}/s`,
  run: async (bench) => {
    const installation = await startInstallation(bench, { agents: 0 })
    const load = await startLoad(bench)
    const tokens: string[] = []
    for (let number = 1; number <= KEYS; number += 1) {
      const made = await installation.call('POST', '/api-keys', { role: 'user', userId: `user-${number}` })
      tokens.push((made as { key: string }).key)
    }
    const results: LoadResult[] = []
    const p50 = async (path: string, expect: number): Promise<number> => {
      const result = await load.run({
        ...installation.plan,
        tokens,
        method: 'GET',
        paths: [path],
        body: null,
        expect,
        connections: 16,
        pace: { kind: 'open', perSecond: PER_SECOND },
        warmUpSeconds: 1,
        seconds: 5,
      })
      results.push(result)
      return distributionOf(result.latenciesMs).p50
    }
    const rounds = []
    for (let round = 1; round <= ROUNDS; round += 1)
      rounds.push({ anyone: await p50('/healthz', 200), byKey: await p50('/api/v1/sessions/no-session', 404) })
    const anyone = median(rounds.map((round) => round.anyone))
    const byKey = median(rounds.map((round) => round.byKey))
    const what = `at ${PER_SECOND}/s, p50`
    return {
      lines: [
        { what: `a request that needs no key ${what}`, figure: anyone, unit: 'ms', bar: null },
        { what: `a request by key, refused without the database ${what}`, figure: byKey, unit: 'ms', bar: null },
        {
          what: 'a key adds, p50',
          figure: median(rounds.map((round) => round.byKey - round.anyone)),
          unit: 'ms',
          bar: { atMost: 0.3 },
        },
      ],
      details: { rounds },
      postgres: installation.database.settings,
      doubts: doubtsOf(installation, results),
    }
  },
}
