/** Lets a few in at a time; the others wait, in the order in which they came. */
export const createTurnstile = (most: number): (<A>(work: () => Promise<A>) => Promise<A>) => {
  let inside = 0
  const waiting: (() => void)[] = []
  return async (work) => {
    if (inside >= most) await new Promise<void>((resolve) => waiting.push(resolve))
    else inside += 1
    try {
      return await work()
    } finally {
      // Whoever is next takes the place over.
      const next = waiting.shift()
      if (next === undefined) inside -= 1
      else next()
    }
  }
}
