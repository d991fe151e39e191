/** What every list takes and gives. */

export type Page<A> = { readonly items: readonly A[]; readonly nextCursor: string | null }

/** `sort` as the list names it; left out, as the list does by itself. */
export type PageRequest<Sort extends string = never> = {
  readonly limit: number
  readonly cursor: string | null
  readonly sort?: Sort | undefined
}

/**
 * Orders of lists, those that indexes have (orgs and templates are few, and sorted by their time as well); `-` is descending, and the
 * first of each is how the list goes by itself.
 */
export const byCreation = ['-createdAt', 'createdAt'] as const
export const byFirstSight = ['-firstSeenAt', 'firstSeenAt'] as const
export const byGeneration = ['generation', '-generation'] as const
export const byId = ['id', '-id'] as const
export const byName = ['name', '-name'] as const
export const byTime = ['-at', 'at'] as const
export const byVersion = ['-version', 'version'] as const
/** A history is read from its beginning. */
export const historyByTime = ['at', '-at'] as const
export const orgSorts = [...byId, '-createdAt', 'createdAt'] as const
export const templateSorts = [...byName, '-createdAt', 'createdAt'] as const

export type ByCreation = (typeof byCreation)[number]
export type ByFirstSight = (typeof byFirstSight)[number]
export type ByGeneration = (typeof byGeneration)[number]
export type ById = (typeof byId)[number]
export type ByName = (typeof byName)[number]
export type ByTime = (typeof byTime)[number]
export type ByVersion = (typeof byVersion)[number]
export type HistoryByTime = (typeof historyByTime)[number]
export type OrgSort = (typeof orgSorts)[number]
export type TemplateSort = (typeof templateSorts)[number]
