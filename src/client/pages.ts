/** Lists, page after page. */
import type { PageOf } from '../api/page.ts'
import { MAX_LIMIT } from '../api/query.ts'
import type { Caller } from './call.ts'
import type { ItemOf, ListOperation, ParamsOf, QueryOf } from './contract.ts'

/** The first items of a list, and whether the list goes on behind them. */
export type Listed<A> = { readonly items: readonly A[]; readonly more: boolean }

/** At most `limit` items, read in as few pages as that takes. Infinity: all there are. */
export const readPages = async <K extends ListOperation>(
  call: Caller,
  operation: K,
  params: ParamsOf<K>,
  query: Omit<QueryOf<K>, 'limit' | 'cursor'>,
  limit: number,
): Promise<Listed<ItemOf<K>>> => {
  const items: ItemOf<K>[] = []
  let cursor: string | null = null
  for (;;) {
    const paging: object = { limit: Math.min(MAX_LIMIT, limit - items.length), ...(cursor === null ? {} : { cursor }) }
    const answered = await call(operation, { params, query: { ...query, ...paging } as QueryOf<K> })
    if (answered.unchanged) throw new Error('a list was answered 304 without having been asked conditionally')
    const page = answered.body as unknown as PageOf<ItemOf<K>>
    items.push(...page.items)
    const ends = page.nextCursor === null || page.nextCursor === cursor
    if (ends || items.length >= limit) return { items: items.slice(0, limit), more: !ends || items.length > limit }
    cursor = page.nextCursor
  }
}
