/**
 * Deliveries as the server makes them: read from the feed of events, handed to jobs, tried. The row is the truth. It is made in the
 * transaction that moves the reader on in the feed, so that no event is passed over, and is one a webhook and event, so that none is
 * made twice.
 */
import type { OrgId, WebhookDeliveryId, WebhookId } from '../../domain/ids.ts'
import type { Ids } from '../../domain/ports/clock.ts'
import { type Feed, type FeedEvent, type FeedPage, type FeedPosition, isBehind } from '../../domain/ports/feed.ts'
import type { DeliveryJobs, DeliveryStore } from '../../domain/ports/webhooks.ts'
import { type Subscription, wants } from '../../domain/webhook/wants.ts'
import { DISABLED_AFTER_DEAD } from '../../domain/webhook/webhook.ts'
import { MOVE_FEED_POSITION } from './feed.ts'
import type { Database, Queries, Row } from './pool.ts'
import { JOB_ENDS, JOB_LASTS, runIn } from './webhook-jobs.ts'
import { QUEUE } from './webhook-turns.ts'

const READER = 'webhooks'

const SUBSCRIPTIONS = `
SELECT w.id, w.org_id, w.events, w.labels FROM webhooks w JOIN orgs o ON o.id = w.org_id
 WHERE w.status = 'active' AND w.org_id = ANY($1::text[]) AND o.deleted_at IS NULL`

const ANYBODY = `SELECT EXISTS (SELECT FROM webhooks WHERE status = 'active') AS anybody`

const INSERT = `
INSERT INTO webhook_deliveries (id, org_id, webhook_id, event_id, session_id, type, body)
SELECT * FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::bigint[], $5::uuid[], $6::text[], $7::text[])
    ON CONFLICT (webhook_id, event_id) DO NOTHING`

/** What is sent to a webhook that was changed meanwhile goes where it is now. */
const BEGIN = `
UPDATE webhook_deliveries d
   SET attempts = d.attempts + 1, last_attempt_at = now(), job_until = now() + ${JOB_LASTS}
  FROM webhooks w JOIN orgs o ON o.id = w.org_id
 WHERE d.id = $1 AND d.status = 'pending' AND w.id = d.webhook_id AND w.status = 'active' AND o.deleted_at IS NULL
RETURNING d.id, d.org_id, d.webhook_id, d.body, d.attempts, w.url, w.secret,
          CASE WHEN w.previous_until > now() THEN w.previous_secret END AS previous_secret`

const END = `
UPDATE webhook_deliveries
   SET status = $2, response_status = $3, last_error = $4, finished_at = CASE WHEN $2 = 'pending' THEN NULL ELSE now() END
 WHERE id = $1 AND status = 'pending' RETURNING webhook_id`

const ARRIVED = 'UPDATE webhooks SET dead_in_a_row = 0 WHERE id = $1 AND dead_in_a_row > 0'

const DIED = `
UPDATE webhooks
   SET dead_in_a_row = dead_in_a_row + 1,
       status = CASE WHEN $2 OR dead_in_a_row + 1 >= ${DISABLED_AFTER_DEAD} THEN 'disabled' ELSE status END,
       status_reason = CASE WHEN $2 THEN 'gone' WHEN dead_in_a_row + 1 >= ${DISABLED_AFTER_DEAD} THEN 'dead_deliveries' END,
       version = version + CASE WHEN $2 OR dead_in_a_row + 1 >= ${DISABLED_AFTER_DEAD} THEN 1 ELSE 0 END,
       updated_at = CASE WHEN $2 OR dead_in_a_row + 1 >= ${DISABLED_AFTER_DEAD} THEN now() ELSE updated_at END
 WHERE id = $1 AND status = 'active' RETURNING status, status_reason`

/** Its webhook is disabled, say: its job ends, and another one is for it when the webhook is enabled, once that job is over. */
const PUT_BACK = `
UPDATE webhook_deliveries SET job_until = now() + ${JOB_ENDS} WHERE id = $1 AND status = 'pending'`

export type DeliveryStoreSettings = {
  readonly feed: Feed
  readonly jobs: DeliveryJobs
  readonly ids: Pick<Ids, 'webhookDelivery'>
  /** Throws for what was sealed under a key that is not known. */
  readonly unseal: (sealed: Buffer) => string
}

export const createDeliveryStore = (
  database: Database,
  { feed, jobs, ids, unseal }: DeliveryStoreSettings,
): DeliveryStore => {
  const queueIn = async (query: Queries['query']): Promise<number> => {
    const { rows } = await query({ text: QUEUE })
    if (rows.length > 0)
      await jobs.send(
        rows.map((row) => ({
          deliveryId: row.id as WebhookDeliveryId,
          webhookId: row.webhook_id as WebhookId,
          orgId: row.org_id as OrgId,
        })),
        runIn(query),
      )
    return rows.length
  }

  /** What happens while nobody asks is read by nobody. Whoever asks by the end of this is told what happens from here on. */
  const skip = async (from: FeedPosition): Promise<void> => {
    const now = await feed.now()
    if (now.feed !== from.feed || !isBehind(now, from)) return
    await database.transaction(async (query) => {
      if (!(await isStillAt(query, from)) || (await isAnybody(query))) return
      await query({ text: MOVE_FEED_POSITION, values: [READER, String(now.xid), now.id] })
    })
  }

  return {
    readFeed: async (limit) => {
      const nothing = { events: 0, deliveries: 0, more: false }
      const from = await feed.positionOf(READER)
      if (!(await isAnybody(database.query))) {
        await skip(from)
        return nothing
      }
      const page = await feed.read(from, limit)
      // By the next time the position is right.
      if (page === 'other_feed' || page.events.length === 0) return nothing
      return database.transaction(async (query) => {
        // Another replica may have read the same.
        if (!(await isStillAt(query, from))) return nothing
        const { wanted, events, next } = firstOf(page, await subscriptions(query, page.events))
        if (wanted.length > 0) {
          await query({ text: INSERT, values: columnsOf(wanted, ids) })
          await queueIn(query)
        }
        await query({ text: MOVE_FEED_POSITION, values: [READER, String(next.xid), next.id] })
        return { events, deliveries: wanted.length, more: events < page.events.length || !page.complete }
      })
    },

    queue: () => database.transaction(queueIn),

    webhooksOf: async (orgs) => {
      const { rows } = await database.query({
        name: 'webhooks_of_orgs',
        text: 'SELECT id FROM webhooks WHERE org_id = ANY($1::text[])',
        values: [orgs],
      })
      return rows.map(({ id }) => id as WebhookId)
    },

    begin: async (id) => {
      const { rows } = await database.query({ name: 'begin_delivery', text: BEGIN, values: [id] })
      const row = rows[0]
      if (row === undefined) {
        await database.query({ name: 'put_back_delivery', text: PUT_BACK, values: [id] })
        return null
      }
      return {
        id: row.id,
        orgId: row.org_id,
        webhookId: row.webhook_id,
        url: row.url,
        body: row.body,
        secrets: [row.secret, row.previous_secret].flatMap((sealed) => (sealed === null ? [] : [unseal(sealed)])),
        attempts: row.attempts,
      }
    },

    end: ({ id, webhookId }, attempt, status) =>
      database.transaction(async (query) => {
        const error = attempt.kind === 'delivered' ? null : attempt.error
        const { rowCount } = await query({
          name: 'end_delivery',
          text: END,
          values: [id, status, attempt.responseStatus, error],
        })
        if (rowCount === 0 || status === 'pending') return { disabled: null }
        if (status === 'delivered') {
          await query({ name: 'webhook_arrived', text: ARRIVED, values: [webhookId] })
          return { disabled: null }
        }
        const { rows } = await query({ text: DIED, values: [webhookId, attempt.kind === 'gone'] })
        return { disabled: rows[0]?.status === 'disabled' ? rows[0].status_reason : null }
      }),
  }
}

const isAnybody = async (query: Queries['query']): Promise<boolean> =>
  (await query({ name: 'any_webhooks', text: ANYBODY })).rows[0].anybody

const isStillAt = async (query: Queries['query'], from: FeedPosition): Promise<boolean> => {
  const { rows } = await query({
    text: 'SELECT feed, xid::text AS xid, id FROM feed_positions WHERE reader = $1 FOR UPDATE',
    values: [READER],
  })
  const now = rows[0]
  return now?.feed === from.feed && now.xid === String(from.xid) && now.id === from.id
}

type Wanted = { readonly subscription: Subscription; readonly event: FeedEvent }

const subscriptions = async (
  query: Queries['query'],
  events: readonly FeedEvent[],
): Promise<readonly Subscription[]> => {
  const { rows } = await query({
    name: 'webhook_subscriptions',
    text: SUBSCRIPTIONS,
    values: [[...new Set(events.map(({ orgId }) => orgId))]],
  })
  return rows.map((row: Row) => ({
    webhookId: row.id as WebhookId,
    orgId: row.org_id as OrgId,
    events: row.events,
    labels: row.labels,
  }))
}

/** Deliveries that are written at once: about a second's, however many webhooks somebody has. */
const WRITTEN_AT_ONCE = 5_000

/** Of a page the first events, for which no more than so many deliveries are wanted, or the first of all; the others are read again. */
const firstOf = (
  page: FeedPage,
  among: readonly Subscription[],
): { readonly wanted: readonly Wanted[]; readonly events: number; readonly next: FeedPosition } => {
  const wanted: Wanted[] = []
  for (const [at, event] of page.events.entries()) {
    const those = among.filter((subscription) => wants(subscription, event))
    const before = page.events[at - 1]
    if (before !== undefined && wanted.length + those.length > WRITTEN_AT_ONCE)
      return { wanted, events: at, next: before.position }
    for (const subscription of those) wanted.push({ subscription, event })
  }
  return { wanted, events: page.events.length, next: page.next }
}

const columnsOf = (wanted: readonly Wanted[], ids: Pick<Ids, 'webhookDelivery'>): readonly unknown[] => [
  wanted.map(() => ids.webhookDelivery()),
  wanted.map(({ event }) => event.orgId),
  wanted.map(({ subscription }) => subscription.webhookId),
  wanted.map(({ event }) => event.event.id),
  wanted.map(({ event }) => event.sessionId),
  wanted.map(({ event }) => event.event.type),
  wanted.map(({ event }) => JSON.stringify(event.event)),
]
