/**
 * What is wrong, given the rows, the ledgers and what clients were promised: pure, and the only judge of a run.
 * Nothing that the server counts itself is looked at.
 *
 * lost: promised, and not there · doubled: done twice at one generation, or in two places · reordered: an older
 * generation after a newer one · stale: the row says something else than the ledger · stuck: still waiting ·
 * capacity: what is allocated is not the sum · foreign: another org's · destroyed: ended without anybody's intent
 */
import { LOST_GENERATIONS } from '../../domain/session/asked-again.ts'
import { type HeldThere, type LedgerLine, type LedgerState, replay } from './ledger.ts'
import type { Promised } from './promises.ts'

export const kinds = ['lost', 'doubled', 'reordered', 'stale', 'stuck', 'capacity', 'foreign', 'destroyed'] as const
export type Kind = (typeof kinds)[number]
export type Finding = {
  readonly kind: Kind
  readonly session: string | null
  readonly what: string
  /** Where it was found while the run lasted: when (ms since 1970), and what else was so then. */
  readonly seen?: { readonly atMs: number; readonly facts: object }
}

export type SessionRow = {
  readonly id: string
  readonly agentId: string | null
  readonly reservedOn: string | null
  readonly desired: LedgerState
  readonly generation: number
  readonly observedGeneration: number
  readonly status: string
  readonly reason: string | null
  readonly deleted: boolean
  readonly label: string | null
}

export type OutboxRow = {
  readonly session: string
  readonly generation: number
  readonly agentId: string
  readonly status: string
  readonly sentAtMs: number | null
}

export type AgentRow = { readonly id: string; readonly allocatedSessions: number; readonly reservedSessions: number }

export type Effect = Extract<LedgerLine, { what: 'effect' }> & { readonly agentId: string }

export type Ledgers = {
  readonly effects: ReadonlyMap<string, readonly Effect[]>
  /** When an agent last said that there was nothing to end. */
  readonly nothing: ReadonlyMap<string, number>
  /** By agent, then by session. */
  readonly held: ReadonlyMap<string, ReadonlyMap<string, HeldThere>>
}

/** A database that was put back: which sessions it concerns, and when (the ledger's clock). */
export type Restore = {
  readonly at: number
  readonly resumedAt: number
  /** Changed between the copy and the restore. */
  readonly touched: ReadonlySet<string>
  /** `session:generation` of what the older database still wants ended: asked for before the copy, and carried out whenever it can be. */
  readonly asked: ReadonlySet<string>
  /** What ran when the database was put back. */
  readonly running: ReadonlySet<string>
}

export type Facts = {
  readonly sessions: readonly SessionRow[]
  readonly outbox: readonly OutboxRow[]
  readonly agents: readonly AgentRow[]
  readonly ledgers: Ledgers
  /** An array, as more than one look is taken: an iterator would show the first of them everything and the rest nothing. */
  readonly promises: readonly Promised[]
  readonly restores: readonly Restore[]
}

/** Replicas take the time from the database, a little late or early. */
const CLOCK_SLACK_MS = 1_000

const WAITING = new Set(['pending', 'scheduling', 'hibernating', 'stopping', 'deleting'])

/** The lines of all ledgers, in the order of each; effects of a session over all agents in the order of time. */
export const createLedgers = (): {
  readonly add: (agentId: string, line: LedgerLine) => void
  readonly done: () => Ledgers
} => {
  const effects = new Map<string, Effect[]>()
  const held = new Map<string, Map<string, HeldThere>>()
  const nothing = new Map<string, number>()
  return {
    add: (agentId, line) => {
      const here = held.get(agentId) ?? new Map<string, HeldThere>()
      held.set(agentId, here)
      replay(here, line)
      if (line.what === 'nothing') nothing.set(line.session, Math.max(line.at, nothing.get(line.session) ?? 0))
      if (line.what !== 'effect') return
      const of = effects.get(line.session)
      if (of === undefined) effects.set(line.session, [{ ...line, agentId }])
      else of.push({ ...line, agentId })
    },
    done: () => {
      for (const of of effects.values()) of.sort((a, b) => a.at - b.at)
      return { effects, nothing, held }
    },
  }
}

/** What must hold whatever is still under way: promises have their rows, effects their order. */
export const alwaysWrong = (facts: Facts): readonly Finding[] => [
  ...withoutRow(facts),
  ...outOfOrder(facts),
  ...carriedOutLate(facts),
  ...endedByRestore(facts),
]

/** What must hold once everything has had its time. */
export const wrongAtTheEnd = (facts: Facts): readonly Finding[] => [
  ...facts.sessions.flatMap((row) => (isExempt(facts, row.id, row.agentId) ? [] : unlike(facts, row))),
  ...inTwoPlaces(facts),
  ...leftWaiting(facts),
  ...facts.agents.flatMap(({ id, allocatedSessions, reservedSessions }): Finding[] =>
    allocatedSessions === reservedSessions
      ? []
      : [
          {
            kind: 'capacity',
            session: null,
            what: `${id}: ${allocatedSessions} allocated, ${reservedSessions} reserved`,
          },
        ],
  ),
]

const withoutRow = ({ sessions, outbox, promises, restores, ledgers }: Facts): readonly Finding[] => {
  const rows = new Map(sessions.map((row) => [row.id, row]))
  const commands = new Set(outbox.map(({ session, generation }) => `${session}:${generation}`))
  const findings: Finding[] = []
  for (const promised of promises) {
    if (promised.rolledBack) continue
    const row = rows.get(promised.id)
    const lost = (what: string) => findings.push({ kind: 'lost', session: promised.id, what })
    if (row === undefined) lost('there is no row')
    else {
      const last = promised.accepted
      const forgotten = forgottenOf(row, restores, ledgers)
      const isTakenOver = forgotten.has(row.generation) && [promised.desired, ...promised.loose].includes(row.desired)
      if (row.generation < last) lost(`the row is at ${row.generation}, ${last} was promised`)
      else if (row.generation > last + promised.loose.length && !isTakenOver && !askedAgain(row, last, restores))
        lost(`the row is at ${row.generation}, nobody asked for more than ${last}`)
      else if (row.generation === last && row.desired !== promised.desired && !row.deleted)
        lost(`${promised.desired} was promised at ${last}, the row says ${row.desired}`)
      for (const { generation } of promised.commanded)
        if (!commands.has(`${promised.id}:${generation}`) && !forgotten.has(generation))
          lost(`generation ${generation} was promised and has no command`)
      if (promised.patch !== null && row.label !== promised.patch && !promised.loosePatches.includes(row.label ?? ''))
        lost(`label ${promised.patch} was promised, the row has ${row.label}`)
    }
  }
  return findings
}

/**
 * Generations that agents had reached in a part of history that the database has lost. A session that had no agent in
 * the older database may be given to the same one again, whenever somebody starts it; then its row takes over what
 * runs there, without a command.
 */
const forgottenOf = ({ id }: SessionRow, restores: Facts['restores'], ledgers: Ledgers): ReadonlySet<number> => {
  const lostIn = restores.filter(({ touched }) => touched.has(id))
  if (lostIn.length === 0) return new Set()
  const effects = ledgers.effects.get(id) ?? []
  return new Set(
    effects.filter((effect) => lostIn.some(({ at }) => effect.at < at)).map(({ generation }) => generation),
  )
}

/** The server itself has raised an intent above what an agent can know from a history that was lost. */
const askedAgain = ({ id, generation }: SessionRow, last: number, restores: Facts['restores']): boolean =>
  generation >= last + LOST_GENERATIONS && restores.some(({ touched }) => touched.has(id))

const outOfOrder = ({ ledgers, restores }: Facts): readonly Finding[] => {
  const findings: Finding[] = []
  for (const [session, effects] of ledgers.effects) {
    let newest: Effect | null = null
    const newestOn = new Map<string, Effect>()
    for (const effect of effects) {
      const here: Effect | null = newestOn.get(effect.agentId) ?? null
      newestOn.set(effect.agentId, effect)
      // What a session left behind on an agent that could not be reached is removed after it has begun elsewhere.
      const isLeftOver: boolean = effect.state === 'deleted' && newest !== null && newest.agentId !== effect.agentId
      const from: Effect | null = isLeftOver ? here : newest
      const restored = restores.some(
        ({ at, touched }) => touched.has(session) && from !== null && from.at < at && effect.at >= at,
      )
      if (from !== null && !restored && effect.generation <= from.generation)
        findings.push({
          kind: effect.generation === from.generation ? 'doubled' : 'reordered',
          session,
          what: `${effect.state} at ${effect.generation} on ${effect.agentId} after ${from.state} at ${from.generation} on ${from.agentId}`,
        })
      if (!isLeftOver) newest = effect
    }
  }
  return findings
}

/** A command was sent, or may still be, after a newer one of its session had been promised. */
const carriedOutLate = ({ outbox, promises }: Facts): readonly Finding[] => {
  const commands = Map.groupBy(outbox, ({ session }) => session)
  const findings: Finding[] = []
  for (const { id, commanded, rolledBack } of promises) {
    const newest = commanded.at(-1)
    if (rolledBack || newest === undefined) continue
    for (const row of commands.get(id) ?? []) {
      const newer = commanded.find(({ generation }) => generation > row.generation)
      if (newer === undefined) continue
      if (row.status !== 'pending' && (row.sentAtMs ?? 0) <= newer.atMs + CLOCK_SLACK_MS) continue
      const what = `the command of ${row.generation} was sent, or is pending, after ${newer.generation} was promised`
      findings.push({ kind: 'reordered', session: id, what })
    }
  }
  return findings
}

/** Nothing that ran when an older database was put back may end before somebody asks for it. */
const endedByRestore = ({ ledgers, restores, sessions }: Facts): readonly Finding[] => {
  const known = new Set(sessions.map(({ id }) => id))
  const findings: Finding[] = []
  for (const restore of restores)
    for (const session of restore.running) {
      if (!restore.touched.has(session) && known.has(session)) continue
      const until = known.has(session) ? restore.resumedAt : Number.POSITIVE_INFINITY
      for (const effect of ledgers.effects.get(session) ?? [])
        if (effect.at > restore.at && effect.at < until && isUnasked(restore, effect))
          findings.push({ kind: 'destroyed', session, what: `${effect.state} after the database was put back` })
    }
  return findings
}

const isUnasked = ({ asked }: Restore, { session, generation, state }: Effect): boolean =>
  state !== 'running' && !asked.has(`${session}:${generation}`)

/**
 * Whether it went to another agent in a part of history that the database has lost: the row is older than that, and
 * looks where nothing is left. What becomes of such a session is not judged.
 */
const isExempt = ({ restores, ledgers }: Facts, session: string, agentId: string | null): boolean =>
  restores.some(({ at, touched }) => {
    const last = ledgers.effects.get(session)?.findLast((effect) => effect.at < at)
    return touched.has(session) && last !== undefined && last.agentId !== agentId
  })

const unlike = ({ ledgers }: Facts, row: SessionRow): readonly Finding[] => {
  const there = row.agentId === null ? undefined : ledgers.held.get(row.agentId)?.get(row.id)
  const on = there === undefined ? 'nothing' : `${there.status} at ${there.generation}`
  const stale = (what: string): Finding[] => [{ kind: 'stale', session: row.id, what: `${what}; the agent has ${on}` }]
  const says = `the row says ${row.status} (${row.reason}) at ${row.observedGeneration} of ${row.generation}, asked ${row.desired}`
  if (row.deleted) return there === undefined && row.reservedOn === null ? [] : stale(`${says}, deleted`)
  if (WAITING.has(row.status)) return [{ kind: 'stuck', session: row.id, what: `${says}; the agent has ${on}` }]
  // Given up while nobody could take it. That nobody could is judged while it waits (`waits.ts`).
  if (row.desired === 'running' && row.status === 'failed' && row.reason === 'placement_timeout')
    return there?.status === 'running' ? stale(says) : []
  if (row.observedGeneration !== row.generation) return stale(says)
  if (
    row.desired === 'running' &&
    there !== undefined &&
    there.generation === row.generation &&
    there.status === row.status
  )
    return []
  if (row.desired === 'running' && row.status === 'failed' && row.reason === 'removed_outside' && there === undefined)
    return []
  const rests = there === undefined || (there.generation === row.generation && there.status !== 'running')
  if (row.desired !== 'running' && row.status === row.desired && rests) return []
  return stale(says)
}

const inTwoPlaces = (facts: Facts): readonly Finding[] => {
  const { ledgers, sessions } = facts
  const agentOf = new Map(sessions.map((row) => [row.id, row.agentId]))
  const findings: Finding[] = []
  for (const [agentId, held] of ledgers.held)
    for (const [session, there] of held) {
      const its = agentOf.get(session)
      if (there.status === 'running' && its !== undefined && its !== agentId && !isExempt(facts, session, its))
        findings.push({ kind: 'doubled', session, what: `runs on ${agentId} too, the row says ${its}` })
    }
  return findings
}

const leftWaiting = (facts: Facts): readonly Finding[] =>
  facts.outbox
    .filter(({ status, session, agentId }) => status === 'pending' && !isExempt(facts, session, agentId))
    .map(({ session, generation, agentId }) => ({
      kind: 'stuck',
      session,
      what: `the command of ${generation} for ${agentId} is still pending`,
    }))
