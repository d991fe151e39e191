/**
 * Commits decisions. New sessions that are wanted at the same moment are committed together, by one statement:
 * a burst of creates then pays for few commits. One on its own is committed at once. Those of an org whose quota is held by somebody for
 * longer than a moment are written apart from the others (docs/decisions/0110).
 */
import { E } from '../../domain/fp.ts'
import type { OrgId } from '../../domain/ids.ts'
import {
  type CommitConflict,
  type Creation,
  PoisonedGroupError,
  QuotaHeldError,
  type QuotaWait,
  type SessionWriter,
  type UnitOfWork,
} from '../../domain/ports/unit-of-work.ts'
import { isUnchanged } from '../../domain/session/session.ts'
import { createBatch } from '../delivery/batch.ts'
import { createLines } from '../delivery/lines.ts'

type Committed = E.Either<CommitConflict, void>

/** What a statement costs is paid once for several, and under load it is the greater part. One on its own does not wait. */
const EVERY_MS = 5
/** Bounds what one transaction holds locked, and what one error makes anew. */
const CREATIONS_AT_ONCE = 64
/** Somebody may hold the row of one agent: creates on others do not wait for that. */
const OVERTAKE_AFTER_MS = 50

export const createUnitOfWork = (writer: SessionWriter): UnitOfWork => {
  /**
   * A line for each org whose quota somebody holds, until all that is in it is written: no other org waits for that one, and it takes one
   * connection, however much is asked for meanwhile.
   */
  const lines = createLines((_: OrgId) =>
    createBatch<Creation, Committed>((group) => insertAll(writer, group, 'patiently'), {
      minIntervalMs: EVERY_MS,
      maxItems: CREATIONS_AT_ONCE,
    }),
  )
  const apart = (creation: Creation): Promise<Committed> => lines.add(orgOf(creation), creation)
  const together = createBatch<Creation, Committed>((group) => insertBriefly(writer, group, apart), {
    minIntervalMs: EVERY_MS,
    overtakeAfterMs: OVERTAKE_AFTER_MS,
    keyOf: ({ decision: { session } }) => session.agentId,
    maxItems: CREATIONS_AT_ONCE,
  })
  const create = (creation: Creation): Promise<Committed> =>
    lines.has(orgOf(creation)) ? apart(creation) : together.add(creation)
  return {
    commit: async (decision, more = {}) => {
      if (isUnchanged(decision)) return more.kept === undefined ? E.right(undefined) : writer.keep(more.kept)
      return decision.previous === null ? create({ decision, ...more }) : writer.change(decision, more.kept)
    },
  }
}

const orgOf = ({ decision: { session } }: Creation): OrgId => session.orgId

type Insert = (group: readonly Creation[]) => Promise<readonly (Committed | Promise<Committed>)[]>

/** The orgs of a group wait for none of them. */
const insertBriefly = async (
  writer: SessionWriter,
  group: readonly Creation[],
  apart: (creation: Creation) => Promise<Committed>,
): ReturnType<Insert> => {
  try {
    return await insertAll(writer, group, 'briefly')
  } catch (error) {
    if (!(error instanceof QuotaHeldError)) throw error
    return group.map(apart)
  }
}

/** What is wrong with one must not be answered to the others. */
const insertAll = async (writer: SessionWriter, group: readonly Creation[], wait: QuotaWait): ReturnType<Insert> => {
  try {
    return await writer.insert(group, wait)
  } catch (error) {
    if (!(error instanceof PoisonedGroupError)) throw error
    return wait === 'patiently' ? insertInTurn(writer, group) : group.map((creation) => insertAlone(writer, creation))
  }
}

/** A line has one connection, also for what has to be written one by one. */
const insertInTurn = async (writer: SessionWriter, group: readonly Creation[]): ReturnType<Insert> => {
  const committed: Promise<Committed>[] = []
  for (const creation of group) {
    const one = insertAlone(writer, creation)
    committed.push(one)
    await one.catch(() => {})
  }
  return committed
}

const insertAlone = async (writer: SessionWriter, creation: Creation): Promise<Committed> => {
  const [committed] = await writer.insert([creation], 'patiently')
  if (committed === undefined) throw new Error('an insertion was not answered')
  return committed
}
