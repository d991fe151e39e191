/** Fields that several requests and representations have. */
import * as c from '../../domain/codec/codec.ts'
import { E } from '../../domain/fp.ts'
import {
  AGENT_ID,
  AGENT_ID_IN_WORDS,
  type AgentId,
  type ApiKeyId,
  type CommandId,
  DNS_LABEL,
  DNS_LABEL_IN_WORDS,
  isUuid,
  type OrgId,
  type SessionId,
  type UserId,
  type WebhookDeliveryId,
  type WebhookId,
} from '../../domain/ids.ts'

/** PostgreSQL's `integer`: what does not fit must be refused here, not by the database. */
export const MAX_INTEGER = 2_147_483_647

export const time: c.Codec<string> = c.described(c.string(), { format: 'date-time' })

/**
 * A word from a list that grows, such as a status reason: a client one version behind must still be able to
 * read the answer, so any text decodes.
 */
export const wordOf = (known: readonly string[], description: string): c.Codec<string> =>
  c.described(c.string(), { description: `${description}. Known: ${known.join(', ')}. More may be added.` })

const uuid = c.codec<string>('uuid', { type: 'string', format: 'uuid' }, (input, context) =>
  typeof input === 'string' && isUuid(input)
    ? E.right(input.toLowerCase())
    : E.left([{ value: input, context, message: 'must be a UUID' }]),
)

/** Brands exist for the compiler only. */
const branded = <Id extends string>(inner: c.Codec<string>): c.Codec<Id> => inner as unknown as c.Codec<Id>

export const sessionId = branded<SessionId>(uuid)
export const commandId = branded<CommandId>(uuid)
export const apiKeyId = branded<ApiKeyId>(uuid)
export const webhookId = branded<WebhookId>(uuid)
export const deliveryId = branded<WebhookDeliveryId>(uuid)
export const jobId: c.Codec<string> = uuid
export const queueName: c.Codec<string> = c.string({ pattern: '^[-_.a-zA-Z0-9]{1,200}$' })
export const agentId = branded<AgentId>(c.string({ pattern: AGENT_ID, means: AGENT_ID_IN_WORDS }))
export const templateName: c.Codec<string> = c.string({ pattern: DNS_LABEL, means: DNS_LABEL_IN_WORDS })
export const orgId = branded<OrgId>(c.string({ minLength: 1, maxLength: 63 }))

/** As keys have them; made by whoever hands keys out. */
export const userId = branded<UserId>(
  c.refined(c.string({ minLength: 1, maxLength: 255 }), (id) =>
    /\p{Cc}/u.test(id) ? 'must not contain control characters' : null,
  ),
)

export const sessionName: c.Codec<string> = c.refined(
  c.string({ minLength: 1, maxLength: 80, description: '1–80 characters, no control characters; need not be unique' }),
  (name) => (/\p{Cc}/u.test(name) ? 'must not contain control characters' : null),
)

/** `=` and `,` would make a label that no filter can name. */
export const labels = c.record(c.string({ maxLength: 256 }), {
  keyPattern: '^[^\\s=,\\p{Cc}]{1,63}$',
  keyMessage: 'the name of a label has 1–63 characters, no spaces, no = and no comma',
  maxProperties: 64,
  description: 'at most 64 names of 1–63 characters (no spaces, = or comma), values of at most 256 characters',
})

/** Of what has no version of its own. */
export const revision: c.Codec<number> = c.integer({
  description: 'raised by what people change of it; what If-Match guards',
})

export const timeoutSeconds: c.Codec<number | null> = c.nullable(c.integer({ minimum: 1, maximum: MAX_INTEGER }))
