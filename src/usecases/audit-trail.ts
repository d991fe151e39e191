/**
 * What is told of requests that changed nothing (refusals, logins that failed): gathered, and written together a moment later, so that
 * no request waits for it. Bounded, and shared by all orgs: whoever is refused a million times fills no memory, and displaces nothing of
 * others. What was left out is counted, and told in the trail of the org whose it was.
 */
import type { OrgId } from '../../domain/ids.ts'
import type { AuditEntry, AuditStore } from '../../domain/ports/audit.ts'
import { createSharedRoom } from './shared-room.ts'

const WRITE_EVERY_MS = 500
const WRITTEN_AT_ONCE = 500
/** Ten seconds of what one replica writes. */
const MOST_GATHERED = 10_000

/** The action of the entry that stands for those that have none. */
export const LEFT_OUT = 'leftOut'

export type AuditTrail = {
  /** Never waits, never throws. */
  readonly note: (entry: AuditEntry) => void
  /** Writes what was gathered. */
  readonly stop: () => Promise<void>
}

export type AuditTrailDeps = {
  readonly audit: Pick<AuditStore, 'add'>
  readonly onError: (error: unknown) => void
  /** So many have no entry of their own. null: they were nobody's. */
  readonly leftOut: (orgId: OrgId | null, count: number) => void
  /** Addresses that are one and the same guest's. */
  readonly neighbourhoodOf: (address: string) => string
}

/** SQLSTATE class 22, data that cannot be taken: trying again would change nothing. */
const isAboutAnEntry = (error: unknown): boolean => /^22/.test((error as { code?: string }).code ?? '')

export const createAuditTrail = (deps: AuditTrailDeps): AuditTrail => {
  const gathered = createSharedRoom<AuditEntry>(MOST_GATHERED)
  const leftOut = new Map<OrgId | null, { readonly last: AuditEntry; readonly count: number }>()
  /** Taken out of what was gathered, until they are written. */
  let unwritten: readonly AuditEntry[] = []
  let writing: Promise<void> = Promise.resolve()

  const leaveOut = (entry: AuditEntry): void => {
    // One that says how many there are stands for none of them.
    if (entry.action !== LEFT_OUT)
      leftOut.set(entry.orgId, { last: entry, count: (leftOut.get(entry.orgId)?.count ?? 0) + 1 })
  }
  /** Told as of the last of them. */
  const takeLeftOut = (): readonly AuditEntry[] => {
    const entries = [...leftOut].map(([orgId, { last, count }]): AuditEntry => {
      deps.leftOut(orgId, count)
      return { ...last, action: LEFT_OUT, resource: 'audit', resourceId: null, before: null, after: { leftOut: count } }
    })
    leftOut.clear()
    return entries
  }

  /** One that cannot be written keeps none of the others out. */
  const writeEach = async (entries: readonly AuditEntry[]): Promise<readonly AuditEntry[]> => {
    const toRetry: AuditEntry[] = []
    for (const entry of entries)
      await deps.audit.add([entry]).catch((error: unknown) => {
        if (isAboutAnEntry(error)) leaveOut(entry)
        else toRetry.push(entry)
      })
    return toRetry
  }
  /** Those that are to be tried again. */
  const writeAll = async (entries: readonly AuditEntry[]): Promise<readonly AuditEntry[]> => {
    if (entries.length === 0) return []
    try {
      await deps.audit.add(entries)
      return []
    } catch (error) {
      deps.onError(error)
      return isAboutAnEntry(error) ? writeEach(entries) : entries
    }
  }
  const writeSome = async (): Promise<void> => {
    if (unwritten.length === 0) unwritten = gathered.take(WRITTEN_AT_ONCE)
    unwritten = await writeAll(unwritten)
    // Else each turn without a database would leave more of these to be written.
    if (unwritten.length === 0) unwritten = await writeAll(takeLeftOut())
  }
  /** One after another. */
  const write = (): Promise<void> => {
    writing = writing.then(writeSome)
    return writing
  }
  const timer = setInterval(() => void write(), WRITE_EVERY_MS)
  timer.unref()
  const waiting = (): number => gathered.size() + unwritten.length
  return {
    note: (entry) => {
      // What is nobody's is shared by where it comes from, and what is an org's by who is refused.
      const who = entry.orgId === null ? deps.neighbourhoodOf(entry.ip) : (entry.keyId ?? entry.userId)
      const displaced = gathered.add(entry.orgId ?? '', who ?? '', entry)
      if (displaced !== null) leaveOut(displaced)
    },
    stop: async () => {
      clearInterval(timer)
      for (let left = Number.POSITIVE_INFINITY; waiting() > 0 && waiting() < left; ) {
        left = waiting()
        await write()
      }
    },
  }
}
