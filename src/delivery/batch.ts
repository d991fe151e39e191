/**
 * Collects items and hands them over together: at once when nothing is under way, otherwise when the
 * batch before is done, and never more often than `minIntervalMs`. One batch runs at a time, unless it takes
 * long and may be overtaken.
 */
export type Batch<A, B> = {
  /** Resolves with the item's own answer, or rejects with what made its batch fail. */
  readonly add: (item: A) => Promise<B>
  /** Resolves when nothing is waiting or under way. */
  readonly idle: () => Promise<void>
  readonly size: () => number
}

type Waiting<A, B> = {
  readonly item: A
  readonly resolve: (answer: B | Promise<B>) => void
  readonly reject: (error: unknown) => void
}

export type BatchOptions = {
  readonly minIntervalMs: number
  readonly maxItems: number
  /**
   * For batches that do not depend on each other: after so many milliseconds the next no longer waits for the one
   * under way, so that a statement that hangs (a lock, a connection that is dead and does not show it) holds up its
   * own items alone.
   */
  readonly overtakeAfterMs?: number
}

/** Batches under way at once where one may overtake another: a share of the connections, not all of them. */
const AT_ONCE = 4

export const createBatch = <A, B>(
  /** An answer that is a promise is waited for by its own item alone. */
  run: (items: readonly A[]) => Promise<readonly (B | Promise<B>)[]>,
  { minIntervalMs, maxItems, overtakeAfterMs }: BatchOptions,
): Batch<A, B> => {
  let waiting: Waiting<A, B>[] = []
  let underWay = 0
  /** Of those under way, the ones that the next batch does not wait for. */
  let slow = 0
  let lastStart = Number.NEGATIVE_INFINITY
  let idleResolvers: (() => void)[] = []

  const settle = (): void => {
    if (underWay > 0 || waiting.length > 0) return
    const resolvers = idleResolvers
    idleResolvers = []
    for (const resolve of resolvers) resolve()
  }

  const schedule = (): void => {
    if (underWay > slow || underWay >= AT_ONCE || waiting.length === 0) return
    underWay += 1
    const delay = Math.max(0, lastStart + minIntervalMs - performance.now())
    // Even without a delay the batch starts after this turn of the event loop, with all that the turn brought.
    if (delay === 0) setImmediate(() => void start())
    else setTimeout(() => void start(), delay)
  }

  /** Returns what is to be done when the batch is over. */
  const watchSlow = (): (() => void) => {
    if (overtakeAfterMs === undefined) return () => {}
    let isSlow = false
    const timer = setTimeout(() => {
      isSlow = true
      slow += 1
      schedule()
    }, overtakeAfterMs)
    return () => {
      clearTimeout(timer)
      if (isSlow) slow -= 1
    }
  }

  const start = async (): Promise<void> => {
    lastStart = performance.now()
    const batch = waiting.slice(0, maxItems)
    waiting = waiting.slice(maxItems)
    const over = watchSlow()
    try {
      const answers = await run(batch.map(({ item }) => item))
      batch.forEach(({ resolve }, index) => {
        resolve(answers[index] as B | Promise<B>)
      })
    } catch (error) {
      for (const { reject } of batch) reject(error)
    }
    over()
    underWay -= 1
    schedule()
    settle()
  }

  return {
    add: (item) =>
      new Promise<B>((resolve, reject) => {
        waiting.push({ item, resolve, reject })
        schedule()
      }),
    idle: () =>
      new Promise((resolve) => {
        idleResolvers.push(resolve)
        settle()
      }),
    size: () => waiting.length,
  }
}
