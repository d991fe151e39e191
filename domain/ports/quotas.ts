import type { OrgId } from '../ids.ts'
import type { Amounts } from '../quota/amounts.ts'
import type { Quota } from '../quota/quota.ts'

/** `version` 0: none was ever set. */
export type VersionedQuota = { readonly quota: Quota; readonly version: number }

export type Usage = Amounts & {
  readonly perUser: { readonly [userId: string]: Amounts }
  readonly perTemplate: { readonly [name: string]: Amounts }
}

/** Of whom it is shown; left out: of those that keep the most sessions. */
export type UsageFilter = { readonly user?: readonly string[]; readonly template?: readonly string[] }
export const MOST_SHOWN = 100

export type QuotaStore = {
  readonly get: (orgId: OrgId) => Promise<VersionedQuota>
  /**
   * For all that is asked from then on; what there is stays. `versions`: those that it may replace, null for any. With the first
   * limit of an org begins the counting of what it has.
   */
  readonly set: (
    orgId: OrgId,
    quota: Quota,
    versions: readonly number[] | null,
  ) => Promise<
    { readonly kind: 'set'; readonly version: number } | { readonly kind: 'mismatch'; readonly current: number }
  >
  readonly usage: (orgId: OrgId, filter: UsageFilter) => Promise<Usage>
}
