/** JWTs: who an identity provider says that somebody is (RFC 7519, OpenID Connect Core 1.0). */
import type { Role } from '../identity/caller.ts'
import type { OrgId, UserId } from '../ids.ts'

export type VerifiedToken =
  | { readonly kind: 'caller'; readonly orgId: OrgId; readonly userId: UserId; readonly role: Role }
  /** Forged, expired, for somebody else, or without the claims that make a caller; `why` is for the log alone. */
  | { readonly kind: 'refused'; readonly why: string }
  /** The provider's keys cannot be fetched: whether the token is good is not known. */
  | { readonly kind: 'unavailable'; readonly why: string }

export type VerifyToken = (token: string) => Promise<VerifiedToken>
