/**
 * Work on one key, one after another within this process. PostgreSQL would make it wait too, for the lock on
 * the row, but each waiter would hold one of the pool's connections meanwhile and cost a wake-up in the server.
 */
export type Turns = <A>(key: string | null, work: () => Promise<A>) => Promise<A>

export const createTurns = (): Turns => {
  const last = new Map<string, Promise<unknown>>()
  return async (key, work) => {
    if (key === null) return work()
    const before = last.get(key)
    const mine = before === undefined ? work() : before.then(work)
    // The next one goes on whatever became of this one.
    const over = mine.catch(() => {})
    last.set(key, over)
    try {
      return await mine
    } finally {
      if (last.get(key) === over) last.delete(key)
    }
  }
}
