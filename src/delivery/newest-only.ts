/**
 * Work of which only the newest counts: one at a time for each key, and of what waits meanwhile only the last.
 * An agent that sends inventories faster than they can be compared thereby costs one comparison after another.
 */
export type NewestOnly<K, A> = (key: K, work: () => Promise<A>) => Promise<A>

type Waiting<A> = { readonly work: () => Promise<A>; readonly settle: (answer: A | Promise<A>) => void }

/** `overtaken`: the answer to work that was never begun, as newer work of its key came. */
export const createNewestOnly = <K, A>(overtaken: A): NewestOnly<K, A> => {
  const running = new Map<K, Waiting<A> | null>()

  const run = async (key: K, work: () => Promise<A>): Promise<A> => {
    running.set(key, null)
    try {
      return await work()
    } finally {
      const next = running.get(key) ?? null
      running.delete(key)
      if (next !== null) next.settle(run(key, next.work))
    }
  }

  return (key, work) => {
    if (!running.has(key)) return run(key, work)
    running.get(key)?.settle(overtaken)
    return new Promise<A>((settle) => {
      running.set(key, { work, settle })
    })
  }
}
