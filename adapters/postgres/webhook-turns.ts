/**
 * Which deliveries get jobs next: in turn over orgs, in turn over the webhooks of an org, and of a webhook the oldest first. What one
 * org has waiting, a million say, is neither read nor ahead of what another has.
 */
import { JOB_LASTS } from './webhook-jobs.ts'

/**
 * Jobs at a time of one webhook, and of one org about: its webhooks that have something waiting share them. pg-boss goes past all jobs
 * of a webhook that may have no more under way, with each fetch: thousands of them would be in the way of all others'.
 */
const JOBS_OF_A_WEBHOOK = 200
const JOBS_OF_AN_ORG = 2_000
/** However many webhooks it has, so many of each may be under way (`adapters/pgboss/webhook-jobs.ts`). */
const JOBS_AT_LEAST = 4

/** In one transaction, about. */
const AT_ONCE = 1_000

/**
 * `waiting` steps along `webhook_deliveries_waiting` from one webhook to the next. What each of the later steps reads of a webhook is a
 * range of the same index, no longer than its jobs: the order by `job_until` is that of the index (lost jobs come first, then what
 * never had one), and keeps PostgreSQL from walking all deliveries by their ids.
 */
export const QUEUE = `
WITH RECURSIVE waiting (webhook_id) AS (
  (SELECT webhook_id FROM webhook_deliveries WHERE status = 'pending' ORDER BY webhook_id LIMIT 1)
   UNION ALL
  SELECT (SELECT d.webhook_id FROM webhook_deliveries d
           WHERE d.status = 'pending' AND d.webhook_id > waiting.webhook_id ORDER BY d.webhook_id LIMIT 1)
    FROM waiting WHERE waiting.webhook_id IS NOT NULL
),
asking AS MATERIALIZED (
  SELECT w.id, w.org_id,
         greatest(${JOBS_AT_LEAST}, least(${JOBS_OF_A_WEBHOOK}, ${JOBS_OF_AN_ORG} / count(*) OVER (PARTITION BY w.org_id))) AS most
    FROM waiting JOIN webhooks w ON w.id = waiting.webhook_id
   WHERE w.status = 'active'
),
with_room AS MATERIALIZED (
  SELECT asking.id, asking.org_id, asking.most - has.jobs AS room
    FROM asking
   CROSS JOIN LATERAL (
           SELECT count(*) AS jobs FROM (
             SELECT FROM webhook_deliveries
              WHERE webhook_id = asking.id AND status = 'pending' AND job_until > now() LIMIT asking.most) queued) has
   WHERE has.jobs < asking.most
     AND EXISTS (SELECT FROM webhook_deliveries
                  WHERE webhook_id = asking.id AND status = 'pending' AND (job_until IS NULL OR job_until <= now()))
),
in_turn AS MATERIALIZED (
  SELECT id, least(room, greatest(1, ${AT_ONCE} / (SELECT count(DISTINCT org_id) FROM with_room) / count(*) OVER (PARTITION BY org_id))) AS share
    FROM with_room
),
chosen AS MATERIALIZED (
  SELECT d.id
    FROM in_turn
   CROSS JOIN LATERAL (
           SELECT id FROM webhook_deliveries
            WHERE webhook_id = in_turn.id AND status = 'pending' AND (job_until IS NULL OR job_until <= now())
            ORDER BY job_until, id LIMIT in_turn.share) d
),
locked AS MATERIALIZED (
  SELECT id FROM webhook_deliveries
   WHERE id IN (SELECT id FROM chosen) AND status = 'pending' AND (job_until IS NULL OR job_until <= now())
   ORDER BY id FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE webhook_deliveries d SET job_until = now() + ${JOB_LASTS}
  FROM locked WHERE d.id = locked.id RETURNING d.id, d.org_id, d.webhook_id`
