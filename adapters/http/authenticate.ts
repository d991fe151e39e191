/** Who asks, from the headers of a request. */
import type { IncomingHttpHeaders } from 'node:http'
import { notFound } from '../../domain/errors.ts'
import { E } from '../../domain/fp.ts'
import type { Caller } from '../../domain/identity/caller.ts'
import type { Authenticate } from '../../domain/ports/access.ts'
import type { AnyRefusal } from './problems.ts'

// RFC 6750, section 2.1; schemes are case-insensitive.
const BEARER = /^Bearer +([A-Za-z0-9\-._~+/]+=*) *$/i

export const callerOf = async (
  authenticate: Authenticate,
  headers: IncomingHttpHeaders,
): Promise<E.Either<AnyRefusal, Caller>> => {
  const { authorization } = headers
  const bearer = authorization === undefined ? null : (BEARER.exec(authorization)?.[1] ?? null)
  const org = headers['streamspace-org']
  const actAs = typeof org === 'string' && org !== '' ? org : null
  const answer = await authenticate(bearer, actAs)
  switch (answer.kind) {
    case 'caller':
      return E.right(answer.caller)
    case 'unauthorized':
      return E.left({ _tag: 'Unauthorized', given: authorization !== undefined })
    case 'unavailable':
      return E.left({ _tag: 'ProviderUnavailable' })
    case 'unknown_org':
      return E.left(notFound('org', actAs ?? ''))
    case 'forbidden_org':
      return E.left({ _tag: 'ForbiddenOrg', org: actAs ?? '' })
  }
}
