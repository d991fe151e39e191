/** One side of a comparison, the product or the bare engine, and how two are measured in turn. */
import { setTimeout as wait } from 'node:timers/promises'
import { distributionOf } from '../../percentiles.ts'

export type Side = {
  /** Resolves when it answers: what is timed. */
  readonly start: () => Promise<Started>
  /** So many, begun in one go; resolves when all of them answer. */
  readonly startMany: (count: number) => Promise<readonly Started[]>
}

/** Not timed. Resolves when the engine has nothing of it any more. */
export type Started = { readonly remove: () => Promise<void> }

/** The engine has been asked, and has answered. */
export type Begun = Started & { readonly answers: () => Promise<void> }

/** Of a script that asks for so many at a time, and waits for what it has begun when all are begun. */
export const sideOf = (begin: () => Promise<Begun>, atOnce: number): Side => ({
  start: async () => {
    const begun = await begin()
    await begun.answers()
    return begun
  },
  startMany: async (count) => {
    const answers: Promise<void>[] = []
    const all = await atMost(atOnce, Array.from({ length: count }), async () => {
      const begun = await begin()
      answers.push(begun.answers())
      return begun
    })
    await Promise.all(answers)
    return all
  },
})

export type Pair = { readonly bare: Side; readonly product: Side }

const timed = async <A>(work: () => Promise<A>): Promise<{ readonly ms: number; readonly result: A }> => {
  const began = performance.now()
  const result = await work()
  return { ms: performance.now() - began, result }
}

/**
 * Bare, product, product, bare …, so that each comes as often behind each; each is removed before the next begins, and the engine
 * has `restMs` to be done with it. The first of each is not counted.
 */
export const inTurn = async ({ bare, product }: Pair, rounds: number, restMs: number) => {
  const ms: { readonly bare: number[]; readonly product: number[] } = { bare: [], product: [] }
  const sides = [['bare', bare] as const, ['product', product] as const]
  for (let round = 0; round <= rounds; round += 1)
    for (const [name, side] of round % 2 === 0 ? sides : sides.toReversed()) {
      const one = await timed(side.start)
      if (round > 0) ms[name].push(one.ms)
      await one.result.remove()
      await wait(restMs)
    }
  return { bare: distributionOf(ms.bare), product: distributionOf(ms.product), ms }
}

const REMOVED_AT_ONCE = 16

export const removeAll = (all: readonly Started[]): Promise<void> =>
  atMost(REMOVED_AT_ONCE, all, (one) => one.remove()).then(() => {})

export const manyInTurn = async ({ bare, product }: Pair, count: number, rounds: number) => {
  const ms: { readonly bare: number[]; readonly product: number[] } = { bare: [], product: [] }
  for (let round = 0; round < rounds; round += 1)
    for (const [name, side] of [['bare', bare] as const, ['product', product] as const]) {
      const all = await timed(() => side.startMany(count))
      ms[name].push(all.ms)
      await removeAll(all.result)
    }
  return ms
}

/** `work` on each, so many at a time, in order. */
export const atMost = async <A, B>(
  atOnce: number,
  all: readonly A[],
  work: (one: A) => Promise<B>,
): Promise<readonly B[]> => {
  const queue = all.entries()
  const results: B[] = new Array(all.length)
  const worker = async (): Promise<void> => {
    for (const [index, one] of queue) results[index] = await work(one)
  }
  await Promise.all(Array.from({ length: atOnce }, worker))
  return results
}
