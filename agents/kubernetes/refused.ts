/** What is answered when the API server refuses what a session needs. */
import { messageOf } from '../runtime/log.ts'
import type { Applied } from '../runtime/platform.ts'
import { ApiError, isForbidden, isInvalid } from './api.ts'
import { NameTaken, Overtaken } from './writes.ts'

/** A quota is refused with the status of a missing right. */
const isOverQuota = (error: unknown): boolean =>
  error instanceof ApiError && error.status === 403 && /exceeded quota/i.test(error.message)

/** So says RBAC; admission (quotas, policies, webhooks) refuses in words of its own. */
const isRightMissing = (error: unknown): boolean => isForbidden(error) && / cannot \S+ resource /.test(messageOf(error))

/** What a person has to do about it, where the server's words do not say. */
export const explained = (error: unknown, namespace: string): string => {
  const said = messageOf(error)
  if (isOverQuota(error)) return `the namespace's quota does not allow it: ${said}`
  if (!isRightMissing(error)) return said
  return `${said}. The agent's account needs this right in the namespace ${namespace}: see agents/kubernetes/manifests/role.yaml`
}

const codeOf = (error: unknown): string => {
  if (error instanceof Overtaken) return 'taken_over'
  return isOverQuota(error) ? 'quota_exceeded' : 'platform_error'
}

export const refusedWith = (error: unknown, namespace: string): Applied => ({
  kind: 'failed',
  code: codeOf(error),
  message: explained(error, namespace),
  retryable: !(error instanceof NameTaken || isInvalid(error) || isOverQuota(error)),
})
