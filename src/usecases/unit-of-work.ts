/**
 * Commits decisions. New sessions that are wanted at the same moment are committed together, by one statement:
 * a burst of creates then pays for few commits. One on its own is committed at once.
 */
import { E } from '../../domain/fp.ts'
import {
  type CommitConflict,
  type Creation,
  PoisonedGroupError,
  type SessionWriter,
  type UnitOfWork,
} from '../../domain/ports/unit-of-work.ts'
import { isUnchanged } from '../../domain/session/session.ts'
import { createBatch } from '../delivery/batch.ts'

type Committed = E.Either<CommitConflict, void>

/** What a statement costs is paid once for several, and under load it is the greater part. One on its own does not wait. */
const EVERY_MS = 5
/** Bounds what one transaction holds locked, and what one error makes anew. */
const CREATIONS_AT_ONCE = 64
/** Somebody may hold the row of one agent: creates on others do not wait for that. */
const OVERTAKE_AFTER_MS = 50

export const createUnitOfWork = (writer: SessionWriter): UnitOfWork => {
  const creations = createBatch<Creation, Committed>((group) => insertAll(writer, group), {
    minIntervalMs: EVERY_MS,
    overtakeAfterMs: OVERTAKE_AFTER_MS,
    keyOf: ({ decision: { session } }) => session.agentId,
    maxItems: CREATIONS_AT_ONCE,
  })
  return {
    commit: async (decision, more = {}) => {
      if (isUnchanged(decision)) return more.kept === undefined ? E.right(undefined) : writer.keep(more.kept)
      return decision.previous === null ? creations.add({ decision, ...more }) : writer.change(decision, more.kept)
    },
  }
}

/** What is wrong with one must not be answered to the others. */
const insertAll = async (
  writer: SessionWriter,
  group: readonly Creation[],
): Promise<readonly (Committed | Promise<Committed>)[]> => {
  try {
    return await writer.insert(group)
  } catch (error) {
    if (!(error instanceof PoisonedGroupError)) throw error
    return group.map((creation) => insertAlone(writer, creation))
  }
}

const insertAlone = async (writer: SessionWriter, creation: Creation): Promise<Committed> => {
  const [committed] = await writer.insert([creation])
  if (committed === undefined) throw new Error('an insertion was not answered')
  return committed
}
