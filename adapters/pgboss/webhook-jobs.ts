/** The queue of deliveries: a job carries one to its attempts, with pg-boss' waits between them. */
import type { Job, PgBoss } from 'pg-boss'
import type { OrgId, WebhookDeliveryId, WebhookId } from '../../domain/ids.ts'
import type { DeliveryJobs } from '../../domain/ports/webhooks.ts'

export const WEBHOOK_QUEUE = 'webhook.deliver'

export type DeliverySchedule = {
  readonly attempts: number
  /** After the first attempt that fails; about twice as long after each further one. */
  readonly firstDelaySeconds: number
}

/** No wait is longer: `JOB_LASTS` of the rows is. */
const LONGEST_DELAY_SECONDS = 4 * 3_600
/** A worker that was killed holds a delivery for so long, and until pg-boss looks, once a minute. */
const EXPIRES_IN_SECONDS = 60

/** Jobs that an older server has sent name no org: they are counted for none. */
type Data = { readonly deliveryId: WebhookDeliveryId; readonly orgId?: OrgId }

/** Before the first job is sent: a queue that is not there takes none. */
export const makeWebhookQueue = (boss: PgBoss): Promise<void> =>
  boss.createQueue(WEBHOOK_QUEUE, {
    // One job a delivery, whoever sends another.
    policy: 'exclusive',
    notify: true,
    expireInSeconds: EXPIRES_IN_SECONDS,
    retentionSeconds: 7 * 86_400,
    deleteAfterSeconds: 3_600,
  })

export const createDeliveryJobs = (boss: PgBoss, schedule: DeliverySchedule): DeliveryJobs => ({
  send: async (jobs, executeSql) => {
    await boss.insert(
      WEBHOOK_QUEUE,
      jobs.map(({ deliveryId, webhookId, orgId }) => ({
        data: { deliveryId, orgId } satisfies Data,
        singletonKey: deliveryId,
        group: { id: webhookId },
        retryLimit: schedule.attempts - 1,
        retryDelay: schedule.firstDelaySeconds,
        retryDelayMax: LONGEST_DELAY_SECONDS,
        retryBackoff: true,
      })),
      { db: { executeSql } },
    )
  },
})

/** Of one webhook, over all replicas: a receiver that takes its time has so many of our requests open, and nobody else waits for it. */
const AT_ONCE_A_WEBHOOK = 4
/** Of all webhooks, in one replica. */
const AT_ONCE = 64
/** Of all webhooks of one org, in one replica. */
const AT_ONCE_AN_ORG = 16
/**
 * The last places are for orgs that have none. So several whose receivers never answer, too, leave places to others: it takes
 * nineteen of them to have all.
 */
const LAST = 16
/** All of one fetch may be of one org. */
const FETCHED_AT_ONCE = 4

const POLL_MS = 2_000
const AGAIN_AFTER_MS = 1_000

export type DeliveryWork = {
  readonly boss: Pick<PgBoss, 'fetch' | 'complete' | 'fail'>
  /** Hears of new jobs: the names of their queues, null when some may have been missed. */
  readonly overhear: (onNotification: (queue: string | null) => void) => () => void
  /** Whether it is over: delivered, dead, or nothing to deliver. Not yet: it is tried again. */
  readonly deliver: (id: WebhookDeliveryId) => Promise<'over' | 'again'>
  readonly webhooksOf: (orgs: readonly OrgId[]) => Promise<readonly WebhookId[]>
  readonly onError: (error: unknown) => void
}

export type WorkingDeliveries = {
  /** Takes no more, and waits for what is under way, within `ms`. */
  readonly stop: (ms: number) => Promise<void>
}

/**
 * pg-boss' own workers wait for all of a batch, or poll each for itself: here fetches hand out what there is room for, and
 * each delivery ends for itself. pg-boss counts what is under way by one name a job, which is its webhook; what is under way of an
 * org is counted here, and the webhooks of those that may have no more are left out of the next fetch.
 */
export const workDeliveries = ({ boss, overhear, deliver, webhooksOf, onError }: DeliveryWork): WorkingDeliveries => {
  const underWay = new Map<Promise<void>, OrgId | undefined>()
  let stopped = false
  let looking = false
  let again = false
  let timer: NodeJS.Timeout | undefined

  const run = async (job: Job<Data>): Promise<void> => {
    try {
      const outcome = await deliver(job.data.deliveryId)
      if (outcome === 'over') await boss.complete(WEBHOOK_QUEUE, job.id)
      else await boss.fail(WEBHOOK_QUEUE, job.id, { message: 'not delivered yet' })
    } catch (error) {
      onError(error)
      // It is tried again, as after a crash. Where even this fails, pg-boss finds that it has expired.
      await boss.fail(WEBHOOK_QUEUE, job.id, { message: 'failed before its end' }).catch(() => {})
    }
  }

  const orgsWithMoreThan = (most: number): readonly OrgId[] => {
    const counts = new Map<OrgId, number>()
    for (const org of underWay.values()) if (org !== undefined) counts.set(org, (counts.get(org) ?? 0) + 1)
    return [...counts].flatMap(([org, count]) => (count > most ? [org] : []))
  }

  const lookOnce = async (): Promise<void> => {
    const free = AT_ONCE - underWay.size
    if (free <= 0) return
    const [batchSize, most] =
      free > LAST ? [Math.min(FETCHED_AT_ONCE, free - LAST), AT_ONCE_AN_ORG - FETCHED_AT_ONCE] : [1, 0]
    const sated = orgsWithMoreThan(most)
    const jobs = await boss.fetch<Data>(WEBHOOK_QUEUE, {
      batchSize,
      groupConcurrency: AT_ONCE_A_WEBHOOK,
      ignoreGroups: sated.length === 0 ? null : [...(await webhooksOf(sated))],
    })
    if (stopped && jobs.length > 0) {
      const ids = jobs.map(({ id }) => id)
      return void (await boss.fail(WEBHOOK_QUEUE, ids, { message: 'this replica is stopping' }))
    }
    for (const job of jobs) {
      const running = run(job).finally(() => {
        underWay.delete(running)
        // There is room, of its webhook and its org too.
        wake()
      })
      underWay.set(running, job.data.orgId)
    }
    // Fewer than asked for says nothing: of a webhook's jobs at the head of the queue pg-boss hands out no more than it may have.
    if (jobs.length > 0) again = true
  }

  const look = async (): Promise<void> => {
    let pauseMs = POLL_MS
    try {
      do {
        again = false
        await lookOnce()
      } while (again && !stopped)
    } catch (error) {
      if (!stopped) onError(error)
      pauseMs = AGAIN_AFTER_MS
    }
    looking = false
    if (!stopped) timer = setTimeout(wake, pauseMs).unref()
  }

  const wake = (): void => {
    if (stopped) return
    again = true
    if (looking) return
    clearTimeout(timer)
    looking = true
    void look()
  }

  const deafen = overhear((queue) => {
    if (queue === WEBHOOK_QUEUE || queue === null) wake()
  })
  wake()
  return {
    stop: async (ms) => {
      stopped = true
      deafen()
      clearTimeout(timer)
      let late: NodeJS.Timeout | undefined
      const patience = new Promise<void>((end) => {
        late = setTimeout(end, ms)
      })
      await Promise.race([Promise.all(underWay.keys()), patience]).finally(() => clearTimeout(late))
    },
  }
}
