/**
 * Which processes belong to which session: those of its command's process group and session, whatever
 * descends from them, whatever was seen to belong to it before, and whoever bears its mark. The mark finds
 * those who left the group and lost their parent: as root it is the session's own uid, which nobody can shed;
 * otherwise the session's id in the environment that a process was started with.
 */
import type { SessionId } from '../../domain/ids.ts'
import { environmentOf, type Identity, keyOf, type ProcessRow, realUidOf, sameProcess } from './process-table.ts'

export type Claim = {
  readonly sessionId: SessionId
  /** The process that the session's command became; also the number of its process group. */
  readonly command: Identity | null
  readonly uid: number | null
  /** Keys of processes that were found to belong to it earlier. */
  readonly seen: ReadonlySet<string>
}

/** Whose mark a process bears, if anyone's. */
export type MarkOf = (row: ProcessRow) => SessionId | null

/** Processes that are never a session's, whatever they look like: the agent and the shims. */
export type Exempt = (row: ProcessRow) => boolean

export const membersBySession = (
  rows: readonly ProcessRow[],
  claims: readonly Claim[],
  markOf: MarkOf,
  exempt: Exempt,
): ReadonlyMap<SessionId, readonly ProcessRow[]> => {
  const children = Map.groupBy(rows, (row) => row.parent)
  const owner = new Map<number, SessionId>()
  const members = new Map<SessionId, ProcessRow[]>(claims.map(({ sessionId }) => [sessionId, []]))

  const adopt = (row: ProcessRow, sessionId: SessionId): void => {
    if (owner.has(row.pid) || exempt(row)) return
    owner.set(row.pid, sessionId)
    members.get(sessionId)?.push(row)
    for (const child of children.get(row.pid) ?? []) adopt(child, sessionId)
  }

  for (const claim of claims)
    for (const row of rows) if (isOfGroup(row, claim, rows) || claim.seen.has(keyOf(row))) adopt(row, claim.sessionId)
  for (const row of rows) {
    if (owner.has(row.pid) || exempt(row)) continue
    const sessionId = markOf(row)
    if (sessionId !== null && members.has(sessionId)) adopt(row, sessionId)
  }
  return members
}

/** The group's number is its first process's pid. Given to someone else since, it says nothing any more. */
const isOfGroup = (row: ProcessRow, { command }: Claim, rows: readonly ProcessRow[]): boolean => {
  if (command === null) return false
  if (row.pid === command.pid) return row.start === command.start
  if (row.group !== command.pid && row.session !== command.pid) return false
  const first = rows.find(({ pid }) => pid === command.pid)
  return first === undefined || sameProcess(first, command)
}

/** As root: every process of the session's uid. */
export const markByUid =
  (sessionOfUid: (uid: number) => SessionId | null): MarkOf =>
  (row) => {
    const uid = realUidOf(row)
    return uid === null ? null : sessionOfUid(uid)
  }

export const SESSION_ID_VARIABLE = 'STREAMSPACE_SESSION_ID'

/** Not as root: what stands in the environment. Looked up once for each process, as it does not change. */
export const markByEnvironment = (): MarkOf => {
  let known = new Map<string, SessionId | null>()
  let previous = new Map<string, SessionId | null>()
  let lookups = 0

  return (row) => {
    // Two halves, so that processes that are gone are forgotten in time.
    if (++lookups % 20_000 === 0) [previous, known] = [known, new Map()]
    const key = keyOf(row)
    const found = known.get(key) ?? previous.get(key)
    if (found !== undefined) return found
    const marks = environmentOf(row.pid)?.find((entry) => entry.startsWith(`${SESSION_ID_VARIABLE}=`))
    const sessionId = (marks?.slice(SESSION_ID_VARIABLE.length + 1) ?? null) as SessionId | null
    known.set(key, sessionId)
    return sessionId
  }
}
