/**
 * Keeps objects as they are wanted: knows of each what is there and what was written, writes what differs, puts back
 * what somebody else has changed. What they should be, it is told.
 */
import type { Log } from '../../runtime/log.ts'
import { isConflict, isForbidden, isGone, isPassing } from '../api.ts'
import { afterWrite, type Edit, type Entry, isOlder, judge, type Step } from './judge.ts'
import { type Content, isSame, type View, type Wanted } from './object.ts'
import { createPace, createRation, type Pace, putBackMessage, type Ration } from './put-back.ts'
import { createQueue } from './queue.ts'
import type { Requests } from './requests.ts'
import type { Asked } from './session-object.ts'
import type { Trouble } from './trouble.ts'

export type Name = Pick<Wanted, 'kind' | 'name'>

export type KeeperOptions = {
  readonly requests: Requests
  readonly trouble: Trouble
  readonly log: Log
  /** As it should be now. `before`: as it was written last, or is there. */
  readonly wanted: (name: Name, before: Content | null) => Asked
  readonly putBack: (name: Name, edit: Edit, message: string) => void
}

export type Keeper = {
  /** What is wanted may be another. */
  readonly changed: (name: Name) => void
  /** Seen there. */
  readonly put: (name: Name, view: View) => void
  /** Seen to go. */
  readonly drop: (name: Name, uid: string) => void
  /** Of each that is known. */
  readonly seen: () => readonly { readonly name: Name; readonly view: View }[]
  readonly close: () => Promise<void>
}

type Kept = {
  readonly name: Name
  readonly pace: Pace
  readonly ration: Ration
  entry: Entry
  /** Of the last that was seen to go: an answer that comes late does not bring it back. */
  goneUid: string | null
  /** How often one was seen to go. */
  drops: number
  /** When it is written again at the earliest; of `performance.now()`, as `leftAt`. */
  notBefore: number
  /** Since when nothing of this name is wanted. */
  leftAt: number | null
}

const PARALLEL = 4
/** What changes in steps is written once. */
const COALESCE_MS = 300
/** The garbage collector takes what an ended session owns; what it leaves is removed. */
const LEFT_TO_COLLECTOR_MS = 3_000
const REFUSED_MS = 60_000

const keyOf = ({ kind, name }: Name): string => `${kind.plural}/${name}`

export const createKeeper = ({ requests, trouble, log, wanted, putBack }: KeeperOptions): Keeper => {
  const all = new Map<string, Kept>()
  let closed = false

  const keptFor = (name: Name): Kept => {
    const key = keyOf(name)
    const known = all.get(key)
    if (known !== undefined) return known
    const entry = { written: null, sent: null, seen: null }
    const kept = {
      name,
      entry,
      goneUid: null,
      drops: 0,
      notBefore: 0,
      leftAt: null,
      pace: createPace(),
      ration: createRation(),
    }
    all.set(key, kept)
    return kept
  }

  const mark = (kept: Kept, inMs: number): void =>
    queue.mark(keyOf(kept.name), Math.max(inMs, kept.notBefore - performance.now()))

  const askedOf = ({ name, entry }: Kept): Asked => wanted(name, (entry.written ?? entry.seen)?.content ?? null)

  const work = async (key: string): Promise<void> => {
    const kept = all.get(key)
    if (kept === undefined) return
    try {
      const step = judge(kept.entry, askedOf(kept))
      if (step.kind !== 'remove') kept.leftAt = null
      await carryOut(kept, step)
      if (step.kind === 'write' || step.kind === 'remove') trouble.over('writes')
    } catch (error) {
      failed(kept, error)
    }
  }

  const carryOut = async (kept: Kept, step: Step): Promise<void> => {
    switch (step.kind) {
      case 'nothing':
        return
      case 'forget':
        all.delete(keyOf(kept.name))
        return
      case 'accept':
        kept.entry = { ...kept.entry, written: kept.entry.seen, sent: step.sent }
        return
      case 'remove':
        if (isLeftToCollector(kept)) return
        await requests.remove(kept.name, step.uid)
        if (step.edit !== null) await tell(kept, step.edit, step.uid)
        return
      case 'write':
        return write(kept, step)
    }
  }

  const isLeftToCollector = (kept: Kept): boolean => {
    if (kept.entry.seen?.content.owner === null) return false
    kept.leftAt ??= performance.now()
    const leftMs = kept.leftAt + LEFT_TO_COLLECTOR_MS - performance.now()
    if (leftMs > 0) mark(kept, leftMs)
    return leftMs > 0
  }

  const write = async (kept: Kept, step: Extract<Step, { kind: 'write' }>): Promise<void> => {
    const { wanted: object, main, status, edit } = step
    const before = kept.entry
    const { goneUid, drops, notBefore } = kept
    kept.notBefore = performance.now() + kept.pace.written(performance.now(), edit !== null)
    let answer: View | null = null
    try {
      if (main) answer = await requests.applyMain(object)
      if (status) answer = await requests.applyStatus(object)
    } catch (error) {
      // It has put nothing back: how soon it is tried again is said by what it was refused for.
      kept.notBefore = notBefore
      throw error
    }
    if (answer === null) return
    // Only its label was taken off: it answers.
    if (answer.uid === goneUid && kept.drops === drops) kept.goneUid = null
    const after = afterWrite(before, answer, step)
    const { seen } = kept.entry
    const isNews = seen === null || !isOlder(answer, seen)
    // Its end was seen before the answer came.
    kept.entry = { ...after, seen: answer.uid === kept.goneUid ? null : isNews ? answer : seen }
    if (kept.entry.seen === null || !isSame(kept.entry.seen.content, after.written?.content ?? answer.content))
      mark(kept, 0)
    if (edit !== null) await tell(kept, told(edit, before, answer, goneUid), answer.uid)
  }

  const tell = async (kept: Kept, edit: Edit, uid: string): Promise<void> => {
    const untold = kept.ration.take(performance.now())
    if (untold === null) return
    const message = putBackMessage(edit, untold)
    log.info({ object: keyOf(kept.name), message }, 'an object of the projection was put back')
    putBack(kept.name, edit, message)
    try {
      await requests.tell({ ...kept.name, uid, message })
      trouble.over('events')
    } catch (error) {
      trouble.happened('events', error)
    }
  }

  const failed = (kept: Kept, error: unknown): void => {
    if (closed) return
    if (isConflict(error)) mark(kept, COALESCE_MS)
    else if (isGone(error) && kept.entry.seen !== null && !isKindUnknown(error)) drop(kept.name, kept.entry.seen.uid)
    else refused(kept, error)
  }

  const refused = (kept: Kept, error: unknown): void => {
    const pauseMs = trouble.happened('writes', error)
    const concernsAll = isGone(error) || isForbidden(error) || isPassing(error)
    if (concernsAll) queue.pause(pauseMs)
    mark(kept, concernsAll ? pauseMs : REFUSED_MS)
  }

  const drop = (name: Name, uid: string): void => {
    const kept = all.get(keyOf(name))
    if (kept === undefined) return
    kept.goneUid = uid
    kept.drops += 1
    if (kept.entry.seen !== null && kept.entry.seen.uid !== uid) return
    kept.entry = { ...kept.entry, seen: null }
    mark(kept, 0)
  }

  const queue = createQueue(PARALLEL, work)

  return {
    changed: (name) => {
      mark(keptFor(name), COALESCE_MS)
    },
    put: (name, view) => {
      const kept = keptFor(name)
      const { seen, written } = kept.entry
      if (view.uid === kept.goneUid || (seen !== null && isOlder(view, seen))) return
      // What we wrote ourselves is kept once.
      const isOurs = written !== null && isSame(view.content, written.content)
      kept.entry = { ...kept.entry, seen: isOurs ? { ...view, content: written.content } : view }
      if (!isOurs) mark(kept, 0)
    },
    drop,
    seen: () =>
      [...all.values()].flatMap(({ name, entry }) => (entry.seen === null ? [] : [{ name, view: entry.seen }])),
    close: () => {
      closed = true
      return queue.close()
    },
  }
}

/** The server knows no such kind: it names no object then. */
const isKindUnknown = (error: unknown): boolean =>
  /the server could not find the requested resource/.test(String(error))

/** Whose label was taken away is not seen any more, which is not the same as deleted. */
const told = (edit: Edit, before: Entry, answer: View, goneUid: string | null): Edit =>
  edit.what === 'deleted' && (answer.uid === goneUid || answer.uid === before.written?.uid)
    ? { what: 'edited', fields: ['metadata.labels'], by: answer.editors }
    : edit
