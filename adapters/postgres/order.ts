/** How a page begins behind the last row of the page before, and in which order its rows come. */
export type Order = { readonly by: string; readonly direction: 'ASC' | 'DESC'; readonly beyond: '>' | '<' }

/** Of a `sort` as the API has it: `-` is descending. */
export const orderOf = (sort: string): Order =>
  sort.startsWith('-')
    ? { by: sort.slice(1), direction: 'DESC', beyond: '<' }
    : { by: sort, direction: 'ASC', beyond: '>' }

/** Microseconds since 1970: what a cursor carries, exact where a JavaScript Date is not. */
export const inMicroseconds = (column: string): string => `(extract(epoch FROM ${column}) * 1000000)::bigint`
export const fromMicroseconds = (parameter: string): string =>
  `(timestamptz 'epoch' + ${parameter}::bigint * interval '1 microsecond')`

/** Keys that all others lie beyond, so that the statement of a first page is that of the others, and its range one of the index. */
export const beforeAll = {
  integer: { ASC: -1, DESC: 2_147_483_647 },
  bigint: { ASC: -1, DESC: Number.MAX_SAFE_INTEGER },
  uuid: { ASC: '00000000-0000-0000-0000-000000000000', DESC: 'ffffffff-ffff-ffff-ffff-ffffffffffff' },
} as const
