/**
 * Collects items and hands them over together: at once when nothing is under way, otherwise when the
 * batch before is done, and never more often than `minIntervalMs`. One batch runs at a time.
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

export const createBatch = <A, B>(
  /** An answer that is a promise is waited for by its own item alone. */
  run: (items: readonly A[]) => Promise<readonly (B | Promise<B>)[]>,
  options: { readonly minIntervalMs: number; readonly maxItems: number },
): Batch<A, B> => {
  let waiting: Waiting<A, B>[] = []
  let running = false
  let lastStart = Number.NEGATIVE_INFINITY
  let idleResolvers: (() => void)[] = []

  const settle = (): void => {
    if (running || waiting.length > 0) return
    const resolvers = idleResolvers
    idleResolvers = []
    for (const resolve of resolvers) resolve()
  }

  const schedule = (): void => {
    if (running || waiting.length === 0) return
    running = true
    const delay = Math.max(0, lastStart + options.minIntervalMs - performance.now())
    // Even without a delay the batch starts after this turn of the event loop, with all that the turn brought.
    if (delay === 0) setImmediate(() => void start())
    else setTimeout(() => void start(), delay)
  }

  const start = async (): Promise<void> => {
    lastStart = performance.now()
    const batch = waiting.slice(0, options.maxItems)
    waiting = waiting.slice(options.maxItems)
    try {
      const answers = await run(batch.map(({ item }) => item))
      batch.forEach(({ resolve }, index) => {
        resolve(answers[index] as B | Promise<B>)
      })
    } catch (error) {
      for (const { reject } of batch) reject(error)
    }
    running = false
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
