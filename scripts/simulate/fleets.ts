/** Simulated agents, enrolled and spread over a few processes, as whoever measures sees them. */
import { randomBytes } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { tokens } from '../../adapters/secrets/tokens.ts'
import type { Bench } from '../bench/bench.ts'
import type { BenchDatabase } from '../bench/database.ts'
import { type Program, startProgram, until } from '../bench/program.ts'
import type { AgentIdentity } from './agent.ts'
import type { FleetOrder, FleetState } from './fleet.ts'

const FLEET = fileURLToPath(new URL('fleet.ts', import.meta.url))

export type Fleets = {
  readonly pids: readonly number[]
  readonly ids: readonly string[]
  /** All fleets are told at once; what they answer is added up. */
  readonly order: (order: Exclude<FleetOrder, { kind: 'start' }>) => Promise<FleetState>
  /** Until all are connected. Answers how long that took (ms), and what the connections took. */
  readonly connected: (withinMs: number) => Promise<{ readonly ms: number; readonly state: FleetState }>
}

const together = (states: readonly FleetState[]): FleetState => {
  const sum = (of: (state: FleetState) => number) => states.reduce((total, state) => total + of(state), 0)
  const refusals: Record<string, number> = {}
  for (const state of states)
    for (const [how, count] of Object.entries(state.refusals)) refusals[how] = (refusals[how] ?? 0) + count
  return {
    connected: sum((state) => state.connected),
    sessions: sum((state) => state.sessions),
    commands: sum((state) => state.commands),
    connectMs: Float64Array.from(states.flatMap((state) => [...state.connectMs])),
    refusals,
    arrivals: states.some((state) => state.arrivals !== null)
      ? new Map(states.flatMap((state) => [...(state.arrivals ?? [])]))
      : null,
    statusesSent: sum((state) => state.statusesSent),
  }
}

/** Straight into the database: what is measured is not how quickly ten thousand agents are enrolled by hand. */
export const enrolMany = async (
  database: BenchDatabase,
  count: number,
  name = 'sim',
): Promise<readonly AgentIdentity[]> => {
  const identities = Array.from({ length: count }, (_, index) => ({
    id: `${name}-${index + 1}`,
    token: `ssa_${randomBytes(32).toString('hex')}`,
  }))
  await database.query(
    `WITH agent AS (
       INSERT INTO agents (id, org_id, platform, token_hash)
       SELECT id, 'default', 'process', hash FROM unnest($1::text[], $2::bytea[]) AS a (id, hash) RETURNING id)
     INSERT INTO agent_leases (agent_id) SELECT id FROM agent`,
    [identities.map(({ id }) => id), identities.map(({ token }) => tokens.hash(token))],
  )
  await database.query('ANALYZE agents, agent_leases')
  return identities
}

const AT_MOST_EACH = 5_000

export const startFleets = async (
  bench: Bench,
  settings: {
    readonly urls: readonly string[]
    readonly agents: readonly AgentIdentity[]
    readonly perSecond: number
  },
): Promise<Fleets> => {
  const { urls, agents, perSecond } = settings
  const count = Math.max(urls.length, Math.ceil(agents.length / AT_MOST_EACH))
  const programs: Program[] = []
  for (let index = 0; index < count; index += 1)
    programs.push(
      await startProgram(bench, {
        what: `fleet ${index + 1}`,
        command: process.execPath,
        args: [FLEET],
        env: {},
        channel: true,
      }),
    )
  const began = performance.now()
  const tellAll = async (orderOf: (index: number) => FleetOrder): Promise<FleetState> =>
    together((await Promise.all(programs.map((program, index) => program.ask(orderOf(index))))) as FleetState[])
  let started = await tellAll((index) => ({
    kind: 'start',
    url: urls[index % urls.length] ?? '',
    agents: agents.filter((_, number) => number % count === index),
    perSecond: perSecond / count,
  }))
  let since = began

  return {
    pids: programs.map(({ pid }) => pid),
    ids: agents.map(({ id }) => id),
    order: async (order) => {
      if (order.kind === 'cut') since = performance.now()
      const state = await tellAll(() => order)
      return order.kind === 'cut' ? { ...state, connected: 0 } : state
    },
    connected: async (withinMs) => {
      const states = [started]
      started = together([])
      await until(`${agents.length} connected agents`, withinMs, async () => {
        states.push(await tellAll(() => ({ kind: 'tell' })))
        return states.at(-1)?.connected === agents.length
      })
      const ms = performance.now() - since
      const last = states.at(-1) ?? together([])
      const all = together(states)
      return { ms, state: { ...last, connectMs: all.connectMs, refusals: all.refusals } }
    },
  }
}
