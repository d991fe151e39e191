import * as c from '../../domain/codec/codec.ts'
import { paging, query, sorting } from './query.ts'

/** One page of a list; `nextCursor` is null on the last one. */
export const pageOf = <A>(items: c.Codec<A>) =>
  c.openObject({ items: c.array(items), nextCursor: c.nullable(c.string()) })

export type PageOf<A> = { readonly items: readonly A[]; readonly nextCursor: string | null }

/** Lists that have pages and orders, and no filters. */
export const pagesQuery = <const S extends string>(sorts: readonly [S, ...S[]]) =>
  query({ ...sorting(sorts), ...paging })
