/**
 * What keeps the projection from being shown: said once in words that say what to do, and answered by waiting longer
 * and longer. It is never a session's trouble.
 */
import { type Log, messageOf } from '../../runtime/log.ts'
import { ApiError, isForbidden, isGone, isPassing } from '../api.ts'

export type Trouble = {
  /** `where`: a watch, or `writes`. Answers how long to wait, in milliseconds. */
  readonly happened: (where: string, error: unknown) => number
  readonly over: (where: string) => void
}

const BASE_MS = 1_000
const CAP_MS = 60_000

export const createTrouble = (log: Log): Trouble => {
  const ailing = new Map<string, { readonly advice: string; readonly failures: number }>()
  return {
    happened: (where, error) => {
      const advice = adviceOn(error)
      const before = ailing.get(where)
      const isTold = [...ailing.values()].some((one) => one.advice === advice)
      if (!isTold)
        log.warn({ error: messageOf(error), advice }, 'sessions cannot be shown as objects of the cluster; they run on')
      const failures = (before?.failures ?? 0) + 1
      ailing.set(where, { advice, failures })
      return Math.min(CAP_MS, BASE_MS * 2 ** Math.min(10, failures - 1))
    },
    over: (where) => {
      if (ailing.delete(where) && ailing.size === 0) log.info({}, 'sessions are shown as objects of the cluster again')
    },
  }
}

const adviceOn = (error: unknown): string => {
  if (isGone(error)) return 'kubectl apply -f agents/kubernetes/manifests/crds.yaml'
  if (isForbidden(error))
    return 'give the agent the rights of agents/kubernetes/manifests/role.yaml that are for STREAMSPACE_PROJECTION'
  if (isPassing(error)) return 'look at the API server'
  return error instanceof ApiError ? 'apply the crds.yaml of this version of the agent' : 'report this'
}
