/** How an orphan becomes a session: judged and written in one transaction, in which nobody else touches it. */
import type { Allocation, Capacity } from '../agent/agent.ts'
import type { Orphan } from '../agent/orphan.ts'
import type { E } from '../fp.ts'
import type { OrgId, SessionId } from '../ids.ts'
import type { Decision } from '../session/session.ts'
import type { OwnedAgent } from './agents.ts'
import type { CommandStatus } from './sessions.ts'
import type { SecretEnv } from './unit-of-work.ts'

export type LockedOrphan = {
  readonly orphan: Orphan
  readonly removal: CommandStatus | null
  /** Of its agent, as they are now. */
  readonly capacity: Capacity | null
  readonly allocated: Allocation
}

export type Adoption<R> =
  | { readonly kind: 'adopted'; readonly decision: Decision }
  | { readonly kind: 'refused'; readonly refusal: R }
  /** There is no such orphan (any more). */
  | { readonly kind: 'missing' }
  /** A session has its id: it was adopted just now, or is another agent's. */
  | { readonly kind: 'is_a_session' }

export type AdoptionStore = {
  /** `judge` may be asked again, with what has changed, when PostgreSQL wants the transaction anew. */
  readonly adopt: <R>(
    agent: OwnedAgent,
    sessionId: SessionId,
    judge: (found: LockedOrphan) => E.Either<R, Decision>,
    secrets: SecretEnv,
    /** Whose the session becomes: it counts to their quota, though it is not refused by it. */
    orgId: OrgId,
  ) => Promise<Adoption<R>>
}
