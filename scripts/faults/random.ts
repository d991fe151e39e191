/** Numbers that one seed fixes: each part of a run draws from a stream of its own, so that one never shifts another. */
import { createHash } from 'node:crypto'

export type Random = {
  /** In [0, 1). */
  readonly next: () => number
  /** Whole, from `low` to `high`, both included. */
  readonly between: (low: number, high: number) => number
  readonly chance: (probability: number) => boolean
  readonly pick: <A>(items: readonly A[]) => A | undefined
  readonly shuffled: <A>(items: readonly A[]) => A[]
}

/** sfc32 (Chris Doty-Humphrey, PractRand): small, fast, and the same on every machine. */
export const randomOf = (seed: number, stream: string): Random => {
  const hash = createHash('sha256').update(`${seed}:${stream}`).digest()
  let [a, b, c, counter] = [hash.readInt32LE(0), hash.readInt32LE(4), hash.readInt32LE(8), 1]
  const next = (): number => {
    const sum = (((a + b) | 0) + counter) | 0
    counter = (counter + 1) | 0
    a = b ^ (b >>> 9)
    b = (c + (c << 3)) | 0
    c = (((c << 21) | (c >>> 11)) + sum) | 0
    return (sum >>> 0) / 2 ** 32
  }
  for (let warmUp = 0; warmUp < 12; warmUp += 1) next()
  const between = (low: number, high: number): number => low + Math.floor(next() * (high - low + 1))
  return {
    next,
    between,
    chance: (probability) => next() < probability,
    pick: (items) => items[Math.floor(next() * items.length)],
    shuffled: (items) => {
      const left = [...items]
      for (let last = left.length - 1; last > 0; last -= 1) {
        const other = between(0, last)
        const [one, two] = [left[last], left[other]]
        if (one !== undefined && two !== undefined) [left[last], left[other]] = [two, one]
      }
      return left
    },
  }
}
