/**
 * A session's life as a fold over steps: what people ask, what agents say, what time does. It runs the
 * deciders as the use cases do and keeps beside the row what only an onlooker knows: which commands were
 * sent, and where something may be running.
 */
import fc from 'fast-check'
import type { Agent } from '../../domain/agent/agent.ts'
import { reconcile } from '../../domain/agent/reconcile.ts'
import { E } from '../../domain/fp.ts'
import type { AgentId, CommandId } from '../../domain/ids.ts'
import { applyResult } from '../../domain/outbox/result.ts'
import { slotFor } from '../../domain/placement/slot.ts'
import type { CommandResult, WireReport } from '../../domain/ports/delivery.ts'
import { deadlinePassed } from '../../domain/session/deadline.ts'
import {
  create,
  forceRemove,
  hibernate,
  placePending,
  remove,
  restart,
  start,
  stop,
  update,
} from '../../domain/session/decide.ts'
import type { Intent } from '../../domain/session/decision.ts'
import {
  deleted,
  observe,
  type ReportContext,
  type ReportOutcome,
  undeliverable,
} from '../../domain/session/observe.ts'
import { released, removedOutside, restored } from '../../domain/session/reconciled.ts'
import { repair } from '../../domain/session/repair.ts'
import { reportOf } from '../../domain/session/report.ts'
import type { AgentCommand, Decision, Session } from '../../domain/session/session.ts'
import { observedStatuses, type SessionAction, sessionActions } from '../../domain/session/words.ts'
import { AGENT, aSession, later, OTHER_AGENT, timeouts } from './a-session.ts'
import { anAgent } from './an-agent.ts'

export type Step =
  | { readonly kind: 'asked'; readonly action: SessionAction }
  | { readonly kind: 'forced' }
  | { readonly kind: 'patched'; readonly name: string | null }
  | { readonly kind: 'placement' }
  | { readonly kind: 'agent_changed'; readonly agent: Agent }
  | { readonly kind: 'status'; readonly agentId: AgentId; readonly ahead: number; readonly said: WireReport }
  | {
      readonly kind: 'result'
      readonly agentId: AgentId
      readonly ahead: number
      readonly result: Pick<CommandResult, 'outcome' | 'error' | 'observed'>
      readonly failures: number
    }
  | { readonly kind: 'time'; readonly seconds: number; readonly reachable: boolean }
  | { readonly kind: 'given_up'; readonly ahead: number }
  | {
      readonly kind: 'inventory'
      readonly agentId: AgentId
      readonly entry: { readonly ahead: number; readonly said: WireReport } | null
      readonly repairs: boolean
    }

const agentIds = fc.constantFrom(AGENT, OTHER_AGENT)
const ahead = fc.constantFrom(0, 0, 0, 0, -1, 1)

const said: fc.Arbitrary<WireReport> = fc.record(
  {
    status: fc.constantFrom(...observedStatuses),
    reason: fc.constantFrom('pulling_image', 'out_of_memory', 'made up', null),
    message: fc.constantFrom('10 %', '20 %', null),
    lastOutput: fc.constantFrom('boom', null),
    exitCode: fc.constantFrom(1, null),
  },
  { requiredKeys: ['status'] },
)

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('asked'), action: fc.constantFrom(...sessionActions) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('forced') }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('patched'), name: fc.constantFrom('new', null) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('placement') }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('agent_changed'),
      agent: fc
        .record({
          id: agentIds,
          cordoned: fc.boolean(),
          status: fc.constantFrom('online' as const, 'offline' as const, 'degraded' as const),
          sessions: fc.constantFrom(0, 10),
        })
        .map(({ sessions, ...changes }) =>
          anAgent({ ...changes, allocated: { sessions, cpuMillis: 0, memoryMib: 0 } }),
        ),
    }),
  },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('status'), agentId: agentIds, ahead, said }) },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('result'),
      agentId: agentIds,
      ahead,
      failures: fc.constantFrom(0, 9),
      result: fc.record({
        outcome: fc.constantFrom('applied', 'superseded', 'failed', 'rejected'),
        error: fc.option(fc.record({ code: fc.constant('e'), message: fc.constant('m'), retryable: fc.boolean() })),
        observed: fc.option(said),
      }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('time'), seconds: fc.constantFrom(1, 61, 700), reachable: fc.boolean() }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('given_up'), ahead }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('inventory'),
      agentId: agentIds,
      entry: fc.option(fc.record({ ahead, said })),
      repairs: fc.boolean(),
    }),
  },
)

export const beginnings = fc.record({ persistentHome: fc.boolean(), agentsAreThere: fc.boolean() })
export const steps = fc.array(step, { maxLength: 25 })

export type History = {
  readonly session: Session
  readonly agents: ReadonlyMap<AgentId, Agent>
  readonly seconds: number
  readonly commands: readonly AgentCommand[]
  /** Agents that were told to run it, or said that they do, and have not said since that nothing runs. */
  readonly mayRun: ReadonlySet<AgentId>
}

/** What one step did, for those who check it. `decision` null: it was refused, or said nothing. */
export type Told = {
  readonly before: History
  readonly step: Step
  readonly decision: Decision | null
  readonly after: History
}

const intentAt = (history: Pick<History, 'seconds' | 'commands'>): Intent => ({
  actor: 'user:ada',
  at: later(history.seconds),
  commandId: `command-${history.commands.length}-${history.seconds}` as CommandId,
  timeouts,
})

export const begin = ({
  persistentHome,
  agentsAreThere,
}: {
  persistentHome: boolean
  agentsAreThere: boolean
}): History => {
  const agents = new Map((agentsAreThere ? [AGENT, OTHER_AGENT] : []).map((id) => [id, anAgent({ id })] as const))
  const draft = aSession({
    status: 'pending',
    agentId: null,
    generation: 1,
    observedGeneration: 0,
    version: 1,
    revision: 1,
    persistentHome,
  })
  const empty = { session: draft, agents, seconds: 0, commands: [], mayRun: new Set<AgentId>() }
  return taken(empty, create(draft, slotFor(draft, [...agents.values()]), intentAt(empty)))
}

const taken = (history: History, { session, command }: Decision): History => ({
  ...history,
  session,
  commands: command === null ? history.commands : [...history.commands, command],
  mayRun:
    command?.type === 'start_session' || command?.type === 'wake_session'
      ? new Set([...history.mayRun, command.agentId])
      : history.mayRun,
})

const runsOn = (history: History, agentId: AgentId, runs: boolean): History => {
  const mayRun = new Set(history.mayRun)
  if (runs) mayRun.add(agentId)
  else mayRun.delete(agentId)
  return { ...history, mayRun }
}

/** What an onlooker believes of an agent that said this of the row's own generation. */
const believed = (history: History, agentId: AgentId, status: WireReport['status']): History => {
  if (history.session.desiredState === 'deleted') return history
  const runs = status === 'running' || status === 'starting'
  // That something runs which is to rest is no news: it was not said to be over either.
  return runs && history.session.desiredState !== 'running' ? history : runsOn(history, agentId, runs)
}

export const happen = (history: History, step: Step): Told => {
  const before: History = { ...history, seconds: history.seconds + (step.kind === 'time' ? step.seconds : 1) }
  const { decision, believing } = carriedOut(before, step)
  const after = decision === null ? before : taken(before, decision)
  return { before, step, decision, after: believing === undefined ? after : believing(after) }
}

type CarriedOut = { readonly decision: Decision | null; readonly believing?: (after: History) => History }

const carriedOut = (history: History, step: Step): CarriedOut => {
  const { session, agents } = history
  const intent = intentAt(history)
  const heard = (agentId: AgentId): ReportContext => ({ agentId, at: intent.at, timeouts })
  // A tombstone is not there for those who ask.
  const gone = session.deletedAt !== null
  switch (step.kind) {
    case 'asked': {
      const decided = gone ? null : asked(session, step.action, agents, intent)
      return { decision: decided === null || E.isLeft(decided) ? null : decided.right }
    }
    case 'forced':
      return { decision: gone ? null : forceRemove(session, intent) }
    case 'patched':
      return { decision: gone ? null : update(session, step.name === null ? {} : { name: step.name }, intent) }
    case 'placement':
      return {
        decision:
          gone || session.status !== 'pending'
            ? null
            : placePending(session, slotFor(session, [...agents.values()]), intent),
      }
    case 'agent_changed':
      return {
        decision: null,
        believing: (after) => ({ ...after, agents: new Map(agents).set(step.agent.id, step.agent) }),
      }
    case 'status': {
      const outcome = observe(session, reportOf(session.generation + step.ahead, step.said), heard(step.agentId))
      return spoken(outcome, (after) => believed(after, step.agentId, step.said.status))
    }
    case 'result':
      return resulted(history, step, heard(step.agentId))
    case 'time':
      return {
        decision: deadlinePassed(session, { at: intent.at, agentReachable: step.reachable, timeouts }).decision,
      }
    case 'given_up':
      return {
        decision: undeliverable(session, session.generation + step.ahead, 'delivery_failed', 'not delivered', {
          actor: 'delivery',
          at: intent.at,
        }),
      }
    case 'inventory':
      return inventoried(history, step, heard(step.agentId), intent)
  }
}

const asked = (session: Session, action: SessionAction, agents: History['agents'], intent: Intent) => {
  const slot = slotFor(session, [...agents.values()])
  switch (action) {
    case 'start':
    case 'wake':
      return start(session, action, slot, intent)
    case 'restart':
      return restart(session, slot, intent)
    case 'hibernate':
      return hibernate(session, intent)
    case 'stop':
      return stop(session, intent)
    case 'delete':
      return remove(session, intent)
  }
}

const spoken = (outcome: ReportOutcome, believing: (after: History) => History): CarriedOut =>
  outcome.kind === 'decided' ? { decision: outcome.decision, believing } : { decision: null }

const resulted = (
  { session }: History,
  { agentId, ahead, result, failures }: Extract<Step, { kind: 'result' }>,
  heard: ReportContext,
): CarriedOut => {
  const whole: CommandResult = {
    ...result,
    commandId: 'command' as CommandId,
    sessionId: session.id,
    generation: session.generation + ahead,
  }
  const { outcome } = applyResult(session, whole, heard, { failures, random: 0 })
  return spoken(outcome, (after) => {
    const observed = result.observed?.status
    const resting = observed === undefined || !['running', 'starting'].includes(observed)
    if (result.outcome === 'applied') {
      if (session.desiredState === 'deleted') return runsOn(after, agentId, false)
      return believed(after, agentId, observed ?? (session.desiredState === 'running' ? 'running' : 'stopped'))
    }
    const final = result.outcome === 'failed' && result.error?.retryable !== true
    return final && resting && session.desiredState === 'running' ? runsOn(after, agentId, false) : after
  })
}

const inventoried = (
  { session }: History,
  { agentId, entry, repairs }: Extract<Step, { kind: 'inventory' }>,
  heard: ReportContext,
  intent: Intent,
): CarriedOut => {
  const entries =
    entry === null ? [] : [{ ...entry.said, sessionId: session.id, generation: session.generation + entry.ahead }]
  const [action] = reconcile(agentId, [session], entries)
  switch (action?.type) {
    case undefined:
    case 'orphan':
    case 'redeliver':
      return { decision: null }
    case 'observe':
      return spoken(observe(session, reportOf(action.entry.generation, action.entry), heard), (after) =>
        believed(after, agentId, action.entry.status),
      )
    case 'removed_outside':
      return repairs
        ? { decision: repair(session, 0, intent) }
        : { decision: removedOutside(session, heard), believing: (after) => runsOn(after, agentId, false) }
    case 'release':
      return session.desiredState !== 'deleted'
        ? { decision: released(session, heard), believing: (after) => runsOn(after, agentId, false) }
        : spoken(deleted(session, session.generation, heard), (after) => runsOn(after, agentId, false))
    case 'restore':
      return {
        decision: restored(session, action.entry, heard),
        believing: (after) =>
          runsOn(after, agentId, action.entry.status === 'running' || action.entry.status === 'starting'),
      }
  }
}
