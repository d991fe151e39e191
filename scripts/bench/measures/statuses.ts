/** Statuses that come in one by one, and the statements in which they are written. */
import { enrolMany, startFleets } from '../../simulate/fleets.ts'
import { waitingCreates } from '../backlog.ts'
import { startInstallation } from '../installation.ts'
import type { Measure } from '../measure.ts'
import { until } from '../program.ts'
import { doubtsOf } from './doubts.ts'

const PER_SECOND = 2_000
const SECONDS = 20
const AGENTS = 1_000
/** Nothing written for so long: the last one was. */
const QUIET_MS = 2_000

/** Of the statement that writes reports (`adapters/postgres/reports.ts`). */
const STATEMENTS = `SELECT coalesce(sum(calls), 0)::int AS n FROM pg_stat_statements
                     WHERE query LIKE '%written AS (%UPDATE sessions s%' AND query NOT LIKE '%pg_stat_statements%'`

export const statuses: Measure = {
  name: 'statuses',
  about: `${PER_SECOND} status frames a second from ${AGENTS} agents: statements that write them`,
  run: async (bench) => {
    const installation = await startInstallation(bench, {
      agents: 0,
      postgres: { shared_preload_libraries: 'pg_stat_statements', 'pg_stat_statements.max': '1000' },
    })
    const { database } = installation
    await database.query('CREATE EXTENSION pg_stat_statements')
    const agents = await enrolMany(database, AGENTS)
    await waitingCreates(database, AGENTS, `'sim-' || n`)
    const fleets = await startFleets(bench, { urls: [installation.url], agents, perSecond: 300 })
    await fleets.connected(60_000)
    await installation.delivered()
    const seconds = Math.max(5, SECONDS * bench.scale)
    const statements = async (): Promise<number> => (await database.query(STATEMENTS))[0].n
    const before = await statements()
    const began = performance.now()
    const { statusesSent } = await fleets.order({ kind: 'statuses', perSecond: PER_SECOND, seconds })
    const tookS = (performance.now() - began) / 1_000
    let last = await statements()
    let quietSince = performance.now()
    await until('all statuses to be written', 120_000, async () => {
      const now = await statements()
      if (now !== last) quietSince = performance.now()
      last = now
      return performance.now() - quietSince > QUIET_MS
    })
    const writes = last - before
    const writtenS = (quietSince - began) / 1_000
    return {
      lines: [
        { what: 'status frames in', figure: statusesSent / tookS, unit: '/s', bar: { atLeast: PER_SECOND * 0.99 } },
        { what: 'statements that write them', figure: writes / tookS, unit: '/s', bar: { atMost: 60 } },
        {
          what: 'from the first frame to the last row',
          figure: writtenS,
          unit: 's',
          bar: null,
          note: `sent in ${tookS.toFixed(1)} s`,
        },
      ],
      details: { statusesSent, writes, tookS, writtenS },
      postgres: database.settings,
      doubts: [
        ...doubtsOf(installation, []),
        ...(writes > 0 ? [] : ['no statement was seen: does the server have pg_stat_statements?']),
      ],
    }
  },
}
