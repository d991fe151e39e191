import * as c from '../../domain/codec/codec.ts'
import { byCreation } from '../../domain/ports/page.ts'
import { sessionEventTypes } from '../../domain/session/words.ts'
import {
  type WebhookDelivery as DeliveryView,
  deliveryStatuses,
  disabledReasons,
  type Webhook as WebhookView,
  webhookEvents,
  webhookStatuses,
} from '../../domain/webhook/webhook.ts'
import { labels, time, wordOf } from './fields.ts'
import { represents } from './json.ts'
import { pageOf } from './page.ts'
import { commaList, paging, query, sorting } from './query.ts'

const webhookFields = {
  id: c.described(c.string(), { format: 'uuid' }),
  orgId: c.string(),
  url: c.string(),
  events: c.array(wordOf(webhookEvents, 'types of events; `*` for all')),
  labels: c.record(c.string()),
  status: c.oneOf(webhookStatuses),
  statusReason: c.nullable(wordOf(disabledReasons, 'why it is disabled')),
  previousSecretUntil: c.described(c.nullable(time), 'how long the secret before signs too'),
  createdAt: time,
  updatedAt: time,
  version: c.integer(),
} as const

export const webhookCodec = represents<WebhookView>()(c.openObject(webhookFields))
export type Webhook = c.TypeOf<typeof webhookCodec>

/** Field by field: no secret ever leaves by accident. */
export const webhookRepresentation = (webhook: WebhookView): WebhookView => ({
  id: webhook.id,
  orgId: webhook.orgId,
  url: webhook.url,
  events: webhook.events,
  labels: webhook.labels,
  status: webhook.status,
  statusReason: webhook.statusReason,
  previousSecretUntil: webhook.previousSecretUntil,
  createdAt: webhook.createdAt,
  updatedAt: webhook.updatedAt,
  version: webhook.version,
})

export const webhookPageCodec = pageOf(webhookCodec)

export const webhookWithSecretCodec = c.openObject({
  ...webhookFields,
  secret: c.described(c.string(), '`whsec_` and 32 bytes in base64, as Standard Webhooks has it; shown this once'),
})
export type WebhookWithSecret = c.TypeOf<typeof webhookWithSecretCodec>

/** What is written in a URL beside its host is anybody's who sees it in a log: a user name and a password are refused. */
const wrongUrl = (text: string): string | null => {
  const url = URL.canParse(text) ? new URL(text) : null
  if (url === null || (url.protocol !== 'https:' && url.protocol !== 'http:')) return 'must be an http or https URL'
  if (url.username !== '' || url.password !== '') return 'must not hold a user name or a password'
  if (url.hash !== '') return 'must not have a fragment'
  return null
}

const targetUrl = c.refined(
  c.string({ minLength: 1, maxLength: 2_048, description: 'where events are sent, by POST; http or https' }),
  wrongUrl,
)
const events = c.described(
  c.array(c.oneOf(webhookEvents), { minItems: 1, maxItems: webhookEvents.length }),
  `types of events, or \`*\` for all: ${sessionEventTypes.join(', ')}`,
)
const ofSessions = c.described(labels, 'only of sessions that have all of these labels')

export const createWebhookCodec = c.object({ url: targetUrl, events }, { labels: ofSessions })

export const changeWebhookCodec = c.object(
  {},
  {
    url: targetUrl,
    events,
    labels: ofSessions,
    status: c.described(c.oneOf(webhookStatuses), 'what happens while it is disabled is never sent to it'),
  },
)

const DAY_SECONDS = 86_400

/** Long enough for receivers to be told of the new one, one after another. */
export const DEFAULT_OVERLAP_SECONDS = DAY_SECONDS

export const rotateWebhookCodec = c.object(
  {},
  {
    overlapSeconds: c.integer({
      minimum: 0,
      maximum: 30 * DAY_SECONDS,
      description: `for how long the secret before signs too; default: ${DEFAULT_OVERLAP_SECONDS}`,
    }),
  },
)

export const deliveryCodec = represents<DeliveryView>()(
  c.openObject({
    id: c.described(c.string(), { format: 'uuid', description: 'the header webhook-id of every attempt' }),
    webhookId: c.described(c.string(), { format: 'uuid' }),
    eventId: c.integer(),
    sessionId: c.described(c.string(), { format: 'uuid' }),
    type: wordOf(sessionEventTypes, 'what happened'),
    status: c.oneOf(deliveryStatuses),
    attempts: c.integer(),
    lastAttemptAt: c.nullable(time),
    responseStatus: c.described(c.nullable(c.integer()), 'what the receiver answered last'),
    lastError: c.nullable(c.string()),
    createdAt: time,
    finishedAt: c.nullable(time),
  }),
)
export type WebhookDelivery = c.TypeOf<typeof deliveryCodec>

export const deliveryPageCodec = pageOf(deliveryCodec)

export const listDeliveriesQuery = query({
  status: commaList(c.oneOf(deliveryStatuses)),
  ...sorting(byCreation),
  ...paging,
})
