import * as c from '../../domain/codec/codec.ts'
import { roles } from '../../domain/identity/caller.ts'
import type { ApiKeyView } from '../../domain/ports/api-keys.ts'
import { orgId, revision, time, userId } from './fields.ts'
import { represents } from './json.ts'
import { pageOf } from './page.ts'
import { timestamp } from './query.ts'

const apiKeyFields = {
  id: c.string(),
  orgId: c.string(),
  userId: c.described(c.string(), 'who acts with it; sessions that it makes are theirs'),
  role: c.oneOf(roles),
  name: c.string(),
  prefix: c.described(c.string(), 'the first characters of the key, by which people tell keys apart'),
  createdAt: time,
  expiresAt: c.nullable(time),
  revokedAt: c.nullable(time),
  lastUsedAt: c.described(c.nullable(time), 'to the minute; null: never'),
  revision,
} as const

export const apiKeyCodec = represents<ApiKeyView>()(c.openObject(apiKeyFields))
export type ApiKey = c.TypeOf<typeof apiKeyCodec>

/** Field by field: the hash never leaves. */
export const apiKeyRepresentation = (key: ApiKeyView): ApiKeyView => ({
  id: key.id,
  orgId: key.orgId,
  userId: key.userId,
  role: key.role,
  name: key.name,
  prefix: key.prefix,
  createdAt: key.createdAt,
  expiresAt: key.expiresAt,
  revokedAt: key.revokedAt,
  lastUsedAt: key.lastUsedAt,
  revision: key.revision,
})

export const apiKeyPageCodec = pageOf(apiKeyCodec)

export const apiKeyWithSecretCodec = c.openObject({
  ...apiKeyFields,
  key: c.described(c.string(), 'shown this once'),
})
export type ApiKeyWithSecret = c.TypeOf<typeof apiKeyWithSecretCodec>

const keyName = c.refined(
  c.string({ minLength: 1, maxLength: 80, description: 'for people; default: the role' }),
  (name) => (/\p{Cc}/u.test(name) ? 'must not contain control characters' : null),
)

export const createApiKeyCodec = c.object(
  { role: c.oneOf(roles) },
  {
    name: keyName,
    userId: c.described(userId, 'default: the caller’s own'),
    orgId: c.described(orgId, 'default: the caller’s org; another needs an installation key'),
    expiresAt: c.nullable(timestamp),
  },
)

const LONGEST_OVERLAP_SECONDS = 30 * 86_400

export const rotateApiKeyCodec = c.object(
  {},
  {
    overlapSeconds: c.integer({
      minimum: 0,
      maximum: LONGEST_OVERLAP_SECONDS,
      description: 'how long the old key works on; default: not at all',
    }),
  },
)
