/**
 * Many simulated agents in one process, which is told over its channel what they shall do (`FleetOrder`) and answers
 * each order with how they are (`FleetState`).
 */
import { type AgentIdentity, createSimulatedAgent, type SimulatedAgent } from './agent.ts'

export type FleetOrder =
  /** `perSecond`: how many dial in a second; the agents of a fleet are started a little apart, as anyone's are. */
  | {
      readonly kind: 'start'
      readonly url: string
      readonly agents: readonly AgentIdentity[]
      readonly perSecond: number
    }
  | { readonly kind: 'tell' }
  /** Like `tell`, with every command that arrived since the last time. */
  | { readonly kind: 'arrivals' }
  /** All sockets at once, without a word. */
  | { readonly kind: 'cut' }
  | { readonly kind: 'stall'; readonly ids: readonly string[] }
  /** Statuses of sessions, for so long. */
  | { readonly kind: 'statuses'; readonly perSecond: number; readonly seconds: number }

export type FleetState = {
  readonly connected: number
  readonly sessions: number
  readonly commands: number
  /** How long each connection took that was made since the last order, tries that failed among it (ms). */
  readonly connectMs: Float64Array
  readonly refusals: { readonly [how: string]: number }
  /** When each session's first command came: milliseconds since 1970, as its machine counts them. */
  readonly arrivals: ReadonlyMap<string, number> | null
  readonly statusesSent: number
}

const agents = new Map<string, SimulatedAgent>()
let connectMs: number[] = []
let refusals: Record<string, number> = {}
let arrivals = new Map<string, number>()
let commands = 0
let statusesSent = 0

const state = (order: FleetOrder): FleetState => {
  const told: FleetState = {
    connected: [...agents.values()].filter((agent) => agent.isConnected()).length,
    sessions: [...agents.values()].reduce((sum, agent) => sum + agent.sessions(), 0),
    commands,
    connectMs: Float64Array.from(connectMs),
    refusals,
    arrivals: order.kind === 'arrivals' ? arrivals : null,
    statusesSent,
  }
  connectMs = []
  refusals = {}
  if (order.kind === 'arrivals') arrivals = new Map()
  return told
}

const TICK_MS = 20

/** Does something so many times a second, `total` times in all. */
const paced = (perSecond: number, total: number, act: (index: number) => void): Promise<void> =>
  new Promise((resolve) => {
    const began = performance.now()
    let done = 0
    const timer = setInterval(() => {
      const due = Math.min(total, ((performance.now() - began) / 1_000) * perSecond)
      for (; done < due; done += 1) act(done)
      if (done < total) return
      clearInterval(timer)
      resolve()
    }, TICK_MS)
  })

const start = (order: Extract<FleetOrder, { kind: 'start' }>): Promise<void> =>
  paced(order.perSecond, order.agents.length, (index) => {
    const identity = order.agents[index]
    if (identity === undefined) return
    const agent = createSimulatedAgent(order.url, identity, {
      connected: (afterMs) => connectMs.push(afterMs),
      refused: (how) => {
        refusals[how] = (refusals[how] ?? 0) + 1
      },
      received: ({ sessionId, generation }) => {
        commands += 1
        if (generation === 1 && !arrivals.has(sessionId))
          arrivals.set(sessionId, performance.timeOrigin + performance.now())
      },
    })
    agents.set(identity.id, agent)
    agent.start()
  })

const obey = async (order: FleetOrder): Promise<void> => {
  switch (order.kind) {
    case 'start':
      return start(order)
    case 'cut':
      for (const agent of agents.values()) agent.cut()
      return
    case 'stall':
      for (const id of order.ids) agents.get(id)?.stall()
      return
    case 'statuses': {
      const all = [...agents.values()]
      return paced(order.perSecond, order.perSecond * order.seconds, (index) => {
        if (all[index % all.length]?.status()) statusesSent += 1
      })
    }
    case 'tell':
    case 'arrivals':
      return
  }
}

process.on('message', (order: FleetOrder) => void obey(order).then(() => process.send?.(state(order))))
process.on('disconnect', () => process.exit(0))
process.on('SIGTERM', () => {
  for (const agent of agents.values()) agent.stop()
  process.exit(0)
})
