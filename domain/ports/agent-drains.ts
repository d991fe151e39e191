import type { E } from '../fp.ts'
import type { AgentId, OrgId, SessionId } from '../ids.ts'
import type { Decision, Session } from '../session/session.ts'
import type { OwnedAgent } from './agents.ts'
import type { Guard } from './if-match.ts'
import type { ById, Page, PageRequest } from './page.ts'
import type { CommitConflict } from './unit-of-work.ts'

/** A session that is on its way: put to rest at this generation, to be started elsewhere. */
export type Move = { readonly session: Session; readonly generation: number }

export type DrainProgress = {
  readonly startedAt: Date | null
  readonly startedBy: string | null
  /** Sessions that hold room on the agent: something of them may run there. */
  readonly remaining: number
  /** Of those: put to rest, to be started elsewhere. */
  readonly moving: number
  /** Of those: will be moved when there is room elsewhere, they run, and the agent can be reached. */
  readonly movable: number
  /** All sessions that are the agent's, by id. */
  readonly page: Page<{ readonly session: Session; readonly moving: boolean }>
}

/** Agents that are to be empty, and the sessions that leave them. What a move needs is committed with its intents. */
export type AgentDrains = {
  /** Cordons it, and gives its revision then. Begun already, it goes on as it was. null: it is at none that `guard` allows. */
  readonly begin: (agent: OwnedAgent, by: string, guard?: Guard) => Promise<number | null>
  /** Of the sessions of one org there, or (null) of all. */
  readonly progress: (orgId: OrgId | null, agentId: AgentId, page: PageRequest<ById>) => Promise<DrainProgress>

  /** Agents that are being drained, the first first; `moving`: how many have left or are about to, and are not started elsewhere yet. */
  readonly underWay: (limit: number) => Promise<readonly { readonly agentId: AgentId; readonly moving: number }[]>
  /** Sessions that run there and are not tied to it, by id, after one. */
  readonly leaving: (agentId: AgentId, after: SessionId | null, limit: number) => Promise<readonly Session[]>
  /** All moves, the oldest first; those whose sessions are gone are forgotten. */
  readonly moves: (limit: number) => Promise<readonly Move[]>
  readonly leave: (decision: Decision) => Promise<E.Either<CommitConflict, void>>
  readonly arrive: (decision: Decision) => Promise<E.Either<CommitConflict, void>>
  /** Somebody has asked for something else. */
  readonly forget: (move: Move) => Promise<void>
}
