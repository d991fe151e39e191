/**
 * A replica stands still with a status of an agent unread. The agent goes on with another replica and says something
 * newer; then the first one goes on and speaks, under an epoch that is over.
 */
import { setTimeout as wait } from 'node:timers/promises'
import type { FaultyAgent } from './agents.ts'
import type { Finding } from './check.ts'
import { readLedgers } from './facts.ts'
import type { Random } from './random.ts'
import type { Replica } from './servers.ts'
import { inFlightAt, type Stage, whenBusy } from './stage.ts'

/** So long the agent's newer word may take to its row, and a server that goes on to speak. */
const ARRIVES_WITHIN_MS = 8_000
const SPEAKS_WITHIN_MS = 2_500

export const zombieServer = async (stage: Stage, agent: FaultyAgent, random: Random): Promise<void> => {
  const { victims } = stage
  const replica = agent.speaksWith()
  // The agent has to have somewhere else to go.
  if (replica === null || !replica.isUp() || stage.replicas.filter((one) => one.isUp()).length < 2) return
  if (!victims.claim(replica.name)) return
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
    for (let waited = 0; waited < 8_000 && elsewhere(agent, replica) === null; waited += 50) await wait(50)
    const row = createRow(stage, session)
    // From whom it speaks with now. What is still on its way from there when the first one goes on would look like its word.
    const arrivedThere = await row.comesToSay('failed', ARRIVES_WITHIN_MS)
    const heard = agent.statuses()
    agent.revive(session)
    await hasSpoken(agent, heard)
    const arrived = await row.comesToSay('running', ARRIVES_WITHIN_MS)
    replica.signal('SIGCONT')
    if (!arrivedThere || !arrived) return stage.unjudged()
    if (await row.comesToSay('failed', SPEAKS_WITHIN_MS)) stage.found(await spokenByTheDead(agent, session))
  } finally {
    replica.signal('SIGCONT')
    agent.avoid(null)
    victims.free(replica.name)
  }
}

const elsewhere = (agent: FaultyAgent, replica: Replica): Replica | null => {
  const now = agent.speaksWith()
  return now === replica ? null : now
}

const hasSpoken = async (agent: FaultyAgent, before: number): Promise<void> => {
  for (let waited = 0; waited < 3_000 && agent.statuses() === before; waited += 20) await wait(20)
  await wait(50)
}

const createRow = ({ database }: Stage, session: string) => ({
  comesToSay: async (status: string, withinMs: number): Promise<boolean> => {
    for (const deadline = performance.now() + withinMs; performance.now() < deadline; await wait(50)) {
      // Not what a deadline says, which nobody observed.
      const [row] = await database.query(
        `SELECT status FROM sessions
          WHERE id = $1 AND observed_generation = generation AND (status <> 'failed' OR status_reason = 'exited_early')`,
        [session],
      )
      if (row?.status === status) return true
    }
    return false
  },
})

/**
 * The row has said that it runs, and then what its agent had said before. Looked at here and not at the end: the agent's
 * next inventory puts it right. Nobody touches the agent meanwhile, so that the ledger is its last word.
 */
const spokenByTheDead = async (agent: FaultyAgent, session: string): Promise<readonly Finding[]> => {
  const there = (await readLedgers([agent])).held.get(agent.id)?.get(session)
  if (there?.status !== 'running') return []
  const what = `the row says failed since a server spoke that had lost ${agent.id}, where it runs at ${there.generation}`
  return [{ kind: 'stale', session, what, seen: { atMs: Date.now(), facts: {} } }]
}
