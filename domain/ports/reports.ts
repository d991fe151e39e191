/** What a batch of agents' reports changes, and the one statement that writes it. */
import type { AgentId, CommandId, SessionId } from '../ids.ts'
import type { Decision } from '../session/session.ts'
import type { Peer } from './agents.ts'
import type { ReportAnswer } from './delivery.ts'

/** What becomes of an outbox row because of a report. */
export type CommandFate =
  | { readonly status: 'done' | 'superseded' | 'failed' | 'dead'; readonly error: string | null }
  /** The agent could not, and it may help to send it again later. */
  | { readonly status: 'pending'; readonly error: string; readonly retryInMs: number }

export type CommandOutcome = { readonly commandId: CommandId; readonly fate: CommandFate }

export type ReportWrite = {
  /** On whose behalf: nothing is written once its epoch has moved on. */
  readonly peer: Peer
  readonly sessionId: SessionId
  /** null: the row stays as it is, only commands change. */
  readonly decision: Decision | null
  readonly outcomes: readonly CommandOutcome[]
  /** All pending commands of the session up to this generation are done. */
  readonly doneUpTo: number | null
}

export type ReportsWritten = {
  /** Sessions whose row was changed by someone else since it was read: decide again. */
  readonly conflicts: ReadonlySet<SessionId>
  /** Agents whose epoch has moved on: nothing of theirs was written. */
  readonly fenced: ReadonlySet<AgentId>
}

export type CommandAttempts = { readonly commandId: CommandId; readonly failures: number; readonly generation: number }

export type ReportStore = {
  /** At most one write a session in each batch. */
  readonly write: (writes: readonly ReportWrite[]) => Promise<ReportsWritten>
  /** How often each of these pending commands has failed so far. */
  readonly attempts: (commandIds: readonly CommandId[]) => Promise<readonly CommandAttempts[]>
  /** Of those sessions that a repair brought to this generation, the how manieth in a row it was. */
  readonly repairsSoFar: (
    sessions: readonly { readonly id: SessionId; readonly generation: number }[],
  ) => Promise<ReadonlyMap<SessionId, number>>
  /**
   * Intents that the server decides because of what an agent has, each with its command: all in ONE statement, on
   * the agent's behalf. Rows that someone else changed meanwhile are left as they are.
   */
  readonly repair: (
    peer: Peer,
    repairs: readonly Decision[],
  ) => Promise<{ readonly fenced: boolean; readonly repaired: readonly SessionId[] }>
  /**
   * Those whose newest command was answered `superseded`: their agents know later generations than the rows. And of `denied`
   * those whose newest command was done: their agents mean something else by that generation.
   */
  readonly outpaced: (sessionIds: readonly SessionId[], denied: readonly SessionId[]) => Promise<ReadonlySet<SessionId>>
  /** Those of which it is certain that what they wait for was asked after a restore that this agent may be ahead of. */
  readonly askedSince: (peer: Peer, sessionIds: readonly SessionId[]) => Promise<ReadonlySet<SessionId>>
  /**
   * Makes the newest command of these sessions due again, also one that was done: the resource is not as it says.
   * `peer`: because of what this agent said; without effect once its epoch has moved on.
   */
  readonly redeliver: (sessionIds: readonly SessionId[], peer?: Peer) => Promise<readonly AgentId[]>
  /** Answers each, in order. Of one session and agent at most one at a time. */
  readonly activity: (
    touched: readonly { readonly peer: Peer; readonly sessionId: SessionId; readonly at: Date }[],
  ) => Promise<readonly ReportAnswer[]>
}
