/**
 * What is told of requests that changed nothing (refusals, logins that failed): gathered, and written together a moment later, so that
 * no request waits for it. Bounded: whoever is refused a million times fills no memory, and what was left out is counted and told.
 */
import type { AuditEntry, AuditStore } from '../../domain/ports/audit.ts'

const WRITE_EVERY_MS = 500
const WRITTEN_AT_ONCE = 500
/** Half a minute of what one replica writes at most. */
const MOST_GATHERED = 10_000

export type AuditTrail = {
  /** Never waits, never throws. */
  readonly note: (entry: AuditEntry) => void
  /** Writes what was gathered. */
  readonly stop: () => Promise<void>
}

/** SQLSTATE class 22, data that cannot be taken: trying again would change nothing. */
const isAboutAnEntry = (error: unknown): boolean => /^22/.test((error as { code?: string }).code ?? '')

export const createAuditTrail = (deps: {
  readonly audit: Pick<AuditStore, 'add'>
  readonly onError: (error: unknown) => void
  /** So many are in no trail. */
  readonly leftOut: (count: number) => void
}): AuditTrail => {
  let gathered: AuditEntry[] = []
  let leftOut = 0
  let writing: Promise<void> = Promise.resolve()

  /** One that cannot be written keeps none of the others out. */
  const writeEach = async (entries: readonly AuditEntry[]): Promise<void> => {
    for (const entry of entries)
      await deps.audit.add([entry]).catch((error: unknown) => {
        if (isAboutAnEntry(error)) leftOut += 1
        else gathered.push(entry)
      })
  }
  const writeSome = async (): Promise<void> => {
    const some = gathered.slice(0, WRITTEN_AT_ONCE)
    if (some.length === 0) return
    try {
      await deps.audit.add(some)
      // Not before they are written: the next time they are tried again.
      gathered = gathered.slice(some.length)
    } catch (error) {
      deps.onError(error)
      if (isAboutAnEntry(error)) {
        gathered = gathered.slice(some.length)
        await writeEach(some)
      }
    }
    if (leftOut > 0) {
      deps.leftOut(leftOut)
      leftOut = 0
    }
  }
  /** One after another. */
  const write = (): Promise<void> => {
    writing = writing.then(writeSome)
    return writing
  }
  const timer = setInterval(() => void write(), WRITE_EVERY_MS)
  timer.unref()
  return {
    note: (entry) => {
      if (gathered.length < MOST_GATHERED) gathered.push(entry)
      else leftOut += 1
    },
    stop: async () => {
      clearInterval(timer)
      for (let left = Number.POSITIVE_INFINITY; gathered.length > 0 && gathered.length < left; ) {
        left = gathered.length
        await write()
      }
    },
  }
}
