/**
 * Whether agents suffer from others: the same load on two installations, one of which has a dead agent for which a hundred
 * thousand commands wait and an agent that takes nothing off its socket. Window by window in turn, as the machine is not the
 * same from one minute to the next; of the windows' percentiles the median counts: of one window the 99th is what the machine
 * did in its worst moments. PostgreSQL writes out what it has before the first window, so that none pays for how the backlog was made.
 */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { enrolMany, startFleets } from '../../simulate/fleets.ts'
import { waitingCreates } from '../backlog.ts'
import type { Bench } from '../bench.ts'
import { startInstallation } from '../installation.ts'
import type { LoadResult } from '../load/plan.ts'
import { type Load, startLoad } from '../load/start.ts'
import type { Measure } from '../measure.ts'
import { distributionOf, median } from '../percentiles.ts'
import { createsAt } from '../template.ts'
import { commitsSince } from './commits.ts'
import { doubtsOf } from './doubts.ts'

const AGENTS = 16
const BACKLOG = 100_000
const PER_SECOND = 100
const WINDOWS = 9
const SECONDS = 10
const WARM_UP_SECONDS = 2

const startSide = async (bench: Bench, name: string) => {
  const directory = join(bench.directory, name)
  await mkdir(directory, { recursive: true })
  const installation = await startInstallation(
    { ...bench, directory },
    {
      agents: 0,
      postgres: { track_commit_timestamp: 'on' },
      // The stalled one stays for the whole run: it is not to be cured by being thrown out.
      serverEnv: { STREAMSPACE_HEARTBEAT_INTERVAL_MS: '60000' },
    },
  )
  const { database, url } = installation
  const start = (agents: Awaited<ReturnType<typeof enrolMany>>) =>
    startFleets(bench, { urls: [url], agents, perSecond: 100 })
  const fleets = await start(await enrolMany(database, AGENTS))
  await fleets.connected(30_000)
  return { installation, database, fleets, start, windows: [] as Window[] }
}
type Side = Awaited<ReturnType<typeof startSide>>
type Window = { readonly p50: number; readonly p99: number; readonly result: LoadResult }

const addNeighbours = async ({ database, start }: Side, scale: number): Promise<void> => {
  const [dead, stalled] = await enrolMany(database, 2, 'neighbour')
  await waitingCreates(database, Math.round(BACKLOG * scale), `'${dead?.id}'`)
  const rude = await start([stalled ?? { id: '', token: '' }])
  await rude.connected(30_000)
  await rude.order({ kind: 'stall', ids: [stalled?.id ?? ''] })
  // Enough to fill its socket and its window.
  await waitingCreates(database, 5_000, `'${stalled?.id}'`)
}

const addWindow = async ({ installation, database, fleets, windows }: Side, load: Load): Promise<void> => {
  await fleets.order({ kind: 'arrivals' })
  const result = await load.run({ ...installation.plan, ...createsAt(PER_SECOND, SECONDS, WARM_UP_SECONDS) })
  const { arrivals } = await fleets.order({ kind: 'arrivals' })
  const committed = await commitsSince(database, result.beganAtMs)
  // Creates that were placed on the stalled agent are its own.
  const latencies = [...committed].flatMap(([id, at]) => (arrivals?.has(id) ? [(arrivals.get(id) ?? 0) - at] : []))
  const { p50, p99 } = distributionOf(latencies)
  windows.push({ p50, p99, result })
}

export const neighbours: Measure = {
  name: 'neighbours',
  about: `commit to frame at ${PER_SECOND}/s, without and with ${BACKLOG} commands that wait for a dead agent and a stalled socket`,
  run: async (bench) => {
    const [alone, beside] = [await startSide(bench, 'alone'), await startSide(bench, 'beside')]
    await addNeighbours(beside, bench.scale)
    const load = await startLoad(bench)
    for (const { database } of [alone, beside]) await database.query('CHECKPOINT')
    for (let window = 0; window < WINDOWS; window += 1)
      for (const side of window % 2 === 0 ? [alone, beside] : [beside, alone]) await addWindow(side, load)
    const of = ({ windows }: Side, percentile: 'p50' | 'p99') => windows.map((window) => window[percentile])
    const [aloneP99, besideP99] = [median(of(alone, 'p99')), median(of(beside, 'p99'))]
    return {
      lines: [
        { what: 'commit to frame, alone, p99', figure: aloneP99, unit: 'ms', bar: null },
        { what: 'beside a dead and a stalled agent, p99', figure: besideP99, unit: 'ms', bar: null },
        {
          what: 'p99 of the others moves by',
          figure: (besideP99 / aloneP99 - 1) * 100,
          unit: '%',
          bar: { atMost: 10 },
        },
      ],
      details: {
        alone: { p50: of(alone, 'p50'), p99: of(alone, 'p99') },
        beside: { p50: of(beside, 'p50'), p99: of(beside, 'p99') },
      },
      postgres: beside.database.settings,
      doubts: [alone, beside].flatMap(({ installation, windows }) =>
        doubtsOf(
          installation,
          windows.map(({ result }) => result),
        ),
      ),
    }
  },
}
