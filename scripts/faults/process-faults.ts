/** Faults of processes: killed, stopped for longer than the others wait, replaced, with a wrong clock or a full disk. */
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import type { FaultyAgent } from './agents.ts'
import type { Finding } from './check.ts'
import type { FaultKind } from './deck.ts'
import { readLedgers } from './facts.ts'
import { longerThanSilence } from './intervals.ts'
import type { Random } from './random.ts'
import type { Replica } from './servers.ts'
import { inFlightAnywhere, inFlightAt, type Stage, whenBusy } from './stage.ts'

type Fault = (stage: Stage, random: Random) => Promise<void>

const HOUR_MS = 3_600_000

const onAgent =
  (fault: (stage: Stage, agent: FaultyAgent, random: Random) => Promise<void>): Fault =>
  async (stage, random) => {
    const agent = stage.victims.agent(random)
    if (agent === null) return
    try {
      await fault(stage, agent, random)
    } finally {
      stage.victims.free(agent.id)
    }
  }

const onReplica =
  (fault: (stage: Stage, replica: Replica, random: Random) => Promise<void>): Fault =>
  async (stage, random) => {
    const replica = stage.victims.replica(random)
    if (replica === null) return
    try {
      await fault(stage, replica, random)
    } finally {
      stage.victims.free(replica.name)
    }
  }

/** A server whose database is just being restored or restarted may end at its start, and is started again. */
export const startPatiently = async (replica: Replica): Promise<void> => {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await replica.start()
      return
    } catch (error) {
      if (attempt === 5) throw error
      await wait(500)
    }
  }
}

const killedFor = (kind: FaultKind, signal: 'SIGKILL' | 'SIGTERM'): Fault =>
  onReplica(async (stage, replica, random) => {
    stage.struck(kind, await whenBusy(() => inFlightAt(stage, replica) + stage.clients.inFlight()))
    replica.signal(signal)
    await replica.gone()
    await stage.wait(random.between(0, 2_000))
    await startPatiently(replica)
  })

const agentDownFor = (kind: FaultKind, fromMs: number, toMs: number): Fault =>
  onAgent(async (stage, agent, random) => {
    stage.struck(kind, await whenBusy(agent.inFlight))
    agent.signal('SIGKILL')
    await agent.gone()
    await stage.wait(random.between(fromMs, toMs))
    agent.start()
  })

const serverStopped: Fault = onReplica(async (stage, replica, random) => {
  stage.struck('server stopped', await whenBusy(() => inFlightAt(stage, replica) + stage.clients.inFlight()))
  replica.signal('SIGSTOP')
  try {
    await stage.wait(longerThanSilence(stage.intervals) + random.between(0, 1_500))
  } finally {
    replica.signal('SIGCONT')
  }
})

const agentStopped: Fault = onAgent(async (stage, agent, random) => {
  stage.struck('agent stopped', await whenBusy(agent.inFlight))
  agent.signal('SIGSTOP')
  try {
    await stage.wait(longerThanSilence(stage.intervals) + random.between(0, 1_500))
  } finally {
    agent.signal('SIGCONT')
  }
})

const clockWrong: Fault = onAgent(async (stage, agent, random) => {
  stage.struck('clock wrong', await whenBusy(agent.inFlight))
  agent.signal('SIGKILL')
  await agent.gone()
  agent.start(random.chance(0.5) ? HOUR_MS : -HOUR_MS)
})

const diskFull: Fault = onAgent(async (stage, agent, random) => {
  const full = join(agent.directory, 'full')
  const before = await whenBusy(agent.inFlight)
  await writeFile(full, '')
  const during = stage.wait(random.between(2_500, 4_500))
  // What is applied meanwhile is struck as well; a quiet agent is not.
  await stage.wait(1_000)
  stage.struck('disk full', before || agent.inFlight() > 0)
  try {
    await during
  } finally {
    await rm(full, { force: true })
  }
})

/** A session ends while nobody can be told, and then the agent dies: only its next inventory knows. */
const agentKilledWithNews: Fault = onAgent(async (stage, agent, random) => {
  const inFlight = await whenBusy(agent.inFlight)
  agent.isolate(true)
  try {
    stage.struck('agent killed with news', inFlight)
    for (const line of agent.proxy.lines()) line.cut()
    await agent.crash(random.between(0, 1_000), 'any', stage.clients.leftAlone)
    agent.signal('SIGKILL')
    await agent.gone()
  } finally {
    agent.isolate(false)
    agent.start()
  }
})

/**
 * A replica stands still with a status of an agent unread. The agent goes on with another replica and says something newer;
 * then the first one goes on and speaks, under an epoch that is over.
 */
const zombieServer: Fault = onAgent(async (stage, agent, random) => {
  const replica = agent.speaksWith()
  // The agent has to have somewhere else to go.
  if (replica === null || !replica.isUp() || stage.replicas.filter((one) => one.isUp()).length < 2) return
  if (!stage.victims.claim(replica.name)) return
  try {
    const inFlight = await whenBusy(() => inFlightAt(stage, replica))
    replica.signal('SIGSTOP')
    // It runs again later, and must not have been given to another agent by then.
    const before = agent.statuses()
    const session = await agent.crash(random.between(0, 1_000), 'staying', stage.clients.leftAlone)
    await hasSpoken(agent, before)
    // Without a session there is nothing old to say.
    if (session === null) return
    stage.struck('zombie server', inFlight)
    agent.avoid(replica)
    for (const line of agent.proxy.lines()) line.cut('party')
    for (let waited = 0; waited < 8_000 && !isElsewhere(agent, replica); waited += 50) await wait(50)
    const heard = agent.statuses()
    agent.revive(session)
    await hasSpoken(agent, heard)
    await wait(ARRIVES_WITHIN_MS)
    replica.signal('SIGCONT')
    stage.found(await spokenByTheDead(stage, agent, session))
  } finally {
    replica.signal('SIGCONT')
    agent.avoid(null)
    stage.victims.free(replica.name)
  }
})

/** A frame that has passed the proxy lies with the server, or is in the database, by then. */
const ARRIVES_WITHIN_MS = 300
/** So long a server that goes on may take to speak, and a row that was put wrong for a moment to be put right. */
const SPEAKS_WITHIN_MS = 2_500
const PUT_RIGHT_WITHIN_MS = 4_000

const hasSpoken = async (agent: FaultyAgent, before: number): Promise<void> => {
  for (let waited = 0; waited < 3_000 && agent.statuses() === before; waited += 20) await wait(20)
  await wait(50)
}

/**
 * What a server under an epoch that is over has made of the row, while the agent says something newer. Looked at here:
 * the agent's next connection would put it right, and the end of the run would not see it.
 */
const spokenByTheDead = async (
  { database }: Stage,
  agent: FaultyAgent,
  session: string,
): Promise<readonly Finding[]> => {
  const says = async () => {
    const [row] = await database.query('SELECT status, generation::float8 AS at FROM sessions WHERE id = $1', [session])
    return row as { readonly status: string; readonly at: number } | undefined
  }
  const whileIt = async (wrong: boolean, withinMs: number) => {
    for (const deadline = performance.now() + withinMs; performance.now() < deadline; await wait(100))
      if (((await says())?.status === 'failed') !== wrong) return false
    return true
  }
  if (await whileIt(false, SPEAKS_WITHIN_MS)) return []
  if (!(await whileIt(true, PUT_RIGHT_WITHIN_MS))) return []
  const row = await says()
  const there = (await readLedgers([agent])).held.get(agent.id)?.get(session)
  if (there?.status !== 'running' || there.generation !== row?.at || agent.connectedFor() < PUT_RIGHT_WITHIN_MS)
    return []
  const what = `the row says failed at ${row.at} since a server spoke that had lost ${agent.id}; it runs there`
  return [{ kind: 'stale', session, what }]
}

const isElsewhere = (agent: FaultyAgent, replica: Replica): boolean => {
  const now = agent.speaksWith()
  return now !== null && now !== replica
}

const postgresKilled: Fault = async (stage) => {
  if (!stage.victims.one('postgres')) return
  try {
    stage.struck('postgres killed', await whenBusy(() => inFlightAnywhere(stage)))
    stage.database.kill()
    await wait(300)
    for (let waited = 0; waited < 20_000 && !(await stage.database.isUp()); waited += 200) await wait(200)
  } finally {
    stage.victims.free('postgres')
  }
}

const wakesLost: Fault = async (stage, random) => {
  if (!stage.victims.one('wakes')) return
  try {
    const keep = await stage.database.loseWakes()
    stage.struck('wakes lost', await whenBusy(() => inFlightAnywhere(stage)))
    await stage.wait(random.between(2_000, 5_000))
    await keep()
  } finally {
    stage.victims.free('wakes')
  }
}

export const processFaults = {
  'server killed': killedFor('server killed', 'SIGKILL'),
  'server replaced': killedFor('server replaced', 'SIGTERM'),
  'server stopped': serverStopped,
  'agent killed': agentDownFor('agent killed', 0, 1_500),
  'agent away': agentDownFor('agent away', 5_000, 9_000),
  'agent stopped': agentStopped,
  'agent killed with news': agentKilledWithNews,
  'clock wrong': clockWrong,
  'disk full': diskFull,
  'zombie server': zombieServer,
  'postgres killed': postgresKilled,
  'wakes lost': wakesLost,
} as const satisfies { readonly [K in FaultKind]?: Fault }
