import type { Batch } from './batch.ts'

export type Lines<K, A, B> = {
  readonly has: (key: K) => boolean
  readonly add: (key: K, item: A) => Promise<B>
}

/** A batch of its own for each key, for as long as it has something to do: no key waits for what another one asked for. */
export const createLines = <K, A, B>(open: (key: K) => Batch<A, B>): Lines<K, A, B> => {
  const lines = new Map<K, Batch<A, B>>()
  return {
    has: (key) => lines.has(key),
    add: (key, item) => {
      const existing = lines.get(key)
      if (existing !== undefined) return existing.add(item)
      const line = open(key)
      lines.set(key, line)
      const answer = line.add(item)
      void line.idle().then(() => lines.delete(key))
      return answer
    },
  }
}
