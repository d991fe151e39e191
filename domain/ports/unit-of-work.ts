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

/** A decision on a session that does not exist yet. */
export type Creation = { readonly decision: Decision; readonly secrets: SecretEnv | undefined }

/** What the unit of work writes with. */
export type SessionWriter = {
  /**
   * New sessions in ONE statement; each is written with all that belongs to it, or answered with why not, whatever
   * becomes of the others. Throws `PoisonedGroupError` when a value of one of several cannot be written.
   */
  readonly insert: (creations: readonly Creation[]) => Promise<readonly E.Either<CommitConflict, void>[]>
  readonly change: (decision: Decision) => Promise<E.Either<CommitConflict, void>>
}

/** None of a group was written, as one of it cannot be: whoever gathered them writes each alone. */
export class PoisonedGroupError extends Error {
  constructor(cause: unknown) {
    super('one of several new sessions cannot be written', { cause })
    this.name = 'PoisonedGroupError'
  }
}
