/** Who asks, from the headers of a request. */
import type { IncomingHttpHeaders } from 'node:http'
import { notFound } from '../../domain/errors.ts'
import { E } from '../../domain/fp.ts'
import type { Caller } from '../../domain/identity/caller.ts'
import type { Authenticate } from '../../domain/ports/access.ts'
import type { AnyRefusal } from './problems.ts'

// RFC 6750, section 2.1; schemes are case-insensitive.
const BEARER = /^Bearer +([A-Za-z0-9\-._~+/]+=*) *$/i

/** `caller`: who it is nevertheless, in an org of their own; null: nobody knows. */
export type Unheard = { readonly refusal: AnyRefusal; readonly caller: Caller | null }

export const callerOf = async (
  authenticate: Authenticate,
  headers: IncomingHttpHeaders,
): Promise<E.Either<Unheard, Caller>> => {
  const { authorization } = headers
  const bearer = authorization === undefined ? null : (BEARER.exec(authorization)?.[1] ?? null)
  const org = headers['streamspace-org']
  const actAs = typeof org === 'string' && org !== '' ? org : null
  const answer = await authenticate(bearer, actAs)
  switch (answer.kind) {
    case 'caller':
      return E.right(answer.caller)
    case 'unauthorized':
      return E.left({ refusal: { _tag: 'Unauthorized', given: authorization !== undefined }, caller: null })
    case 'unavailable':
      return E.left({ refusal: { _tag: 'ProviderUnavailable' }, caller: null })
    case 'unknown_org':
      return E.left({ refusal: notFound('org', actAs ?? ''), caller: answer.caller })
    case 'forbidden_org':
      return E.left({ refusal: { _tag: 'ForbiddenOrg', org: actAs ?? '' }, caller: answer.caller })
  }
}
