/**
 * A database that is put back from an older copy while agents keep what is newer, as a person does it after an
 * accident: everything of the server is stopped, the copy takes the place of the files, everything is started. Clients wait
 * meanwhile: what they were promised between the copy and the restore is gone with the database, and what they ask
 * before the agents have spoken is not covered (`docs/delivery-proof.md`).
 */
import { setTimeout as wait } from 'node:timers/promises'
import { alwaysWrong, type Ledgers, type Restore } from './check.ts'
import { LONGEST_APPLY_MS } from './durable-platform.ts'
import { readFacts, readLedgers } from './facts.ts'
import { convergenceBoundMs } from './intervals.ts'
import { ledgerNow } from './ledger.ts'
import { startPatiently } from './process-faults.ts'
import { connected } from './scene.ts'
import { inFlightAnywhere, type Stage, whenBusy } from './stage.ts'

/** How late a timer may come. */
const SLOW_MACHINE_MS = 1_000

export const restored = async (stage: Stage): Promise<void> => {
  const { database, victims, clients } = stage
  if (!victims.claim('restore')) return
  if (!victims.one('postgres')) return victims.free('restore')
  let copiedAt = 0
  try {
    copiedAt = await database.copyAside()
  } finally {
    victims.free('postgres')
  }
  await stage.wait(stage.copyAgeMs)

  victims.free('restore')
  await victims.all()
  try {
    stage.struck('restored', await whenBusy(() => inFlightAnywhere(stage)))
    await clients.pause()
    // The promises of the part of history that goes with the database are judged while it is there.
    stage.found(alwaysWrong(await factsOf(stage)))
    for (const replica of stage.replicas) replica.signal('SIGKILL')
    for (const replica of stage.replicas) await replica.gone()
    await Promise.all([database.putBack(), wait(LONGEST_APPLY_MS + SLOW_MACHINE_MS)])
    const at = ledgerNow()
    const before = await readLedgers(stage.agents)
    const asked = await endingsAskedFor(stage)
    const restore = { at, asked, touched: touchedSince(before, copiedAt), running: runningIn(before) }
    for (const replica of stage.replicas) await startPatiently(replica)
    await connected(stage.agents)
    await caughtUp(stage, before, restore)
    stage.restores.push({ ...restore, resumedAt: ledgerNow() })
    await clients.rebase()
  } finally {
    clients.resume()
    victims.freeAll()
  }
  await lookTwice(stage)
}

/** Long enough for a removal to be begun, sent and carried out. */
const REMOVAL_TAKES_MS = 3_000

/**
 * What the older database does not know is removed, if at all, when an inventory finds it a second time after its
 * grace. So every agent is made to send a second one, and the run waits for what comes of it.
 */
const lookTwice = async ({ agents, intervals }: Stage): Promise<void> => {
  await wait(intervals.orphanGraceMs)
  const before = agents.map((agent) => agent.inventories())
  for (const agent of agents) for (const line of agent.proxy.lines()) line.cut()
  for (const deadline = performance.now() + convergenceBoundMs(intervals); performance.now() < deadline; await wait(50))
    if (agents.every((agent, at) => agent.inventories() > (before[at] ?? 0))) break
  await wait(REMOVAL_TAKES_MS)
}

const factsOf = (stage: Stage) =>
  readFacts({
    database: stage.database,
    agents: stage.agents,
    promises: () => stage.clients.promises.values(),
    restores: stage.restores,
  })

/** No server runs yet: what the older database has is what was asked before the copy. */
const endingsAskedFor = async ({ database }: Stage): Promise<ReadonlySet<string>> => {
  const rows = await database.query(
    `SELECT id || ':' || generation AS asked FROM sessions WHERE desired_state <> 'running' AND deleted_at IS NULL`,
  )
  return new Set(rows.map(({ asked }) => asked as string))
}

const touchedSince = (ledgers: Ledgers, copiedAt: number): ReadonlySet<string> =>
  new Set([
    ...[...ledgers.effects].filter(([, of]) => (of.at(-1)?.at ?? 0) >= copiedAt).map(([session]) => session),
    ...[...ledgers.nothing].filter(([, at]) => at >= copiedAt).map(([session]) => session),
  ])

const runningIn = (ledgers: Ledgers): ReadonlySet<string> =>
  new Set(
    [...ledgers.held.values()].flatMap((held) =>
      [...held].filter(([, there]) => there.status === 'running').map(([session]) => session),
    ),
  )

type Row = { readonly id: string; readonly agentId: string | null; readonly generation: number }
const ROWS = 'SELECT id, agent_id AS "agentId", generation::float8 AS generation FROM sessions'

/** Every row has taken over what its agent has that is newer. If not in time, the end of the run says so. */
const caughtUp = async (stage: Stage, before: Ledgers, restore: Pick<Restore, 'touched'>): Promise<void> => {
  // A session that the older database has nowhere, or elsewhere, has nothing to take over from there.
  const isBehind = ({ id, agentId, generation }: Row): boolean =>
    agentId !== null && restore.touched.has(id) && generation < (before.held.get(agentId)?.get(id)?.generation ?? 0)
  for (const deadline = performance.now() + convergenceBoundMs(stage.intervals); performance.now() < deadline; ) {
    const rows: readonly Row[] = await stage.database.query(ROWS)
    if (!rows.some(isBehind)) return
    await wait(200)
  }
}
