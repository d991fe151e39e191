/**
 * Works off this replica's drain queue. pg-boss' own workers fetch, run and complete one batch after another; of wakes that
 * come every ten milliseconds that is three statements for each, and the next one waits for the completion of the last. Here
 * what was fetched is acted on at once, and what is done is completed together a few times a second.
 */
import type { Job, PgBoss } from 'pg-boss'

export type DrainWorker = {
  /** Somebody said that there is something: looks at once. */
  readonly wake: () => void
  /** Notifications come through, so that it has to look by itself less often. */
  readonly hears: () => void
  /** Fetches no more. What was not completed yet is left to whoever removes the queue. */
  readonly stop: () => void
}

const BATCH = 100
/** A hint that nobody heard of is found after this. */
const POLL_MS = { hearing: 5_000, deaf: 1_000 }
const AGAIN_AFTER_MS = 1_000
const COMPLETE_EVERY_MS = 250

export const startDrainWorker = <Data>(
  boss: Pick<PgBoss, 'fetch' | 'complete' | 'fail'>,
  queue: string,
  act: (jobs: readonly Data[]) => void,
  onError: (error: unknown) => void,
): DrainWorker => {
  let done: string[] = []
  let settling: Promise<unknown> | null = null
  let settleTimer: NodeJS.Timeout | null = null
  let pollTimer: NodeJS.Timeout | undefined
  let looking = false
  let again = false
  let hearing = false
  let stopped = false

  const settle = async (): Promise<void> => {
    await settling
    settleTimer = null
    if (stopped) return
    const ids = done
    done = []
    // Not completed, they expire: nobody acts on them twice.
    if (ids.length > 0) settling = boss.complete(queue, ids).catch(onError)
    await settling
  }

  const run = async (jobs: readonly Job<Data>[]): Promise<void> => {
    if (stopped) return
    const ids = jobs.map(({ id }) => id)
    try {
      act(jobs.map(({ data }) => data))
    } catch (error) {
      onError(error)
      await boss.fail(queue, ids, { message: String(error) })
      return
    }
    done.push(...ids)
    settleTimer ??= setTimeout(() => void settle(), COMPLETE_EVERY_MS).unref()
  }

  const lookOnce = async (): Promise<boolean> => {
    const jobs = await boss.fetch<Data>(queue, { batchSize: BATCH })
    if (jobs.length > 0) await run(jobs)
    return jobs.length === BATCH
  }

  const look = async (): Promise<void> => {
    let pauseMs: number | null = null
    try {
      do {
        again = false
        if (await lookOnce()) again = true
      } while (again && !stopped)
    } catch (error) {
      if (!stopped) onError(error)
      pauseMs = AGAIN_AFTER_MS
    }
    looking = false
    if (!stopped) pollTimer = setTimeout(wake, pauseMs ?? (hearing ? POLL_MS.hearing : POLL_MS.deaf)).unref()
  }

  const wake = (): void => {
    if (stopped) return
    again = true
    if (looking) return
    clearTimeout(pollTimer)
    looking = true
    void look()
  }

  wake()
  return {
    wake,
    hears: () => {
      hearing = true
    },
    stop: () => {
      stopped = true
      clearTimeout(pollTimer)
      if (settleTimer !== null) clearTimeout(settleTimer)
    },
  }
}
