/** A whole inventory of one agent, compared with the rows; the actions of `domain/agent/reconcile.ts` carried out. */
import { fulfils, type RowAction, reconcile } from '../../domain/agent/reconcile.ts'
import type { SessionId } from '../../domain/ids.ts'
import type { Peer } from '../../domain/ports/agents.ts'
import type { Clock, Ids } from '../../domain/ports/clock.ts'
import type { InventoryEntry, ReportAnswer, Wake } from '../../domain/ports/delivery.ts'
import type { InventoryReads } from '../../domain/ports/inventories.ts'
import type { FoundOrphan } from '../../domain/ports/orphans.ts'
import type { ReportStore, ReportWrite } from '../../domain/ports/reports.ts'
import type { SessionStore } from '../../domain/ports/sessions.ts'
import { askedAgain } from '../../domain/session/asked-again.ts'
import { deleted, observe, type ReportContext } from '../../domain/session/observe.ts'
import { released, removedOutside, restored } from '../../domain/session/reconciled.ts'
import { repairsAllowed } from '../../domain/session/repair.ts'
import { reportOf } from '../../domain/session/report.ts'
import { type Decision, isUnchanged, type Session } from '../../domain/session/session.ts'
import type { Timeouts } from '../../domain/session/timeouts.ts'
import type { AgentsOrphans } from './reconcile-orphans.ts'
import { judgeRemoved } from './repair-removed.ts'

export type ReconcileDeps = {
  readonly inventories: Pick<InventoryReads, 'asTold' | 'sessions'>
  readonly sessions: Pick<SessionStore, 'loadMany'>
  readonly reports: ReportStore
  readonly wake: Wake
  readonly clock: Clock
  readonly ids: Ids
  readonly timeouts: Timeouts
  readonly capacityFreed: () => void
  /** What this agent has that is not its own here: once an inventory, with all of it, also when there is none. */
  readonly reconcileOrphans: (peer: Peer, orphans: AgentsOrphans) => Promise<ReportAnswer>
}

/** Rows in one statement: large enough to be quick, small enough not to hold locks for long. */
const ROWS_AT_ONCE = 500
/** Rounds of deciding again about rows that someone else changed meanwhile. */
const ROUNDS = 5

export const reconcileInventory =
  (deps: ReconcileDeps) =>
  async (
    peer: Peer,
    inventory: readonly InventoryEntry[],
    /** Sessions of which the agent has said something after this inventory; filled while it is compared. */
    spokenSince: ReadonlySet<SessionId>,
  ): Promise<ReportAnswer> => {
    const mentioned = inventory.map((entry) => entry.sessionId)
    const found: FoundOrphan[] = []
    const { agentId } = peer
    const asTold = await deps.inventories.asTold({ agentId, inventory })
    let rows = await deps.inventories.sessions({ agentId, mentioned, asTold })
    let entries = inventory.filter((entry) => !asTold.has(entry.sessionId))
    for (let round = 1; ; round += 1) {
      const work = sorted(peer, rows, entries, spokenSince)
      if (round === 1) found.push(...work.found)
      const outcome = await carryOut(deps, peer, work)
      if (outcome === 'fenced') return 'fenced'
      if (outcome.conflicts.size === 0) break
      // Whoever asks for another inventory then gets one that is newer than all of this.
      if (round === ROUNDS) throw new Error(`an inventory lost ${ROUNDS} races for ${outcome.conflicts.size} rows`)
      rows = await deps.sessions.loadMany([...outcome.conflicts])
      entries = inventory.filter((entry) => outcome.conflicts.has(entry.sessionId))
    }
    return deps.reconcileOrphans(peer, { found, resources: inventory.length, spokenSince })
  }

type Restore = Extract<RowAction, { type: 'restore' }>

type Work = {
  readonly writes: readonly RowAction[]
  /** The agent is ahead of the row, and has something else than the row asks for. */
  readonly contested: readonly Restore[]
  readonly removed: readonly Session[]
  readonly redeliveries: readonly Session[]
  /** Of these the agent has something else at the very generation at which it was asked for, or at a later one. */
  readonly denied: readonly Session[]
  readonly found: readonly FoundOrphan[]
}

const sorted = (
  peer: Peer,
  rows: readonly Session[],
  entries: readonly InventoryEntry[],
  spokenSince: ReadonlySet<SessionId>,
): Work => {
  const writes: RowAction[] = []
  const contested: Restore[] = []
  const redeliveries: Session[] = []
  const removed: Session[] = []
  const found: FoundOrphan[] = []
  const held = new Map(entries.map(({ sessionId, generation }) => [sessionId, generation]))
  const isDenied = ({ id, generation }: Session): boolean => (held.get(id) ?? -1) >= generation
  for (const action of reconcile(peer.agentId, rows, entries)) {
    if (action.type === 'orphan') found.push({ entry: action.entry, reason: action.reason })
    else if (spokenSince.has(action.session.id)) continue
    else if (action.type === 'redeliver') redeliveries.push(action.session)
    else if (action.type === 'restore' && !fulfils(action.session, action.entry)) contested.push(action)
    else if (action.type === 'removed_outside' && repairsAllowed(action.session) > 0) removed.push(action.session)
    else writes.push(action)
  }
  return { writes, contested, removed, redeliveries, denied: redeliveries.filter(isDenied), found }
}

/** Answers whose rows were changed by someone else since they were read. */
const carryOut = async (
  deps: ReconcileDeps,
  peer: Peer,
  work: Work,
): Promise<'fenced' | { readonly conflicts: ReadonlySet<SessionId> }> => {
  const context: ReportContext = { agentId: peer.agentId, at: deps.clock.now(), timeouts: deps.timeouts }
  const conflicts = new Set<SessionId>()

  const judged = await judgeRemoved(deps)(peer, work.removed, context)
  const { older, newer } = await judgeContested(deps, peer, work.contested)
  const writes = [...[...work.writes, ...older].flatMap((action) => writeOf(peer, action, context)), ...judged.writes]
  for (const some of inParts(writes)) {
    const written = await deps.reports.write(some)
    if (written.fenced.size > 0) return 'fenced'
    for (const id of written.conflicts) conflicts.add(id)
  }
  if (writes.some(({ decision }) => decision?.previous?.reservedOn && decision.session.reservedOn === null))
    deps.capacityFreed()

  const outpaced = await outpacedOf(deps, work)
  const isOutpaced = ({ id, agentId }: Session) => outpaced.has(id) && agentId === peer.agentId
  const again = (session: Session, above: number): Decision =>
    askedAgain(session, above, {
      actor: 'reconciler',
      at: deps.clock.now(),
      commandId: deps.ids.command(),
      timeouts: deps.timeouts,
    })
  const intents = [
    ...judged.repairs,
    ...work.redeliveries.filter(isOutpaced).map((session) => again(session, session.generation)),
    ...newer.map(({ session, entry }) => again(session, entry.generation)),
  ]
  for (const some of inParts(intents)) {
    const { fenced, repaired } = await deps.reports.repair(peer, some)
    if (fenced) return 'fenced'
    if (repaired.length > 0) deps.wake.agents([peer.agentId])
    const done = new Set(repaired)
    for (const { session } of some) if (!done.has(session.id)) conflicts.add(session.id)
  }

  const redeliveries = work.redeliveries.filter((session) => !isOutpaced(session)).map(({ id }) => id)
  for (const some of inParts(redeliveries)) deps.wake.agents(await deps.reports.redeliver(some, peer))
  return { conflicts }
}

/** Those that are not to be told again what they were told, but asked above what their agents know. */
const outpacedOf = async ({ reports }: ReconcileDeps, work: Work): Promise<ReadonlySet<SessionId>> => {
  if (work.redeliveries.length === 0) return new Set()
  return reports.outpaced(
    work.redeliveries.map(({ id }) => id),
    work.denied.map(({ id }) => id),
  )
}

/**
 * An intent that the lost part of history may have overtaken must not end work in use. One that was committed after
 * the restore is newer than all of that, and is promised.
 */
const judgeContested = async (
  { reports }: ReconcileDeps,
  peer: Peer,
  contested: readonly Restore[],
): Promise<{ readonly older: readonly Restore[]; readonly newer: readonly Restore[] }> => {
  if (contested.length === 0) return { older: [], newer: [] }
  const since = await reports.askedSince(
    peer,
    contested.map(({ session }) => session.id),
  )
  return {
    older: contested.filter(({ session }) => !since.has(session.id)),
    // What still waits for room is decided when it has been sent.
    newer: contested.filter(({ session }) => since.has(session.id) && session.status !== 'pending'),
  }
}

const inParts = function* <A>(all: readonly A[]): Generator<readonly A[]> {
  for (let start = 0; start < all.length; start += ROWS_AT_ONCE) yield all.slice(start, start + ROWS_AT_ONCE)
}

const writeOf = (peer: Peer, action: RowAction, context: ReportContext): readonly ReportWrite[] => {
  const decision = decisionOf(action, context)
  const doneUpTo = action.type === 'observe' && action.settles ? action.entry.generation : null
  const changed = decision !== null && !isUnchanged(decision)
  if (!changed && doneUpTo === null) return []
  return [{ peer, sessionId: action.session.id, decision: changed ? decision : null, outcomes: [], doneUpTo }]
}

const decisionOf = (action: RowAction, context: ReportContext): Decision | null => {
  switch (action.type) {
    case 'observe': {
      const outcome = observe(
        action.session,
        reportOf(action.entry.generation, unsaidKept(action.session, action.entry)),
        context,
      )
      return outcome.kind === 'decided' ? outcome.decision : null
    }
    case 'removed_outside':
      return removedOutside(action.session, context)
    case 'release': {
      if (action.session.desiredState !== 'deleted') return released(action.session, context)
      const outcome = deleted(action.session, action.session.generation, context)
      return outcome.kind === 'decided' ? outcome.decision : null
    }
    case 'restore':
      return restored(action.session, action.entry, context)
  }
}

/** An inventory is terse: a reason or message that it leaves out is still the one that was told when it happened. */
const unsaidKept = (session: Session, entry: InventoryEntry): InventoryEntry =>
  isTheSame(session.status, entry.status)
    ? { ...entry, reason: entry.reason ?? session.statusReason, message: entry.message ?? session.statusMessage }
    : entry

const isAtRest = (status: string): boolean => status === 'stopped' || status === 'hibernated'

/** Which of the two rests it is called follows what was asked, not what the agent calls it. */
const isTheSame = (row: Session['status'], said: InventoryEntry['status']): boolean =>
  row === said || (row === 'scheduling' && said === 'starting') || (isAtRest(row) && isAtRest(said))
