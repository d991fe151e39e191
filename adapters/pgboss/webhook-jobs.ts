/** The queue of deliveries: a job carries one to its attempts, with pg-boss' waits between them. */
import type { Job, PgBoss } from 'pg-boss'
import type { WebhookDeliveryId } from '../../domain/ids.ts'
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

type Data = { readonly deliveryId: WebhookDeliveryId }

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
      jobs.map(({ deliveryId, webhookId }) => ({
        data: { deliveryId } satisfies Data,
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
const POLL_MS = 2_000
const AGAIN_AFTER_MS = 1_000

export type DeliveryWork = {
  readonly boss: Pick<PgBoss, 'fetch' | 'complete' | 'fail'>
  /** Hears of new jobs: the names of their queues, null when some may have been missed. */
  readonly overhear: (onNotification: (queue: string | null) => void) => () => void
  /** Whether it is over: delivered, dead, or nothing to deliver. Not yet: it is tried again. */
  readonly deliver: (id: WebhookDeliveryId) => Promise<'over' | 'again'>
  readonly onError: (error: unknown) => void
}

export type WorkingDeliveries = {
  /** Takes no more, and waits for what is under way, within `ms`. */
  readonly stop: (ms: number) => Promise<void>
}

/**
 * pg-boss' own workers wait for all of a batch, or poll each for itself: here one fetch hands out what there is room for, and
 * each delivery ends for itself.
 */
export const workDeliveries = ({ boss, overhear, deliver, onError }: DeliveryWork): WorkingDeliveries => {
  const underWay = new Set<Promise<void>>()
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

  const lookOnce = async (): Promise<void> => {
    const room = AT_ONCE - underWay.size
    if (room <= 0) return
    const jobs = await boss.fetch<Data>(WEBHOOK_QUEUE, { batchSize: room, groupConcurrency: AT_ONCE_A_WEBHOOK })
    if (stopped && jobs.length > 0) {
      const ids = jobs.map(({ id }) => id)
      return void (await boss.fail(WEBHOOK_QUEUE, ids, { message: 'this replica is stopping' }))
    }
    for (const job of jobs) {
      const running = run(job).finally(() => {
        underWay.delete(running)
        // There is room, of its webhook too.
        wake()
      })
      underWay.add(running)
    }
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
      await Promise.race([Promise.all(underWay), patience]).finally(() => clearTimeout(late))
    },
  }
}
