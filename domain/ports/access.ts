import type { Caller, Role } from '../identity/caller.ts'
import type { ApiKeyId, OrgId, UserId } from '../ids.ts'

export type ApiKeyRecord = {
  readonly id: ApiKeyId
  readonly orgId: OrgId
  readonly userId: UserId
  readonly role: Role
  readonly name: string
  /** The first characters of the key: how it is looked up, and what a list shows. */
  readonly prefix: string
  readonly hash: Buffer
  readonly expiresAt: Date | null
  readonly revokedAt: Date | null
}

export type AccessStore = {
  /** All keys that begin like one of these; several with one beginning only by chance. */
  readonly keysByPrefix: (prefixes: readonly string[]) => Promise<readonly ApiKeyRecord[]>
  /** Those of these that there are. */
  readonly existingOrgs: (orgIds: readonly OrgId[]) => Promise<ReadonlySet<OrgId>>
  readonly orgExists: (orgId: OrgId) => Promise<boolean>
  /** Makes the key's org too when it is missing. False: there was an installation key already. */
  readonly addKey: (key: ApiKeyRecord, onlyIf: 'always' | 'no_installation_key') => Promise<boolean>
  readonly hasInstallationKey: () => Promise<boolean>
  readonly revokeInstallationKeys: () => Promise<void>
}

/** Who a bearer token is, in which org it acts. */
export type Authenticated =
  | { readonly kind: 'caller'; readonly caller: Caller }
  | { readonly kind: 'unauthorized' }
  /** Whether a token is good cannot be found out now. */
  | { readonly kind: 'unavailable' }
  /** `caller`: in the org that the token is of. */
  | { readonly kind: 'unknown_org' | 'forbidden_org'; readonly caller: Caller }

/** `actAs` is the `Streamspace-Org` header: for installation keys any org, for others only their own. */
export type Authenticate = (bearer: string | null, actAs: string | null) => Promise<Authenticated>

/** Health of what the server stands on. */
export type Readiness = { readonly check: () => Promise<{ readonly ready: boolean; readonly reason: string | null }> }
