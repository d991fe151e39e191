/** What was answered to how many requests. */
import { isRight } from 'fp-ts/lib/Either.js'
import type { OperationId, Route } from '../../../src/api/routes.ts'
import type { Right } from './operations.ts'

/** Refused before any use case was asked. */
const AT_THE_DOOR = [400, 401, 405, 408, 413, 415, 429, 431]

export type Judged = { readonly status: number; readonly code: string | undefined }

/** Whether a use case was asked: a 404 counts only where the path could name something. */
export const reached = (route: Route, { params = {} }: Right, { status, code }: Judged): boolean => {
  if (AT_THE_DOOR.includes(status) || code === 'idempotency_mismatch') return false
  if (status !== 404) return true
  return Object.entries(route.params).every(([name, codec]) => isRight(codec.decode(params[name] ?? '')))
}

export const createTally = (operationIds: readonly OperationId[]) => {
  const succeeded = new Map<OperationId, number>(operationIds.map((id) => [id, 0]))
  const byStatus = new Map<number, number>()
  let requests = 0
  let inUseCase = 0
  return {
    add: (operationId: OperationId | null, { status }: Judged, wasReached: boolean): void => {
      requests += 1
      if (wasReached) inUseCase += 1
      byStatus.set(status, (byStatus.get(status) ?? 0) + 1)
      if (operationId !== null && status >= 200 && status < 300)
        succeeded.set(operationId, (succeeded.get(operationId) ?? 0) + 1)
    },
    requests: () => requests,
    share: () => inUseCase / requests,
    /** The operations that were answered with 2xx least often. */
    least: () => [...succeeded].sort(([, a], [, b]) => a - b),
    statuses: () => [...byStatus].sort(([a], [b]) => a - b).map(([status, count]) => `${status}: ${count}`),
  }
}
