/** Lists, page after page. */
import type { PageOf } from '../api/page.ts'
import { MAX_LIMIT } from '../api/query.ts'
import type { Caller } from './call.ts'
import type { ItemOf, ListOperation, ParamsOf, QueryOf } from './contract.ts'

/** The first items of a list, and whether the list goes on behind them. */
export type Listed<A> = { readonly items: readonly A[]; readonly more: boolean }

/** Pages of a list one after another: what each next call of the generator asks for. */
type Pages<A> = () => AsyncGenerator<PageOf<A>, void, void>

/**
 * A list that has not been asked for yet. `for await` reads it item by item, and a page only when the one before is used up;
 * `await` reads it whole, up to its limit. Each of both begins anew.
 */
export class Listing<A> implements Promise<Listed<A>>, AsyncIterable<A> {
  readonly [Symbol.toStringTag] = 'Listing'
  readonly #pages: Pages<A>
  readonly #limit: number

  constructor(pages: Pages<A>, limit: number) {
    this.#pages = pages
    this.#limit = limit
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<A, void, void> {
    let left = this.#limit
    for await (const { items } of this.#pages())
      for (const item of items) {
        if (left <= 0) return
        left -= 1
        yield item
      }
  }

  async #read(): Promise<Listed<A>> {
    const read: A[] = []
    let more = false
    for await (const { items, nextCursor } of this.#pages()) {
      read.push(...items)
      more = nextCursor !== null
    }
    return { items: read.slice(0, this.#limit), more: more || read.length > this.#limit }
  }

  // biome-ignore lint/suspicious/noThenProperty: it is a promise, of what is asked for only when somebody waits
  then<B = Listed<A>, C = never>(
    onListed?: ((listed: Listed<A>) => B | PromiseLike<B>) | null,
    onFailed?: ((reason: unknown) => C | PromiseLike<C>) | null,
  ): Promise<B | C> {
    return this.#read().then(onListed, onFailed)
  }

  catch<C = never>(onFailed?: ((reason: unknown) => C | PromiseLike<C>) | null): Promise<Listed<A> | C> {
    return this.#read().catch(onFailed)
  }

  finally(onDone?: (() => void) | null): Promise<Listed<A>> {
    return this.#read().finally(onDone)
  }
}

/** At most `limit` items, read in as few pages as that takes. Infinity: all there are. */
export const readPages = <K extends ListOperation>(
  call: Caller,
  operation: K,
  params: ParamsOf<K>,
  query: Omit<QueryOf<K>, 'limit' | 'cursor'>,
  limit: number = Number.POSITIVE_INFINITY,
): Listing<ItemOf<K>> =>
  new Listing(async function* () {
    let left = limit
    let cursor: string | null = null
    do {
      const paging: object = { limit: Math.min(MAX_LIMIT, left), ...(cursor === null ? {} : { cursor }) }
      const answered = await call(operation, { params, query: { ...query, ...paging } as QueryOf<K> })
      if (answered.unchanged) throw new Error('a list was answered 304 without having been asked conditionally')
      const page = answered.body as unknown as PageOf<ItemOf<K>>
      // A cursor that leads to itself would have no end.
      const nextCursor: string | null = page.nextCursor === cursor ? null : page.nextCursor
      yield { ...page, nextCursor }
      left -= page.items.length
      cursor = nextCursor
    } while (cursor !== null && left > 0)
  }, limit)
