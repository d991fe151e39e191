/** Signatures as Standard Webhooks has them (https://www.standardwebhooks.com, v1: HMAC-SHA256 with a shared secret). */
import { createHmac } from 'node:crypto'

const PREFIX = 'whsec_'

export const signature = (secret: string, id: string, timestamp: number, body: string): string =>
  `v1,${createHmac('sha256', Buffer.from(secret.slice(PREFIX.length), 'base64'))
    .update(`${id}.${timestamp}.${body}`)
    .digest('base64')}`

/** A receiver takes a message of which any signature fits. */
export const signedHeaders = (
  { id, body, secrets }: { readonly id: string; readonly body: string; readonly secrets: readonly string[] },
  timestamp: number,
): { readonly [name: string]: string } => ({
  'webhook-id': id,
  'webhook-timestamp': String(timestamp),
  'webhook-signature': secrets.map((secret) => signature(secret, id, timestamp, body)).join(' '),
})
