/** The webhooks of a server replica: what their use cases need, and the work that sends them. */
import type { Logger } from 'pino'
import type { startBoss } from '../adapters/pgboss/boss.ts'
import { createDeliveryJobs, makeWebhookQueue, workDeliveries } from '../adapters/pgboss/webhook-jobs.ts'
import type { openJobsDatabase } from '../adapters/postgres/jobs-database.ts'
import type { Database } from '../adapters/postgres/pool.ts'
import { createDeliveryStore } from '../adapters/postgres/webhook-deliveries.ts'
import { createCheckTarget } from '../adapters/webhooks/check-target.ts'
import { createSendWebhook } from '../adapters/webhooks/send.ts'
import { createTargets } from '../adapters/webhooks/targets.ts'
import type { Clock, Ids } from '../domain/ports/clock.ts'
import type { Feed } from '../domain/ports/feed.ts'
import type { ServerSettings } from './program/settings.ts'
import type { ServerSecrets } from './server-secrets.ts'
import { deliverWebhook, webhookFeed } from './usecases/deliver-webhook.ts'
import { version } from './version.ts'

export type WebhookDeps = {
  readonly database: Database
  readonly boss: Awaited<ReturnType<typeof startBoss>>
  readonly feed: Feed
  readonly ids: Ids
  readonly clock: Clock
  readonly secrets: ServerSecrets['webhookSecrets']
  readonly log: Logger
}

export const openWebhooks = async (
  { database, boss, feed, ids, clock, secrets, log }: WebhookDeps,
  settings: ServerSettings['webhooks'],
) => {
  await makeWebhookQueue(boss)
  const targets = createTargets(settings.allowPrivate)
  const jobs = createDeliveryJobs(boss, settings)
  const deliveries = createDeliveryStore(database, { feed, jobs, ids, unseal: secrets.unseal })
  return {
    /** For the use cases of people. */
    forPeople: { checkTarget: createCheckTarget(targets), jobs, seal: secrets.seal, perOrg: settings.perOrg },
    /** Events become deliveries. */
    duty: webhookFeed({ deliveries, elapsed: () => performance.now() }),
    /** Deliveries are sent. */
    work: (overhear: ReturnType<typeof openJobsDatabase>['overhear']) =>
      workDeliveries({
        boss,
        overhear,
        webhooksOf: deliveries.webhooksOf,
        deliver: deliverWebhook({
          deliveries,
          send: createSendWebhook({
            targets,
            timeoutMs: settings.timeoutMs,
            userAgent: `streamspace/${version}`,
            now: clock.now,
          }),
          attempts: settings.attempts,
          told: (what, fields) => log.warn(fields, what),
        }),
        onError: (error) => log.warn({ err: error }, 'a webhook delivery failed before its end; it is tried again'),
      }),
  }
}
