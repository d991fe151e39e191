/** What people are told of an edit that was put back, and how often. */
import type { Edit } from './judge.ts'

const TRUTH = 'the database is the truth: ask for changes with the REST API or scripts/streamspace'
const MOST_FIELDS = 8

export const putBackMessage = (edit: Edit, untold: number): string => {
  const more = untold === 0 ? '' : ` (${untold} more since it was last said)`
  return `${whatHappened(edit)}${more}; ${TRUTH}`
}

const whatHappened = (edit: Edit): string => {
  switch (edit.what) {
    case 'deleted':
      return 'this object was deleted and was made again'
    case 'made':
      return `there is nothing of this name: it was made by ${edit.by.join(', ')} and was removed`
    case 'edited': {
      const [first, ...others] = edit.fields
      const shown = others.slice(0, MOST_FIELDS - 1)
      const left = others.length - shown.length
      const fields = [first ?? 'it', ...shown, ...(left > 0 ? [`${left} more`] : [])].join(', ')
      const by = edit.by.length === 0 ? '' : ` by ${edit.by.join(', ')}`
      return `${fields} ${edit.fields.length > 1 ? 'were' : 'was'} changed${by} and put back`
    }
  }
}

const AT_ONCE = 5
const ONE_MORE_MS = 20_000

/** Of a fight over one object a few are told at once, then one now and then, with how many there were. */
export type Ration = {
  /** How many were not told since the last; null: this one is not to be told either. */
  readonly take: (now: number) => number | null
}

export const createRation = (): Ration => {
  let left = AT_ONCE
  let since = 0
  let untold = 0
  return {
    take: (now) => {
      left = Math.min(AT_ONCE, left + (now - since) / ONE_MORE_MS)
      since = now
      if (left < 1) {
        untold += 1
        return null
      }
      left -= 1
      const before = untold
      untold = 0
      return before
    },
  }
}

const GAP_MS = 1_000
const LONGEST_GAP_MS = 4_000
const FORGOTTEN_MS = 30_000

/** How long an object is left alone after a write: longer while somebody fights over it, never so long as the 5 s that are promised. */
export const createPace = () => {
  let fights = 0
  let last = Number.NEGATIVE_INFINITY
  return {
    written: (now: number, wasPutBack: boolean): number => {
      if (wasPutBack) {
        fights = now - last > FORGOTTEN_MS ? 1 : fights + 1
        last = now
      }
      const doubled = GAP_MS * 2 ** Math.min(10, Math.max(0, fights - 1))
      return wasPutBack ? Math.min(LONGEST_GAP_MS, doubled) : GAP_MS
    },
  }
}
export type Pace = ReturnType<typeof createPace>
