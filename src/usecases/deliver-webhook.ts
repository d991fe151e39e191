/** One attempt at a delivery, and what becomes of it; and the duty that makes deliveries of what has happened. */
import type { WebhookDeliveryId } from '../../domain/ids.ts'
import type { Duty } from '../../domain/ports/jobs.ts'
import type { DeliveryStore, SendWebhook } from '../../domain/ports/webhooks.ts'
import { afterAttempt } from '../../domain/webhook/webhook.ts'

export type DeliverDeps = {
  readonly deliveries: Pick<DeliveryStore, 'begin' | 'end'>
  readonly send: SendWebhook
  readonly attempts: number
  readonly told: (what: string, fields: object) => void
}

/** An attempt is counted before it is made: a crash in its middle is one that failed, and the next one may be a second message. */
export const deliverWebhook =
  ({ deliveries, send, attempts, told }: DeliverDeps) =>
  async (id: WebhookDeliveryId): Promise<'over' | 'again'> => {
    const delivery = await deliveries.begin(id)
    if (delivery === null) return 'over'
    const attempt = await send(delivery)
    const status = afterAttempt(attempt, delivery.attempts, attempts)
    const { disabled } = await deliveries.end(delivery, attempt, status)
    const { webhookId, orgId } = delivery
    if (status === 'dead')
      told('a webhook delivery was given up', { webhookId, orgId, deliveryId: id, attempts: delivery.attempts })
    if (disabled !== null) told('a webhook was disabled', { webhookId, orgId, reason: disabled })
    return status === 'pending' ? 'again' : 'over'
  }

const EVENTS_AT_ONCE = 500
/** Below what pg-boss lets a duty take. */
const READ_AT_MOST_MS = 20_000

/** Reads the feed, and finds deliveries without a job: those that had no room, and those whose job was lost. */
export const webhookFeed = (deps: {
  readonly deliveries: Pick<DeliveryStore, 'readFeed' | 'queue'>
  readonly elapsed: () => number
}): Duty => ({
  name: 'webhooks',
  everyMs: 1_000,
  run: async () => {
    const until = deps.elapsed() + READ_AT_MOST_MS
    const sum = { events: 0, deliveries: 0 }
    for (;;) {
      const { events, deliveries, more } = await deps.deliveries.readFeed(EVENTS_AT_ONCE)
      sum.events += events
      sum.deliveries += deliveries
      if (!more || deps.elapsed() >= until) break
    }
    // Each time a share of each: what one org leaves over is another's the next time.
    let queued = 0
    for (;;) {
      const more = await deps.deliveries.queue()
      queued += more
      if (more === 0 || deps.elapsed() >= until) return { ...sum, queued }
    }
  },
})
