/**
 * A use case and what is kept of it (its answer under an Idempotency-Key, its entry in the audit trail) in one transaction, for those that
 * have no statement of their own that does both. What they tell others, they tell when it is committed.
 */
import { isAnswered, keepAsEach } from '../adapters/postgres/idempotency.ts'
import type { Database } from '../adapters/postgres/pool.ts'
import { E } from '../domain/fp.ts'
import type { Before, Keep } from '../domain/ports/idempotency.ts'
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

/** What a change finds. A refusal is the use case's own to tell. */
export type Sight = {
  /**
   * The same name whoever looks, from whichever org. null: there is nothing that this caller could change, and nobody has to wait for
   * somebody who only tries.
   */
  readonly thing: string | null
  /** Left out: nothing is there. */
  readonly before?: Before<unknown>
}

/** How it is looked at within the transaction of the change. */
export type Sights<U extends { readonly [name: string]: UseCase }> = {
  readonly [K in keyof U]?: (
    within: { readonly cases: U; readonly bound: Database },
    ...input: Parameters<U[K]>
  ) => Promise<Sight>
}

/** So that nobody changes it between what is read of it and what is written: of several such changes of one thing, one goes after another. */
const LOCK = 'SELECT pg_advisory_xact_lock(hashtextextended($1, 0))'

/** Looked at again under its lock, whatever it is by then. */
const heldStill = async (bound: Database, look: () => Promise<Sight>): Promise<Before<unknown> | undefined> => {
  for (let held: string | null = null; ; ) {
    const { thing, before } = await look()
    if (thing === null || thing === held) return before
    await bound.query({ text: LOCK, values: [`audited\n${thing}`] })
    held = thing
  }
}

/** After several tries of its own (`together`): others were in the way each time, or the org was deleted meanwhile. Nothing was changed. */
const CONTENDED = new Set(['SS001', '23503', '25P02', '40001', '40P01'])
const isContended = (error: unknown): boolean => CONTENDED.has((error as { code?: string }).code ?? '')

type Kept<U, N extends keyof U> = Omit<U, N> & { readonly [K in N]: Keeping<U[K]> }

/** `names`: those that change something. */
export const keptWith = <U extends { readonly [name: string]: UseCase }, N extends keyof U & string>(
  database: Database,
  build: (database: Database, later: Later) => U,
  ...names: readonly N[]
): Kept<U, N> => keptAndSeen<U, N>(database, build, names, {})

/** `sights`: of those that change what is there, how it is found. */
export const keptAndSeen = <U extends { readonly [name: string]: UseCase }, N extends keyof U & string>(
  database: Database,
  build: (database: Database, later: Later) => U,
  names: readonly N[],
  sights: NoInfer<Sights<U>>,
): Kept<U, N> => {
  const plain = build(database, atOnce)
  const beforeOf = async (bound: Database, cases: U, name: N, input: readonly never[]) => {
    const look = sights[name] as ((within: object, ...input: readonly never[]) => Promise<Sight>) | undefined
    return look === undefined ? undefined : heldStill(bound, () => look({ cases, bound }, ...input))
  }
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
            const cases = build(bound, (effect) => void effects.push(effect))
            const before = await beforeOf(bound, cases, name, input)
            const outcome = await (cases[name] as UseCase)(...input)()
            if (E.isLeft(outcome)) throw new Refused(outcome.left)
            await keepAsEach(bound, keep(outcome.right, before))
            return outcome.right
          })
          for (const effect of effects) effect()
          return E.right(result)
        } catch (error) {
          if (error instanceof Refused) return E.left(error.refusal as never)
          if (isAnswered(error)) return E.left({ _tag: 'Answered' })
          if (isContended(error)) return E.left({ _tag: 'Contended', what: 'this' })
          throw error
        }
      }
    }
  }
  return { ...plain, ...Object.fromEntries(names.map((name) => [name, keeping(name)])) } as never
}
