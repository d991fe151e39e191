/** Commands one by one, as an operator deals with them. */
import type { E } from '../fp.ts'
import type { Scope } from '../identity/caller.ts'
import type { CommandId } from '../ids.ts'
import type { CommandChange } from '../outbox/intervene.ts'
import type { CommandView } from './sessions.ts'
import type { CommitConflict } from './unit-of-work.ts'

export type CommandStore = {
  readonly get: (scope: Scope, id: CommandId) => Promise<CommandView | null>
  /**
   * ONE statement for session, command, event and the capacity that it takes again; guarded by the session's
   * revision and by the command's status as it was read. It ends the move of a session whose drain's command it is.
   */
  readonly change: (change: CommandChange) => Promise<E.Either<CommitConflict, void>>
}
