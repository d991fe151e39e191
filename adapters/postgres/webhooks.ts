/** Webhooks and their deliveries, as the admins of an org deal with them. Secrets are sealed, and never read for anybody. */
import { E } from '../../domain/fp.ts'
import type { OrgId, SessionId, WebhookDeliveryId, WebhookId } from '../../domain/ids.ts'
import type { DeliveryJobs, WebhookStore } from '../../domain/ports/webhooks.ts'
import type { Webhook, WebhookDelivery } from '../../domain/webhook/webhook.ts'
import { type Cursors, listOf, pageOf } from './cursor.ts'
import { beforeAll, type Order, orderOf } from './order.ts'
import type { Database, Row } from './pool.ts'
import { JOB_ENDS, runIn } from './webhook-jobs.ts'

const COLUMNS = `
  id, org_id, url, events, labels, status, status_reason, previous_until, created_at, updated_at, version`

const webhookFromRow = (row: Row): Webhook => ({
  id: row.id as WebhookId,
  orgId: row.org_id as OrgId,
  url: row.url,
  events: row.events,
  labels: row.labels,
  status: row.status,
  statusReason: row.status_reason,
  previousSecretUntil: row.previous_until,
  createdAt: row.created_at,
  updatedAt: row.updated_at,
  version: row.version,
})

const DELIVERY_COLUMNS = `
  id, webhook_id, event_id, session_id, type, status, attempts, last_attempt_at, response_status, last_error, created_at, finished_at`

const deliveryFromRow = (row: Row): WebhookDelivery => ({
  id: row.id as WebhookDeliveryId,
  webhookId: row.webhook_id as WebhookId,
  eventId: row.event_id,
  sessionId: row.session_id as SessionId,
  type: row.type,
  status: row.status,
  attempts: row.attempts,
  lastAttemptAt: row.last_attempt_at,
  responseStatus: row.response_status,
  lastError: row.last_error,
  createdAt: row.created_at,
  finishedAt: row.finished_at,
})

/** One that adds to an org at a time: two would count the same. In a statement of its own, so that the next one sees what was waited for. */
const ALONE = 'SELECT pg_advisory_xact_lock(hashtextextended($1, 0))'
const COUNT = 'SELECT count(*) AS used FROM webhooks WHERE org_id = $1'

const ADD = `
INSERT INTO webhooks (id, org_id, url, events, labels, secret) VALUES ($1, $2, $3, $4, $5::jsonb, $6) RETURNING ${COLUMNS}`

/** Whoever enables one again wants it to be tried. */
const CHANGE = `
UPDATE webhooks
   SET url = coalesce($4, url), events = coalesce($5::text[], events), labels = coalesce($6::jsonb, labels),
       status = coalesce($7, status),
       status_reason = CASE coalesce($7, status) WHEN 'active' THEN NULL ELSE coalesce(status_reason, 'by_request') END,
       dead_in_a_row = CASE WHEN $7 = 'active' THEN 0 ELSE dead_in_a_row END,
       updated_at = now(), version = version + 1
 WHERE id = $1 AND org_id = $2 AND version = $3 RETURNING ${COLUMNS}`

const ROTATE = `
UPDATE webhooks
   SET secret = $3, previous_secret = CASE WHEN $4::float8 > 0 THEN secret END,
       previous_until = CASE WHEN $4::float8 > 0 THEN now() + $4::float8 * interval '1 second' END,
       updated_at = now(), version = version + 1
 WHERE id = $1 AND org_id = $2 AND ($5::bigint[] IS NULL OR version = ANY($5)) RETURNING ${COLUMNS}`

/** Each status is a range of the index of its own. */
const deliveriesIn = ({ beyond, direction }: Order): string => `
SELECT d.*
  FROM unnest($3::text[]) AS wanted (status)
 CROSS JOIN LATERAL (
         SELECT ${DELIVERY_COLUMNS} FROM webhook_deliveries
          WHERE org_id = $1 AND webhook_id = $2 AND status = wanted.status AND id ${beyond} $4
          ORDER BY id ${direction} LIMIT $5) d
 ORDER BY d.id ${direction} LIMIT $5`

/** The job that found it dead may not be over yet, and no other one is taken then: so it is looked at again soon. */
const REDRIVE = `
UPDATE webhook_deliveries
   SET status = 'pending', attempts = 0, finished_at = NULL, job_until = now() + ${JOB_ENDS}
 WHERE id = $1 AND org_id = $2 AND webhook_id = $3 AND status = 'dead' RETURNING ${DELIVERY_COLUMNS}`

export type WebhookStoreSettings = {
  readonly seal: (secret: string) => Buffer
  readonly jobs: DeliveryJobs
  /** So many an org may have. */
  readonly perOrg: number
}

export const createWebhookStore = (
  database: Database,
  cursors: Cursors,
  { seal, jobs, perOrg }: WebhookStoreSettings,
): WebhookStore => ({
  list: async (orgId, { limit, cursor, sort = '-createdAt' }) => {
    const list = listOf('webhooks', orgId, { sort })
    const from = cursors.decode(list, cursor)
    const { beyond, direction } = orderOf(sort)
    const { rows } = await database.of(orgId).query({
      name: `list_webhooks ${direction}`,
      text: `SELECT ${COLUMNS} FROM webhooks
              WHERE org_id = $1 AND id ${beyond} $2 ORDER BY id ${direction} LIMIT $3`,
      values: [orgId, from?.[0] ?? beforeAll.uuid[direction], limit + 1],
    })
    return pageOf(rows, limit, webhookFromRow, (row: Row) => cursors.encode(list, [row.id]))
  },

  get: async (orgId, id) => {
    const { rows } = await database.of(orgId).query({
      name: 'get_webhook',
      text: `SELECT ${COLUMNS} FROM webhooks WHERE id = $1 AND org_id = $2`,
      values: [id, orgId],
    })
    return rows[0] === undefined ? null : webhookFromRow(rows[0])
  },

  add: ({ id, orgId, url, events, labels, secret }) =>
    database.of(orgId).transaction(async (query) => {
      await query({ text: ALONE, values: [`webhooks:${orgId}`] })
      const { rows: counted } = await query({ text: COUNT, values: [orgId] })
      const used: number = counted[0].used
      if (used >= perOrg) return E.left({ _tag: 'TooManyWebhooks', orgId, limit: perOrg, used })
      const { rows } = await query({
        text: ADD,
        values: [id, orgId, url, events, JSON.stringify(labels), seal(secret)],
      })
      return E.right(webhookFromRow(rows[0]))
    }),

  change: async (orgId, id, version, { url, events, labels, status }) => {
    const { rows } = await database.of(orgId).query({
      text: CHANGE,
      values: [
        id,
        orgId,
        version,
        url ?? null,
        events ?? null,
        labels === undefined ? null : JSON.stringify(labels),
        status ?? null,
      ],
    })
    return rows[0] === undefined ? null : webhookFromRow(rows[0])
  },

  rotate: async (orgId, id, secret, overlapSeconds, guard = null) => {
    const { rows } = await database
      .of(orgId)
      .query({ text: ROTATE, values: [id, orgId, seal(secret), overlapSeconds, guard] })
    return rows[0] === undefined ? null : webhookFromRow(rows[0])
  },

  // Its deliveries may be many: they are nobody's from now on, and leave with retention.
  remove: async (orgId, id, version) => {
    const { rowCount } = await database.of(orgId).query({
      text: 'DELETE FROM webhooks WHERE id = $1 AND org_id = $2 AND version = $3',
      values: [id, orgId, version],
    })
    return rowCount > 0
  },

  deliveries: async (orgId, id, statuses, { limit, cursor, sort = '-createdAt' }) => {
    const list = listOf('deliveries', orgId, { id, statuses, sort })
    const from = cursors.decode(list, cursor)
    const order = orderOf(sort)
    const { rows } = await database.of(orgId).query({
      name: `list_deliveries ${order.direction}`,
      text: deliveriesIn(order),
      values: [orgId, id, [...new Set(statuses)], from?.[0] ?? beforeAll.uuid[order.direction], limit + 1],
    })
    return pageOf(rows, limit, deliveryFromRow, (row: Row) => cursors.encode(list, [row.id]))
  },

  delivery: async (orgId, id, deliveryId) => {
    const { rows } = await database.of(orgId).query({
      name: 'get_delivery',
      text: `SELECT ${DELIVERY_COLUMNS} FROM webhook_deliveries WHERE id = $1 AND org_id = $2 AND webhook_id = $3`,
      values: [deliveryId, orgId, id],
    })
    return rows[0] === undefined ? null : deliveryFromRow(rows[0])
  },

  redrive: (orgId, id, deliveryId) =>
    database.together(async (bound) => {
      const { rows } = await bound.of(orgId).query({ text: REDRIVE, values: [deliveryId, orgId, id] })
      if (rows[0] === undefined) return null
      await jobs.send([{ deliveryId, webhookId: id, orgId }], runIn(bound.query))
      return deliveryFromRow(rows[0])
    }),
})
