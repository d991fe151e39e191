/**
 * Recurring duties as jobs. pg-boss' own schedules are minutes apart; duties of seconds are sent by every
 * replica's timer. The queue holds one waiting job at most, so the replicas' timers add up to one chain, and
 * a worker that is killed in mid-run breaks nothing: the next timer sends the next job.
 */
import type { PgBoss } from 'pg-boss'
import type { Duty } from '../../domain/ports/jobs.ts'

export type RunningDuties = {
  /** Runs a duty now rather than at its next time. */
  readonly soon: (name: string) => void
  readonly stop: () => void
}

const queueOf = (duty: Duty): string => `duty.${duty.name}`

export const workDuties = async (
  boss: PgBoss,
  duties: readonly Duty[],
  onError: (error: unknown) => void,
): Promise<RunningDuties> => {
  let stopped = false
  const send = (duty: Duty): void => {
    if (!stopped) boss.send(queueOf(duty), {}).catch(onError)
  }
  const timers: NodeJS.Timeout[] = []
  for (const duty of duties) {
    await boss.createQueue(queueOf(duty), {
      // One may wait while another runs; what they do is safe side by side.
      policy: 'short',
      notify: true,
      retryLimit: 0,
      expireInSeconds: 60,
      retentionSeconds: 60,
      deleteAfterSeconds: 600,
    })
    // A job that nobody heard of (a fetch that failed, a notification while nobody listened) keeps all later ones from
    // being sent, and so from being heard of. So workers look by themselves about as often as timers send.
    await boss.work(queueOf(duty), { pollingIntervalSeconds: 1, notifyPollingIntervalSeconds: 2 }, async () => {
      try {
        return await duty.run()
      } catch (error) {
        // pg-boss keeps it with the job, where nobody looks by himself.
        onError(error)
        throw error
      }
    })
    const timer = setInterval(() => send(duty), duty.everyMs)
    timer.unref()
    timers.push(timer)
    send(duty)
  }
  return {
    soon: (name) => {
      const duty = duties.find((candidate) => candidate.name === name)
      if (duty !== undefined) send(duty)
    },
    stop: () => {
      stopped = true
      for (const timer of timers) clearInterval(timer)
    },
  }
}
