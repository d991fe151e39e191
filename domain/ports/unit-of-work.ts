import type { E } from '../fp.ts'
import type { AgentId } from '../ids.ts'
import type { Decision } from '../session/session.ts'

/** Environment of one session that is sealed at rest and joined into its commands when they are sent. */
export type SecretEnv = { readonly [name: string]: string }

export type CommitConflict =
  /** Someone else wrote the row since it was read: load it again and decide again. */
  | { readonly _tag: 'Conflict' }
  /** The agent has no room (any more), is cordoned or gone: place again with fresh figures. */
  | { readonly _tag: 'NotReserved'; readonly agentId: AgentId }

/**
 * Commits a decision in ONE statement: the session row (guarded by its revision), its events, its command
 * in the outbox, what it supersedes there, and the capacity that it takes. All of it or nothing.
 */
export type UnitOfWork = {
  readonly commit: (decision: Decision, secrets?: SecretEnv) => Promise<E.Either<CommitConflict, void>>
}
