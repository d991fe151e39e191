import { byCreation } from '../../domain/ports/page.ts'
import { deliveryId, webhookId } from './fields.ts'
import { pagesQuery } from './page.ts'
import { noQuery, nothingSent, type Route, reading } from './route.ts'
import {
  changeWebhookCodec,
  createWebhookCodec,
  deliveryCodec,
  deliveryPageCodec,
  listDeliveriesQuery,
  rotateWebhookCodec,
  webhookCodec,
  webhookPageCodec,
  webhookWithSecretCodec,
} from './webhook.ts'

const aboutWebhooks = { tag: 'Webhooks', access: 'administer' } as const
const ofWebhook = { ...aboutWebhooks, params: { id: webhookId } } as const

export const webhookRoutes = {
  listWebhooks: {
    ...reading,
    ...aboutWebhooks,
    path: '/api/v1/webhooks',
    summary: 'List the webhooks of the org, newest first',
    params: {},
    query: pagesQuery(byCreation),
    answers: { 200: { description: 'A page of webhooks', codec: webhookPageCodec } },
  },
  createWebhook: {
    ...aboutWebhooks,
    method: 'post',
    path: '/api/v1/webhooks',
    summary: 'Make a webhook',
    description:
      'From now on each event of the org’s sessions that it asks for is sent to its URL, signed as Standard Webhooks has it, until it is answered with a 2xx. The secret in the answer is shown this once.',
    params: {},
    query: noQuery,
    body: createWebhookCodec,
    takes: 'long',
    condition: null,
    answers: { 201: { description: 'Made', codec: webhookWithSecretCodec, headers: ['Location', 'ETag'] } },
    problems: ['target_refused', 'quota_exceeded'],
  },
  getWebhook: {
    ...nothingSent,
    ...ofWebhook,
    method: 'get',
    path: '/api/v1/webhooks/{id}',
    summary: 'Get a webhook',
    condition: 'read',
    answers: { 200: { description: 'The webhook, without its secret', codec: webhookCodec, headers: ['ETag'] } },
  },
  changeWebhook: {
    ...ofWebhook,
    method: 'patch',
    path: '/api/v1/webhooks/{id}',
    summary: 'Change a webhook',
    description: 'What waits to be sent goes where it points now. `status: active` enables one that was disabled.',
    query: noQuery,
    body: changeWebhookCodec,
    takes: 'long',
    condition: 'change',
    answers: { 200: { description: 'The webhook as it is now', codec: webhookCodec, headers: ['ETag'] } },
    problems: ['target_refused'],
  },
  deleteWebhook: {
    ...nothingSent,
    ...ofWebhook,
    method: 'delete',
    path: '/api/v1/webhooks/{id}',
    summary: 'Delete a webhook',
    description: 'With its deliveries: what waits to be sent never is.',
    condition: 'change',
    answers: { 204: { description: 'Deleted', codec: null } },
    problems: [],
  },
  rotateWebhookSecret: {
    ...ofWebhook,
    method: 'post',
    path: '/api/v1/webhooks/{id}/rotate',
    summary: 'Replace the secret of a webhook by a new one',
    description: 'For `overlapSeconds` each message has a signature by each of the two.',
    query: noQuery,
    body: rotateWebhookCodec,
    bodyOptional: true,
    condition: 'change',
    answers: {
      200: {
        description: 'The webhook, its new secret shown this once',
        codec: webhookWithSecretCodec,
        headers: ['ETag'],
      },
    },
    problems: [],
  },
  listWebhookDeliveries: {
    ...reading,
    ...ofWebhook,
    path: '/api/v1/webhooks/{id}/deliveries',
    summary: 'List the deliveries of a webhook, newest first',
    query: listDeliveriesQuery,
    answers: { 200: { description: 'A page of deliveries', codec: deliveryPageCodec } },
  },
  redriveWebhookDelivery: {
    ...nothingSent,
    ...aboutWebhooks,
    method: 'post',
    path: '/api/v1/webhooks/{id}/deliveries/{deliveryId}/redrive',
    summary: 'Send a dead delivery again',
    description: 'With the same webhook-id and body, and all its attempts again.',
    params: { id: webhookId, deliveryId },
    answers: { 202: { description: 'Accepted: the delivery, pending again', codec: deliveryCodec } },
    problems: ['delivery_not_redrivable', 'webhook_disabled'],
  },
} as const satisfies { readonly [operationId: string]: Route }
