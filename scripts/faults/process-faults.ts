/** Faults of processes: killed, stopped for longer than the others wait, replaced, with a wrong clock or a full disk. */
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import type { FaultyAgent } from './agents.ts'
import type { FaultKind } from './deck.ts'
import { longerThanSilence } from './intervals.ts'
import type { Random } from './random.ts'
import type { Replica } from './servers.ts'
import { inFlightAnywhere, inFlightAt, type Stage, whenBusy } from './stage.ts'
import { zombieServer } from './zombie-fault.ts'

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
  'zombie server': onAgent(zombieServer),
  'postgres killed': postgresKilled,
  'wakes lost': wakesLost,
} as const satisfies { readonly [K in FaultKind]?: Fault }
