/** What most measures run against: PostgreSQL, one `streamspace server`, and agents, each a process of its own. */
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Bench } from './bench.ts'
import { type BenchDatabase, startDatabase } from './database.ts'
import type { LoadPlan } from './load/plan.ts'
import { listeningUrl, type Program, startProgram, until } from './program.ts'
import { benchTemplate } from './template.ts'

export const ROOT = fileURLToPath(new URL('../..', import.meta.url))

export type InstallationSettings = {
  readonly agents: number
  /** Agents and template are everybody's, of whatever org. */
  readonly shared?: true
  readonly serverEnv?: { readonly [name: string]: string }
  readonly postgres?: { readonly [name: string]: string }
}

export type Installation = {
  readonly database: BenchDatabase
  readonly server: Program
  readonly url: string
  readonly key: string
  readonly agents: readonly IdleAgent[]
  /** Throws for any answer but a 2xx. */
  readonly call: (method: string, path: string, body?: unknown) => Promise<unknown>
  /** A load plan for this server, all but the load itself. */
  readonly plan: Pick<LoadPlan, 'url' | 'token'>
  /** Waits until every command has its fate. Answers how long that took, in milliseconds. */
  readonly delivered: () => Promise<number>
  /** How many sessions there are. */
  readonly created: () => Promise<number>
  /** What the server logged at `warn` and above. */
  readonly complaints: () => readonly string[]
}

/** For the times of processors. */
export const partsOf = ({ server, database, agents }: Installation, load: { readonly pid: number }) => ({
  server: [server.pid],
  PostgreSQL: [database.pid],
  agents: agents.map(({ program }) => program.pid),
  load: [load.pid],
})

export type IdleAgent = { readonly program: Program; readonly arrivals: string }

const START_WITHIN_MS = 30_000
const DELIVER_WITHIN_MS = 120_000

/** For `--profile`: V8's sampling profiler, which costs a few percent itself. */
export const profiling = (bench: Bench, what: string): { readonly [name: string]: string } =>
  bench.profiles === null
    ? {}
    : { NODE_OPTIONS: `--cpu-prof --cpu-prof-dir=${bench.profiles} --cpu-prof-name=${what}-${Date.now()}.cpuprofile` }

export type Replica = { readonly server: Program; readonly url: string }

/** `streamspace server`; all of one installation have its key and its secret. */
export const startReplica = async (
  bench: Bench,
  database: Pick<BenchDatabase, 'url'>,
  key: string,
  env: { readonly [name: string]: string } = {},
  name = 'server',
): Promise<Replica> => {
  const server = await startProgram(bench, {
    what: `streamspace ${name}`,
    command: join(ROOT, 'scripts/streamspace'),
    args: ['server'],
    env: {
      DATABASE_URL: database.url,
      HOST: '127.0.0.1',
      PORT: '0',
      LOG_LEVEL: 'warn',
      STREAMSPACE_DATA_DIR: join(bench.directory, name),
      STREAMSPACE_ADMIN_KEY: key,
      STREAMSPACE_SECRET_KEY: key,
      ...env,
      ...profiling(bench, name),
    },
  })
  return { server, url: await server.line(listeningUrl, START_WITHIN_MS) }
}

export const startInstallation = async (bench: Bench, settings: InstallationSettings): Promise<Installation> => {
  const database = await startDatabase(bench, settings.postgres)
  const key = `ssk_${randomBytes(24).toString('hex')}`
  const { server, url } = await startReplica(bench, database, key, settings.serverEnv)

  const call = async (method: string, path: string, body?: unknown): Promise<unknown> => {
    const response = await fetch(`${url}/api/v1${path}`, {
      method,
      headers: {
        authorization: `Bearer ${key}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      body: body === undefined ? null : JSON.stringify(body),
    })
    const text = await response.text()
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`)
    return text === '' ? null : JSON.parse(text)
  }

  const owner = settings.shared === true ? { orgId: null } : {}
  await call('POST', '/templates', { ...benchTemplate, ...owner })
  const agents: IdleAgent[] = []
  for (let number = 1; number <= settings.agents; number += 1)
    agents.push(await startIdleAgent(bench, { url, call }, { id: `bench-${number}`, ...owner }))
  await connected(database, settings.agents)

  return {
    database,
    server,
    url,
    key,
    agents,
    call,
    plan: { url, token: key },
    delivered: async () => {
      const began = performance.now()
      await until('the delivery of all commands', DELIVER_WITHIN_MS, async () => {
        const [left] = await database.query(`SELECT 1 FROM outbox WHERE status = 'pending' LIMIT 1`)
        return left === undefined
      })
      return performance.now() - began
    },
    created: async () => (await database.query('SELECT count(*)::int AS n FROM sessions'))[0].n,
    complaints: () => server.output().filter((line) => /^\{"level":[456]0/.test(line)),
  }
}

export const connected = (database: BenchDatabase, agents: number): Promise<void> =>
  until(`${agents} connected agents`, START_WITHIN_MS, async () => {
    const rows = await database.query('SELECT 1 FROM agent_leases WHERE replica_id IS NOT NULL')
    return rows.length === agents
  })

const startIdleAgent = async (
  bench: Bench,
  server: Pick<Installation, 'url' | 'call'>,
  { id, ...owner }: { readonly id: string; readonly orgId?: null },
): Promise<IdleAgent> => {
  const { token } = (await server.call('POST', '/agents', { id, platform: 'process', ...owner })) as { token: string }
  const arrivals = join(bench.directory, `${id}.arrivals`)
  const program = await startProgram(bench, {
    what: `agent ${id}`,
    command: process.execPath,
    args: [join(ROOT, 'scripts/bench/idle-agent.ts')],
    env: {
      STREAMSPACE_URL: server.url,
      STREAMSPACE_AGENT_ID: id,
      STREAMSPACE_AGENT_TOKEN: token,
      STREAMSPACE_BENCH_TIMES: '1',
      STREAMSPACE_BENCH_FILE: arrivals,
      ...profiling(bench, `agent-${id}`),
    },
  })
  return { program, arrivals }
}
