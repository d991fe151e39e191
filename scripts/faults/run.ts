/** One run: everything started, commands and faults for as long as was asked, then the waiting, then the judgement. */
import { setTimeout as wait } from 'node:timers/promises'
import type { Endings } from '../bench/bench.ts'
import { alwaysWrong, type Finding, type Restore, wrongAtTheEnd } from './check.ts'
import { type Clients, startClients } from './clients.ts'
import { type Dealt, deal, type FaultKind } from './deck.ts'
import { evidenceOf, type MadeFault } from './evidence.ts'
import { type FactSources, readFacts } from './facts.ts'
import { convergenceBoundMs, intervalsNamed } from './intervals.ts'
import { networkFaults } from './network-faults.ts'
import type { RunOptions } from './options.ts'
import { processFaults, startPatiently } from './process-faults.ts'
import { restored } from './restore-fault.ts'
import { type Scene, startScene } from './scene.ts'
import { createVictims, type Stage } from './stage.ts'
import { watchWaits } from './wait-watch.ts'

export type Report = {
  readonly commands: number
  readonly figures: Clients['figures']
  readonly faults: ReadonlyMap<FaultKind, { readonly times: number; readonly inFlight: number }>
  /** Of those: how often a fault could not look at what it is made for. */
  readonly unjudged: number
  /** Null: not within the bound. */
  readonly convergedMs: number | null
  readonly boundMs: number
  readonly findings: readonly Finding[]
  /** What is known of the first sessions in them. */
  readonly evidence: readonly string[]
  /** Creates that were answered with 503 and are there nevertheless. */
  readonly unavailableButDone: number
  /** How often everything that waits was looked at. */
  readonly looks: number
}

export type Progress = (now: {
  readonly what: string
  readonly doneMs: number
  readonly ofMs: number
  readonly commands: number
  readonly faults: number
}) => void

export type RunSettings = {
  readonly options: RunOptions
  readonly directory: string
  readonly ends: Endings['add']
  readonly progress: Progress
}

/** A copy is put back when it is a minute old; in a run of a minute, earlier. */
const COPY_AGE_MS = 60_000

export const runFaults = async ({ options, directory, ends, progress }: RunSettings): Promise<Report> => {
  const intervals = intervalsNamed[options.intervals]
  const durationMs = options.minutes * 60_000
  const boundMs = convergenceBoundMs(intervals)
  const began = performance.now()
  const findings: Finding[] = []
  const journal: MadeFault[] = []
  const faults = new Map<FaultKind, { times: number; inFlight: number }>()
  const restores: Restore[] = []
  let unjudged = 0
  const struck = (kind: FaultKind, inFlight: boolean): void => {
    const count = faults.get(kind) ?? { times: 0, inFlight: 0 }
    faults.set(kind, { times: count.times + 1, inFlight: count.inFlight + (inFlight ? 1 : 0) })
  }

  const scene = await startScene({
    directory,
    seed: options.seed,
    replicas: options.replicas,
    agents: options.agents,
    intervals,
    ends,
  })
  const clients = startClients({
    seed: options.seed,
    clients: options.clients,
    orgs: scene.orgs,
    replicas: scene.replicas,
    agentIds: scene.agents.map(({ id }) => id),
    paceMs: options.paceMs,
  })
  const over = new AbortController()
  ends('the clients', async () => {
    over.abort()
    await clients.stop()
  })

  const stage: Stage = {
    ...scene,
    clients,
    intervals,
    restores,
    copyAgeMs: Math.min(COPY_AGE_MS, durationMs / 3),
    struck,
    unjudged: () => {
      unjudged += 1
    },
    found: (wrong) => findings.push(...wrong),
    victims: createVictims(scene),
    wait: (ms) => wait(ms, undefined, { signal: over.signal }).catch(() => {}),
  }
  const waits = watchWaits(scene, stage.victims)
  ends('the watch of what waits', waits.stop)
  const from = performance.now()
  const commands = () => clients.figures.commands
  const count = () => [...faults.values()].reduce((sum, { times }) => sum + times, 0)
  const tell = (what: string): void =>
    progress({ what, doneMs: performance.now() - from, ofMs: durationMs, commands: commands(), faults: count() })
  const ticking = setInterval(() => tell('faults'), 1_000)

  try {
    await makeFaults(stage, options, from + durationMs, over, journal)
  } finally {
    clearInterval(ticking)
  }
  await clients.stop()
  const last = performance.now()
  tell('waiting')
  const sources: FactSources = {
    database: scene.database,
    agents: scene.agents,
    promises: () => clients.promises.values(),
    restores,
  }
  const wrong = await waitForTheEnd(sources, last + boundMs)
  const convergedMs = wrong.length === 0 ? performance.now() - last : null
  await waits.stop()
  findings.push(
    ...wrong,
    ...alwaysWrong(await readFacts(sources)),
    ...scene.agents.flatMap((agent) => agent.disordered()),
    ...waits.findings(),
    ...endedByThemselves(scene),
    ...dishonest(clients),
  )
  tell(`over after ${Math.round((performance.now() - began) / 1_000)} s`)
  return {
    commands: commands(),
    figures: clients.figures,
    faults,
    unjudged,
    convergedMs,
    boundMs,
    findings: unique(findings),
    evidence: await evidenceOf(sources, findings, journal),
    unavailableButDone: await doneNevertheless(scene, clients),
    looks: waits.looks(),
  }
}

const faultOf = (stage: Stage, { kind, random }: Dealt): Promise<void> => {
  if (kind === 'restored') return restored(stage)
  const all = { ...processFaults, ...networkFaults }
  return all[kind](stage, random)
}

/** Several at a time, as they come; a new one does not wait for those before it, but for its turn. */
const makeFaults = async (
  stage: Stage,
  options: RunOptions,
  until: number,
  over: AbortController,
  journal: MadeFault[],
): Promise<void> => {
  const underWay = new Set<Promise<void>>()
  const failures: unknown[] = []
  const pace = { fromMs: options.faultsFromMs, toMs: options.faultsToMs }
  for (const dealt of deal(options.seed, options.kinds, pace)) {
    await stage.wait(dealt.pauseMs)
    if (performance.now() >= until || failures.length > 0 || over.signal.aborted) break
    const made: MadeFault = { kind: dealt.kind, fromMs: Date.now(), toMs: null }
    journal.push(made)
    const fault = faultOf(stage, dealt).catch((error: unknown) => {
      failures.push(error)
    })
    underWay.add(fault)
    void fault.then(() => {
      made.toMs = Date.now()
      underWay.delete(fault)
    })
  }
  over.abort()
  await Promise.all(underWay)
  for (const replica of stage.replicas) if (replica.port() === null) await startPatiently(replica)
  if (failures.length > 0) throw failures[0]
}

const waitForTheEnd = async (sources: FactSources, deadline: number): Promise<readonly Finding[]> => {
  for (;;) {
    const asked = performance.now()
    // Everything is read only when there is hope: after a long run that takes seconds.
    if (asked >= deadline || !(await anyWaits(sources.database))) {
      const wrong = wrongAtTheEnd(await readFacts(sources))
      if (wrong.length === 0 || asked >= deadline) return wrong
    }
    await wait(Math.min(500, Math.max(0, deadline - performance.now())))
  }
}

const anyWaits = async ({ tryQuery }: Scene['database']): Promise<boolean> => {
  const rows = await tryQuery(`
    SELECT EXISTS (SELECT FROM outbox WHERE status = 'pending')
        OR EXISTS (SELECT FROM sessions WHERE status_deadline IS NOT NULL AND deleted_at IS NULL) AS waits`)
  return rows === null || rows[0]?.waits === true
}

const endedByThemselves = ({ replicas }: Scene): readonly Finding[] =>
  replicas.flatMap((replica): readonly Finding[] => {
    const output = replica.ended()
    return output === null
      ? []
      : [{ kind: 'stuck', session: null, what: `${replica.name} ended by itself:\n${output}` }]
  })

const dishonest = ({ figures }: Clients): readonly Finding[] => [
  ...Array.from(
    { length: figures.foreign },
    (): Finding => ({
      kind: 'foreign',
      session: null,
      what: "another org's session was read or changed",
    }),
  ),
  ...Array.from(
    { length: figures.faults },
    (): Finding => ({
      kind: 'lost',
      session: null,
      what: 'a call was answered with a 5xx that is no 503: nobody knows what became of it',
    }),
  ),
]

const doneNevertheless = async ({ database }: Scene, { unavailableCreates }: Clients): Promise<number> => {
  const [row] = await database.query('SELECT count(*)::int AS done FROM sessions WHERE name = ANY($1)', [
    [...unavailableCreates],
  ])
  return row.done
}

const unique = (findings: readonly Finding[]): readonly Finding[] => [
  ...new Map(
    findings.map((finding, at) => [
      finding.session === null ? at : `${finding.kind} ${finding.session} ${finding.what}`,
      finding,
    ]),
  ).values(),
]
