/**
 * A use case and the keeping of its answer (Idempotency-Key) in one transaction, for those that have no statement of their own
 * that does both. What they tell others, they tell when it is committed.
 */
import { isAnswered, keepWith } from '../adapters/postgres/idempotency.ts'
import type { Database } from '../adapters/postgres/pool.ts'
import { E } from '../domain/fp.ts'
import type { Keep } from '../domain/ports/idempotency.ts'
import type { Answer } from './usecases/application.ts'

/** To be done when what was done is committed. */
export type Later = (effect: () => void) => void

const atOnce: Later = (effect) => effect()

type UseCase = (...input: never[]) => Answer<unknown>

/** The same use case, which also takes what is to be kept. */
type Keeping<U> = U extends (...input: infer I) => Answer<infer A>
  ? (...input: [...I, keep?: Keep<A> | undefined]) => Answer<A>
  : never

/** A refusal is no answer that is kept, and nothing was changed. */
class Refused extends Error {
  readonly refusal: unknown
  constructor(refusal: unknown) {
    super('refused')
    this.refusal = refusal
  }
}

export const keptWith = <U extends { readonly [name: string]: UseCase }, N extends keyof U & string>(
  database: Database,
  build: (database: Database, later: Later) => U,
  ...names: readonly N[]
): Omit<U, N> & { readonly [K in N]: Keeping<U[K]> } => {
  const plain = build(database, atOnce)
  const keeping = (name: N) => {
    const arity = (plain[name] as UseCase).length
    return (...given: never[]): Answer<unknown> => {
      const keep = given[arity] as Keep<unknown> | undefined
      const input = given.slice(0, arity) as never[]
      if (keep === undefined) return (plain[name] as UseCase)(...input)
      return async () => {
        const effects: (() => void)[] = []
        try {
          const result = await database.together(async (bound) => {
            effects.length = 0
            const outcome = await (build(bound, (effect) => void effects.push(effect))[name] as UseCase)(...input)()
            if (E.isLeft(outcome)) throw new Refused(outcome.left)
            const kept = keep(outcome.right)
            await keepWith(bound.of(kept.orgId).query, kept)
            return outcome.right
          })
          for (const effect of effects) effect()
          return E.right(result)
        } catch (error) {
          if (error instanceof Refused) return E.left(error.refusal as never)
          if (isAnswered(error)) return E.left({ _tag: 'Answered' })
          throw error
        }
      }
    }
  }
  return { ...plain, ...Object.fromEntries(names.map((name) => [name, keeping(name)])) } as never
}
