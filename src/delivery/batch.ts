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

/** For batches that may be overtaken: what an item may have to wait for (the row of an agent, say), or null. */
export type Keyed<A> = { readonly keyOf?: (item: A) => string | null }

/** Batches under way at once where one may overtake another: a share of the connections, not all of them. */
const AT_ONCE = 4
/** The same where it is known what each waits for; the last place is for items that nobody has reason to suspect. */
const KEYED_AT_ONCE = 6

type Run<A, B> = {
  batch: readonly Waiting<A, B>[]
  /** Set when it is slow: what it may be waiting for. One key alone is what it waits for. */
  slow: { readonly keys: Set<string>; readonly alone: boolean } | null
}

export const createBatch = <A, B>(
  /** An answer that is a promise is waited for by its own item alone. */
  run: (items: readonly A[]) => Promise<readonly (B | Promise<B>)[]>,
  { minIntervalMs, maxItems, overtakeAfterMs, keyOf = () => null }: BatchOptions & Keyed<A>,
): Batch<A, B> => {
  let waiting: Waiting<A, B>[] = []
  const underWay = new Set<Run<A, B>>()
  const slow = new Set<Run<A, B>>()
  let isScheduled = false
  let lastStart = Number.NEGATIVE_INFINITY
  let idleResolvers: (() => void)[] = []

  const settle = (): void => {
    if (underWay.size > 0 || isScheduled || waiting.length > 0) return
    const resolvers = idleResolvers
    idleResolvers = []
    for (const resolve of resolvers) resolve()
  }

  /** What the next batch would take now. */
  const next = (): readonly Waiting<A, B>[] => {
    if (underWay.size > slow.size) return []
    if (slow.size === 0) return waiting.slice(0, maxItems)
    return besidesSlow(waiting, [...slow], keyOf).slice(0, maxItems)
  }

  const schedule = (): void => {
    if (isScheduled || next().length === 0) return
    isScheduled = true
    const delay = Math.max(0, lastStart + minIntervalMs - performance.now())
    // Even without a delay the batch starts after this turn of the event loop, with all that the turn brought.
    if (delay === 0) setImmediate(() => void start())
    else setTimeout(() => void start(), delay)
  }

  /** Returns what is to be done when the batch is over. */
  const watchSlow = (one: Run<A, B>): (() => void) => {
    if (overtakeAfterMs === undefined) return () => {}
    const timer = setTimeout(() => {
      const keys = keysOf(one.batch, keyOf)
      one.slow = { keys, alone: keys.size === 1 }
      slow.add(one)
      schedule()
    }, overtakeAfterMs)
    return () => {
      clearTimeout(timer)
      slow.delete(one)
      if (slow.size > 0) clear(slow, keysOf(one.batch, keyOf))
    }
  }

  const start = async (): Promise<void> => {
    isScheduled = false
    lastStart = performance.now()
    const batch = next()
    // What was wanted then may have to wait by now: fewer batches are slow, or none of known keys.
    if (batch.length === 0) return settle()
    const taken = new Set(batch)
    waiting = waiting[0] === batch[0] && taken.size === waiting.length ? [] : waiting.filter((one) => !taken.has(one))
    const one: Run<A, B> = { batch, slow: null }
    underWay.add(one)
    const over = watchSlow(one)
    try {
      const answers = await run(batch.map(({ item }) => item))
      batch.forEach(({ resolve }, index) => {
        resolve(answers[index] as B | Promise<B>)
      })
    } catch (error) {
      for (const { reject } of batch) reject(error)
    }
    over()
    // A timer that was cleared can keep what it closes over until a major collection (docs/decisions/0053).
    one.batch = []
    underWay.delete(one)
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

const keysOf = <A, B>(batch: readonly Waiting<A, B>[], keyOf: (item: A) => string | null): Set<string> =>
  new Set(batch.map(({ item }) => keyOf(item)).filter((key) => key !== null))

/** They are done: whatever a batch that is slow still waits for, it is none of these. */
const clear = <A, B>(slow: ReadonlySet<Run<A, B>>, keys: ReadonlySet<string>): void => {
  for (const one of slow) if (one.slow?.alone === false) for (const key of keys) one.slow.keys.delete(key)
}

/**
 * What goes on beside batches that are slow. One that waits for one key alone holds up the items of that key, and no
 * others. One of several keys waits for some of them, and nobody knows for which: each of them goes on in a batch of
 * its own, which shows it. What has no such key goes on together, and has the last place for itself.
 */
const besidesSlow = <A, B>(
  waiting: readonly Waiting<A, B>[],
  slow: readonly Run<A, B>[],
  keyOf: (item: A) => string | null,
): readonly Waiting<A, B>[] => {
  const held = new Set<string>()
  const suspect = new Set<string>()
  for (const one of slow) for (const key of one.slow?.keys ?? []) (one.slow?.alone ? held : suspect).add(key)
  const places = held.size + suspect.size === 0 ? AT_ONCE : KEYED_AT_ONCE
  if (slow.length >= places) return []
  const open = waiting.filter(({ item }) => !held.has(keyOf(item) ?? ''))
  const first = open.find(({ item }) => slow.length < places - 1 || !suspect.has(keyOf(item) ?? ''))
  if (first === undefined) return []
  const key = keyOf(first.item)
  return key !== null && suspect.has(key)
    ? open.filter(({ item }) => keyOf(item) === key)
    : open.filter(({ item }) => !suspect.has(keyOf(item) ?? ''))
}
