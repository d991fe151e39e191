import type { Batch } from './batch.ts'

export type Lines<K, A, B> = {
  readonly has: (key: K) => boolean
  readonly add: (key: K, item: A) => Promise<B>
}

/** A batch of its own for each key, for as long as it has something to do: no key waits for what another one asked for. */
export const createLines = <K, A, B>(open: (key: K) => Batch<A, B>): Lines<K, A, B> => {
  const lines = new Map<K, Batch<A, B>>()
  /** Whoever was answered just now may have asked for more already. */
  const ending = async (key: K, line: Batch<A, B>): Promise<void> => {
    do await line.idle()
    while (line.size() > 0)
    lines.delete(key)
  }
  return {
    has: (key) => lines.has(key),
    add: (key, item) => {
      const existing = lines.get(key)
      if (existing !== undefined) return existing.add(item)
      const line = open(key)
      lines.set(key, line)
      const answer = line.add(item)
      void ending(key, line)
      return answer
    },
  }
}
