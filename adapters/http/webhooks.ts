import { pipe, TE } from '../../domain/fp.ts'
import type { Webhook } from '../../domain/webhook/webhook.ts'
import { pageRequest } from '../../src/api/query.ts'
import { DEFAULT_OVERLAP_SECONDS, webhookRepresentation } from '../../src/api/webhook.ts'
import type { webhookRoutes } from '../../src/api/webhook-routes.ts'
import type { Application, WebhookAndSecret } from '../../src/usecases/application.ts'
import type { Handlers } from './endpoint.ts'
import type { Reply } from './exchange.ts'
import { accepted, noContent, ok } from './replies.ts'

const withEtag = (webhook: Webhook): Reply => ({ ...ok(webhookRepresentation(webhook)), etag: webhook.version })

/** The answers that show the secret. */
const rotated = ({ webhook, secret }: WebhookAndSecret): Reply => ({
  status: 200,
  body: { ...webhookRepresentation(webhook), secret },
  secret: true,
  etag: webhook.version,
})
const made = (about: WebhookAndSecret): Reply => ({
  ...rotated(about),
  status: 201,
  location: `/api/v1/webhooks/${about.webhook.id}`,
})

export const webhookHandlers = ({ webhooks }: Application): Handlers<keyof typeof webhookRoutes> => ({
  listWebhooks: ({ caller, query: { limit, cursor, sort } }) =>
    pipe(
      webhooks.list(caller, pageRequest(limit, cursor, sort)),
      TE.map(({ items, nextCursor }) => ok({ items: items.map(webhookRepresentation), nextCursor })),
    ),
  createWebhook: ({ caller, body, keeping }) => pipe(webhooks.create(caller, body, keeping(made)), TE.map(made)),
  getWebhook: ({ caller, params }) => pipe(webhooks.get(caller, params.id), TE.map(withEtag)),
  changeWebhook: ({ caller, params, body, ifMatch, keeping }) =>
    pipe(webhooks.change(caller, params.id, body, ifMatch, keeping(withEtag)), TE.map(withEtag)),
  deleteWebhook: ({ caller, params, ifMatch, keeping }) =>
    pipe(webhooks.remove(caller, params.id, ifMatch, keeping(noContent)), TE.map(noContent)),
  rotateWebhookSecret: ({ caller, params, body, ifMatch, keeping }) =>
    pipe(
      webhooks.rotate(caller, params.id, body.overlapSeconds ?? DEFAULT_OVERLAP_SECONDS, ifMatch, keeping(rotated)),
      TE.map(rotated),
    ),
  listWebhookDeliveries: ({ caller, params, query: { limit, cursor, sort, status } }) =>
    pipe(webhooks.deliveries(caller, params.id, status, pageRequest(limit, cursor, sort)), TE.map(ok)),
  redriveWebhookDelivery: ({ caller, params, keeping }) =>
    pipe(webhooks.redrive(caller, params.id, params.deliveryId, keeping(accepted)), TE.map(accepted)),
})
