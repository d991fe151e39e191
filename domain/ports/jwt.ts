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

export type TokenRole = Exclude<Role, 'installation'>

export type JwtSettings = {
  /** OpenID Connect; null: no such tokens. */
  readonly oidc: {
    /** As tokens name it; its keys are found by discovery below it. */
    readonly issuer: string
    readonly audience: string
    /** Instead of discovery. */
    readonly jwksUrl: string | null
  } | null
  /** Of small installations; null: no such tokens. */
  readonly shared: { readonly secret: string; readonly issuer: string | null; readonly audience: string | null } | null
  readonly claims: { readonly org: string; readonly user: string; readonly role: string }
  /** What the role claim may say, beside the names of the roles themselves. */
  readonly roles: ReadonlyMap<string, TokenRole>
  /** Of tokens without the claim; null: those are refused. */
  readonly defaults: { readonly org: string | null; readonly role: TokenRole | null }
  /** How far clocks may be apart. */
  readonly clockSkewSeconds: number
}
