/**
 * At most so many at a time, the rest in the order in which they came: ten thousand lanes that wake
 * together must not take all of the pool from the people who use the API.
 */
export type Limiter = <A>(task: () => Promise<A>) => Promise<A>

export const createLimiter = (atOnce: number): Limiter => {
  let running = 0
  let waiting: (() => void)[] = []
  let head = 0
  /** The place is handed over, not freed: nobody who comes in between can take it. */
  const leave = (): void => {
    const next = waiting[head]
    if (next === undefined) {
      running--
      return
    }
    head++
    if (head === waiting.length) {
      waiting = []
      head = 0
    }
    next()
  }
  return async (task) => {
    if (running < atOnce) running++
    else await new Promise<void>((resolve) => waiting.push(resolve))
    try {
      return await task()
    } finally {
      leave()
    }
  }
}
