import type { Role } from '../../domain/identity/caller.ts'

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
