/** From the claims of a token that was verified to a caller, as the settings map them. */
import type { JWTPayload } from 'jose'
import type { OrgId, UserId } from '../../domain/ids.ts'
import type { JwtSettings, TokenRole, VerifiedToken } from '../../domain/ports/jwt.ts'

/** The highest first: of several that a token names the highest counts. */
const ranked: readonly TokenRole[] = ['admin', 'operator', 'user', 'viewer']
const LONGEST_NAME = 255

/** By its whole name, as those have dots that are URLs; else as a path, such as `realm_access.roles`. */
const claimAt = (payload: JWTPayload, name: string): unknown => {
  if (Object.hasOwn(payload, name)) return payload[name]
  let at: unknown = payload
  for (const part of name.split('.')) {
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, part)) return undefined
    at = (at as Record<string, unknown>)[part]
  }
  return at
}

const textAt = (payload: JWTPayload, name: string): string | null => {
  const claim = claimAt(payload, name)
  return typeof claim === 'string' &&
    claim !== '' &&
    claim.length <= LONGEST_NAME &&
    claim.isWellFormed() &&
    !/\p{Cc}/u.test(claim)
    ? claim
    : null
}

const roleOf = (payload: JWTPayload, { claims, roles, defaults }: JwtSettings): TokenRole | null => {
  const claim = claimAt(payload, claims.role)
  if (claim === undefined) return defaults.role
  const named = (Array.isArray(claim) ? claim : [claim]).map((one) =>
    typeof one !== 'string' ? undefined : (roles.get(one) ?? ranked.find((role) => role === one)),
  )
  return ranked.find((role) => named.includes(role)) ?? null
}

export const callerIn = (payload: JWTPayload, settings: JwtSettings): VerifiedToken => {
  const { claims, defaults } = settings
  const orgId = claimAt(payload, claims.org) === undefined ? defaults.org : textAt(payload, claims.org)
  if (orgId === null) return { kind: 'refused', why: `no org in the claim ${claims.org}` }
  const userId = textAt(payload, claims.user)
  if (userId === null) return { kind: 'refused', why: `no user in the claim ${claims.user}` }
  const role = roleOf(payload, settings)
  if (role === null) return { kind: 'refused', why: `no role that is known in the claim ${claims.role}` }
  return { kind: 'caller', orgId: orgId as OrgId, userId: userId as UserId, role }
}
