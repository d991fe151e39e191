/** API keys as their admins deal with them. What a key is known by when it is used: `access.ts`. */
import type { ApiKeyId, OrgId } from '../ids.ts'
import type { ApiKeyRecord } from './access.ts'
import type { Guard } from './if-match.ts'
import type { ByCreation, Page, PageRequest } from './page.ts'

export type ApiKeyView = Omit<ApiKeyRecord, 'hash'> & {
  readonly createdAt: Date
  /** To the minute; null: never. */
  readonly lastUsedAt: Date | null
  /** Raised by what people change of it. */
  readonly revision: number
}

export type NewApiKey = Omit<ApiKeyRecord, 'revokedAt'>

export type ApiKeyStore = {
  readonly list: (orgId: OrgId, page: PageRequest<ByCreation>) => Promise<Page<ApiKeyView>>
  readonly get: (orgId: OrgId, id: ApiKeyId) => Promise<ApiKeyView | null>
  readonly add: (key: NewApiKey) => Promise<ApiKeyView>
  /**
   * Adds the new key, and lets the old one work for `overlapSeconds` more at most. null: the old one works no more, or has another
   * revision.
   */
  readonly replace: (
    orgId: OrgId,
    id: ApiKeyId,
    key: NewApiKey,
    overlapSeconds: number,
    guard?: Guard,
  ) => Promise<ApiKeyView | null>
  /** False: there is no such key, or it has another revision. One that is revoked stays so. */
  readonly revoke: (orgId: OrgId, id: ApiKeyId, guard?: Guard) => Promise<boolean>
  readonly used: (keys: readonly { readonly id: ApiKeyId; readonly at: Date }[]) => Promise<void>
}
