/**
 * Verifies JWTs with `jose`: by the keys that an OpenID Connect provider publishes, or by a secret that is shared with whoever
 * issues them. The two take different algorithms, so that a public key is never taken for a secret.
 */
import {
  createRemoteJWKSet,
  decodeProtectedHeader,
  errors,
  type JWTPayload,
  type JWTVerifyGetKey,
  type JWTVerifyOptions,
  jwtVerify,
} from 'jose'
import type { JwtSettings, VerifiedToken, VerifyToken } from '../../domain/ports/jwt.ts'
import { callerIn } from './claims.ts'

const ASYMMETRIC = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519']
const SYMMETRIC = ['HS256', 'HS384', 'HS512']
const FETCH_WITHIN_MS = 5_000
/** A key that is not known is asked for at most so often: tokens with made-up ones must not hammer the provider. */
const ASK_AGAIN_AFTER_MS = 10_000
/** A key that the provider has withdrawn is believed no longer than that. */
const KEYS_FOR_MS = 300_000

type Keys = () => Promise<JWTVerifyGetKey>

export const createVerifyToken = (settings: JwtSettings, askAgainAfterMs = ASK_AGAIN_AFTER_MS): VerifyToken => {
  const { oidc, shared, clockSkewSeconds: clockTolerance } = settings
  const keys: Keys | null = oidc === null ? null : remembered(() => keysOf(oidc.issuer, oidc.jwksUrl, askAgainAfterMs))
  const secret = shared === null ? null : new TextEncoder().encode(shared.secret)

  const verified = async (token: string): Promise<JWTPayload | string> => {
    const alg = algorithmOf(token)
    if (alg === null) return 'it is no JWT'
    const required = { requiredClaims: ['exp'], clockTolerance }
    if (SYMMETRIC.includes(alg)) {
      if (secret === null || shared === null) return `${alg} takes a shared secret, and none is set`
      const { issuer, audience } = shared
      const told = { ...(issuer === null ? {} : { issuer }), ...(audience === null ? {} : { audience }) }
      return (await jwtVerify(token, secret, { ...required, ...told, algorithms: SYMMETRIC })).payload
    }
    if (!ASYMMETRIC.includes(alg)) return `the algorithm ${alg.slice(0, 20)} is not taken`
    if (keys === null || oidc === null) return `${alg} takes an OpenID Connect provider, and none is set`
    const { issuer, audience } = oidc
    return verifiedByAny(token, await keys(), { ...required, issuer, audience, algorithms: ASYMMETRIC })
  }

  return async (token): Promise<VerifiedToken> => {
    try {
      const payload = await verified(token)
      return typeof payload === 'string' ? { kind: 'refused', why: payload } : callerIn(payload, settings)
    } catch (error) {
      const why = (error as Error).message
      return { kind: ABOUT_TOKENS.some((kind) => error instanceof kind) ? 'refused' : 'unavailable', why }
    }
  }
}

/** A token that names no key may be signed with any that fits: a provider that changes its keys has two for a while. */
const verifiedByAny = async (token: string, keys: JWTVerifyGetKey, options: JWTVerifyOptions): Promise<JWTPayload> => {
  try {
    return (await jwtVerify(token, keys, options)).payload
  } catch (error) {
    if (!(error instanceof errors.JWKSMultipleMatchingKeys)) throw error
    for await (const key of error) {
      const verified = await jwtVerify(token, key, options).catch((failed: unknown) => {
        if (failed instanceof errors.JWSSignatureVerificationFailed) return null
        throw failed
      })
      if (verified !== null) return verified.payload
    }
    throw new errors.JWSSignatureVerificationFailed()
  }
}

const algorithmOf = (token: string): string | null => {
  try {
    const { alg } = decodeProtectedHeader(token)
    return typeof alg === 'string' ? alg : null
  } catch {
    return null
  }
}

/** What is wrong with a token. Whatever else goes wrong is not the token's fault: it may be good. */
const ABOUT_TOKENS = [
  errors.JWTClaimValidationFailed,
  errors.JWTExpired,
  errors.JWTInvalid,
  errors.JWSInvalid,
  errors.JWSSignatureVerificationFailed,
  errors.JOSEAlgNotAllowed,
  errors.JOSENotSupported,
  errors.JWKSNoMatchingKey,
  errors.JWKSMultipleMatchingKeys,
]

/** Until it has worked, each asks anew. */
const remembered = (find: Keys): Keys => {
  let found: Promise<JWTVerifyGetKey> | null = null
  return () => {
    found ??= find().catch((error: unknown) => {
      found = null
      throw error
    })
    return found
  }
}

const keysOf = async (issuer: string, jwksUrl: string | null, cooldownDuration: number): Promise<JWTVerifyGetKey> =>
  createRemoteJWKSet(new URL(jwksUrl ?? (await discovered(issuer))), {
    timeoutDuration: FETCH_WITHIN_MS,
    cooldownDuration,
    cacheMaxAge: KEYS_FOR_MS,
  })

/** OpenID Connect Discovery 1.0, section 4. */
const discovered = async (issuer: string): Promise<string> => {
  const at = `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`
  const answer = await fetch(at, { signal: AbortSignal.timeout(FETCH_WITHIN_MS), redirect: 'error' })
  if (!answer.ok) throw new Error(`${at} answered ${answer.status}`)
  const { issuer: named, jwks_uri: keys } = (await answer.json()) as { issuer?: unknown; jwks_uri?: unknown }
  if (named !== issuer) throw new Error(`${at} is of the issuer ${String(named)}`)
  if (typeof keys !== 'string') throw new Error(`${at} has no jwks_uri`)
  return keys
}
