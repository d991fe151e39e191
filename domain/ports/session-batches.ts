import type { Answered } from '../errors.ts'
import type { E } from '../fp.ts'
import type { Scope } from '../identity/caller.ts'
import type { SessionId } from '../ids.ts'
import type { Decision } from '../session/session.ts'
import type { Kept } from './idempotency.ts'
import type { LoadedSession, SessionFilter } from './sessions.ts'

export type Selection = { readonly ids: readonly SessionId[] } | { readonly filter: SessionFilter }

export type DecidedBatch<R> = {
  /** Of the sessions found, in their order; those that change nothing are left out. None of them takes room anywhere. */
  readonly decisions: readonly Decision[]
  readonly result: R
  /** The answer to whoever asks the same again. */
  readonly kept: Kept | undefined
}

/**
 * Many sessions of one scope, changed together or not at all: found, held against everybody else, decided on and written
 * in one transaction. By id; of a filter's at most one above `limit`, which says that there are too many.
 */
export type SessionBatches = {
  readonly change: <L, R>(
    scope: Scope,
    which: Selection,
    limit: number,
    decide: (found: readonly LoadedSession[]) => E.Either<L, DecidedBatch<R>>,
  ) => Promise<E.Either<L | Answered, R>>
}
