/** The jobs behind the server's own acts: for those who run the installation. */
import { type ApplicationError, forbidden, notFound } from '../../domain/errors.ts'
import { E } from '../../domain/fp.ts'
import { type Caller, may } from '../../domain/identity/caller.ts'
import type { JobQueries } from '../../domain/ports/jobs.ts'
import type { Application } from './application.ts'

export const jobUseCases = (jobs: JobQueries): Application['jobs'] => {
  /** Jobs are nobody's org's: who may not see them is not told which there are. */
  const forInstallation =
    <A>(caller: Caller, answer: () => Promise<E.Either<ApplicationError, A>>) =>
    async (): Promise<E.Either<ApplicationError, A>> =>
      may(caller, 'administer_installation') ? answer() : E.left(forbidden('administer_installation'))

  return {
    queues: (caller, page) => forInstallation(caller, async () => E.right(await jobs.queues(page))),
    list: (caller, queue, filter, page) =>
      forInstallation(caller, async () => {
        const found = await jobs.jobs(queue, filter, page)
        return found === null ? E.left(notFound('queue', queue)) : E.right(found)
      }),
    retry: (caller, queue, id) =>
      forInstallation(caller, async () => {
        const answer = await jobs.retry(queue, id)
        if (answer === null) return E.left(notFound('job', id))
        return answer.retried
          ? E.right(answer.job)
          : E.left({ _tag: 'JobNotFailed', jobId: id, state: answer.job.state })
      }),
  }
}
