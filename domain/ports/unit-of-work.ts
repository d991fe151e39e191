import type { Answered, QuotaExceeded } from '../errors.ts'
import type { E } from '../fp.ts'
import type { AgentId } from '../ids.ts'
import type { Decision } from '../session/session.ts'
import type { Kept } from './idempotency.ts'

/** Environment of one session that is sealed at rest and joined into its commands when they are sent. */
export type SecretEnv = { readonly [name: string]: string }

export type CommitConflict =
  /** Someone else wrote the row since it was read: load it again and decide again. */
  | { readonly _tag: 'Conflict' }
  /** The agent has no room (any more), is cordoned or gone: place again with fresh figures. */
  | { readonly _tag: 'NotReserved'; readonly agentId: AgentId }
  /** Nothing is tried again: there is no room until something is given back. */
  | QuotaExceeded
  | Answered

/** Deciding again would come to the same. */
export const isFinal = (conflict: CommitConflict): conflict is QuotaExceeded | Answered =>
  conflict._tag === 'QuotaExceeded' || conflict._tag === 'Answered'

/** What is written with a decision. */
export type CommittedWith = {
  /** Of a new session. */
  readonly secrets?: SecretEnv | undefined
  /** The answer to whoever asks the same again. */
  readonly kept?: Kept | undefined
}

/**
 * Commits a decision in ONE statement: the session row (guarded by its revision), its events, its command
 * in the outbox, what it supersedes there, and the capacity that it takes. All of it or nothing.
 */
export type UnitOfWork = {
  readonly commit: (decision: Decision, more?: CommittedWith) => Promise<E.Either<CommitConflict, void>>
}

/** A decision on a session that does not exist yet. */
export type Creation = CommittedWith & { readonly decision: Decision }

/** For the quota of an org that somebody holds: a moment, or until that one's transaction is over. */
export type QuotaWait = 'briefly' | 'patiently'

/** What the unit of work writes with. */
export type SessionWriter = {
  /**
   * New sessions in ONE statement; each is written with all that belongs to it, or answered with why not, whatever
   * becomes of the others. Throws `PoisonedGroupError` when a value of one of several cannot be written, and
   * `QuotaHeldError` when it may wait only briefly and an org's quota is held for longer.
   */
  readonly insert: (
    creations: readonly Creation[],
    wait: QuotaWait,
  ) => Promise<readonly E.Either<CommitConflict, void>[]>
  readonly change: (decision: Decision, kept?: Kept) => Promise<E.Either<CommitConflict, void>>
  /** The answer to what changes nothing. */
  readonly keep: (kept: Kept) => Promise<E.Either<Answered, void>>
}

/** None of a group was written, as one of it cannot be: whoever gathered them writes each alone. */
export class PoisonedGroupError extends Error {
  constructor(cause: unknown) {
    super('one of several new sessions cannot be written', { cause })
    this.name = 'PoisonedGroupError'
  }
}

/** None of a group was written, as the quota of an org in it is held by somebody: whoever gathered them writes each org's apart. */
export class QuotaHeldError extends Error {
  constructor(cause: unknown) {
    super('the quota of an org is held by another transaction', { cause })
    this.name = 'QuotaHeldError'
  }
}
