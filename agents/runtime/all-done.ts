/** As `Promise.all`, but nothing goes on any more when it answers: the first failure is told when all have ended. */
export const allDone = async <T extends readonly unknown[]>(
  works: {
    readonly [K in keyof T]: Promise<T[K]>
  },
): Promise<T> => {
  const outcomes = await Promise.allSettled(works)
  const failure = outcomes.find((outcome) => outcome.status === 'rejected')
  if (failure !== undefined) throw failure.reason
  return Promise.all(works) as Promise<unknown> as Promise<T>
}
