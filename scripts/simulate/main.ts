/**
 * `npm run simulate -- --agents 10000 --sessions 50000 --rate 500`: many agents in few processes over real sockets,
 * for figures of scale. It starts a PostgreSQL and servers of its own, prints what it sees and ends by itself.
 *
 *   --agents N      how many connect (1000)
 *   --sessions N    how many sessions are created then (0: none)
 *   --rate N        creates a second (100)
 *   --replicas N    servers; agents are spread over them (1)
 *   --storm         all agents lose their connection at once, under the requests of people
 */
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { type Bench, createEndings } from '../bench/bench.ts'
import { cpuTimes } from '../bench/cpu-time.ts'
import { type Installation, ROOT, startInstallation, startReplica } from '../bench/installation.ts'
import { startLoad } from '../bench/load/start.ts'
import { commitsSince, commitToAgent } from '../bench/measures/commits.ts'
import { storm } from '../bench/measures/storm.ts'
import { type Distribution, distributionOf } from '../bench/percentiles.ts'
import { residentMib } from '../bench/processes.ts'
import { createsAt } from '../bench/template.ts'
import { enrolMany, type Fleets, startFleets } from './fleets.ts'

const say = (text: string): void => void process.stdout.write(`${text}\n`)
const complain = (text: string): void => void process.stderr.write(`${text}\n`)

const readArguments = () => {
  try {
    const { values } = parseArgs({
      options: {
        agents: { type: 'string', default: '1000' },
        sessions: { type: 'string', default: '0' },
        rate: { type: 'string', default: '100' },
        replicas: { type: 'string', default: '1' },
        storm: { type: 'boolean', default: false },
      },
    })
    const whole = (name: 'agents' | 'sessions' | 'rate' | 'replicas', least: number, most: number): number => {
      const value = Number(values[name])
      if (Number.isInteger(value) && value >= least && value <= most) return value
      throw new Error(`--${name} must be a whole number from ${least} to ${most}`)
    }
    return {
      agents: whole('agents', 1, 100_000),
      sessions: whole('sessions', 0, 10_000_000),
      rate: whole('rate', 1, 100_000),
      replicas: whole('replicas', 1, 16),
      storm: values.storm,
    }
  } catch (error) {
    complain((error as Error).message)
    process.exit(2)
  }
}

const CONNECT_PER_SECOND = 500
const IDLE_SECONDS = 20

const options = readArguments()
await mkdir(join(ROOT, '.bench'), { recursive: true })
const directory = await mkdtemp(join(ROOT, '.bench/simulate-'))
const endings = createEndings((what, error) => complain(`${what} did not end in order: ${(error as Error).message}`))
let stopped = false
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  process.on(signal, () => {
    if (stopped) return
    stopped = true
    complain(`${signal}: stopping`)
    void endings.endAll()
  })

const row = (what: string, figure: string): void => say(`  ${what.padEnd(52)} ${figure}`)
const ms = ({ p50, p95, p99, max }: Distribution): string =>
  [`p50 ${p50.toFixed(1)}`, `p95 ${p95.toFixed(1)}`, `p99 ${p99.toFixed(1)}`, `max ${max.toFixed(0)} ms`].join(' · ')
const counts = (of: { readonly [how: string]: number }): string =>
  Object.entries(of)
    .map(([how, count]) => `${count} ${how}`)
    .join(', ') || 'none'

type Stage = { readonly installation: Installation; readonly pids: readonly number[]; readonly fleets: Fleets }

const connect = async (bench: Bench): Promise<Stage> => {
  const installation = await startInstallation(bench, { agents: 0, postgres: { track_commit_timestamp: 'on' } })
  const servers = [{ server: installation.server, url: installation.url }]
  for (let number = 2; number <= options.replicas; number += 1)
    servers.push(await startReplica(bench, installation.database, installation.key, {}, `server-${number}`))
  const pids = servers.map(({ server }) => server.pid)
  const agents = await enrolMany(installation.database, options.agents)
  await wait(2_000)
  const before = await memoryOf(pids)
  const fleets = await startFleets(bench, {
    urls: servers.map(({ url }) => url),
    agents,
    perSecond: CONNECT_PER_SECOND,
  })
  const { ms: took, state } = await fleets.connected(120_000 + options.agents * 20)
  row('connected', `${state.connected} agents in ${(took / 1_000).toFixed(1)} s, dialling ${CONNECT_PER_SECOND}/s`)
  row('a connection, from the first try to the welcome', ms(distributionOf(state.connectMs)))
  row('refused meanwhile', counts(state.refusals))
  const cpuBefore = cpuTimes({ servers: pids })
  await wait(IDLE_SECONDS * 1_000)
  const cpuAfter = cpuTimes({ servers: pids })
  const grown = (await memoryOf(pids)) - before
  row('memory of the servers, each agent', `${((grown * 1_024) / options.agents).toFixed(1)} KiB`)
  if (cpuBefore !== null && cpuAfter !== null) {
    const share = ((cpuAfter.servers ?? 0) - (cpuBefore.servers ?? 0)) / (IDLE_SECONDS * 10)
    row('servers, while agents only beat', `${share.toFixed(1)} % of one core`)
  }
  return { installation, pids, fleets }
}

const memoryOf = async (pids: readonly number[]): Promise<number> =>
  (await Promise.all(pids.map(residentMib))).reduce((sum, mib) => sum + mib, 0)

const createMany = async (bench: Bench, { installation, fleets }: Stage): Promise<void> => {
  const load = await startLoad(bench)
  await fleets.order({ kind: 'arrivals' })
  const result = await load.run({
    ...installation.plan,
    ...createsAt(options.rate, options.sessions / options.rate, 0),
  })
  const tookMs = await installation.delivered()
  const { arrivals, sessions } = await fleets.order({ kind: 'arrivals' })
  const committed = await commitsSince(installation.database, result.beganAtMs)
  const { latencyMs, lost } = commitToAgent(committed, arrivals ?? new Map())
  row('created', `${result.succeeded} at ${options.rate}/s; failed: ${counts(result.failures)}`)
  row('a create, from its planned time', ms(distributionOf(result.latenciesMs)))
  row('from the commit to the agent', `${ms(latencyMs)}; never came: ${lost}`)
  row(
    'all commands have their fate',
    `${(tookMs / 1_000).toFixed(1)} s after the last create; ${sessions} sessions run`,
  )
}

const run = async (bench: Bench): Promise<void> => {
  say(`${options.agents} agents, ${options.replicas} server${options.replicas === 1 ? '' : 's'}`)
  const stage = await connect(bench)
  if (options.sessions > 0) await createMany(bench, stage)
  if (options.storm) {
    const { backMs, apiMs, refusals, failures } = await storm(bench, stage.installation, stage.fleets)
    row('all cut at once: back after', `${(backMs / 1_000).toFixed(1)} s; refused meanwhile: ${counts(refusals)}`)
    row('requests meanwhile', `${ms(apiMs)}; failed: ${counts(failures)}`)
  }
  for (const line of stage.installation.complaints().slice(-5)) say(`  the server said: ${line.slice(0, 300)}`)
}

try {
  await run({ directory, scale: 1, profiles: null, say, ends: endings.add })
} catch (error) {
  if (!stopped) {
    process.exitCode = 1
    complain(String((error as Error).stack))
  }
} finally {
  await endings.endAll()
  await rm(directory, { recursive: true, force: true })
}
if (stopped) process.exitCode = 130
