/** Why the engine could not start a container, by its words. */
import type { Exit } from '../runtime/exit.ts'
import { EngineError } from './engine-error.ts'
import { SESSIONS_PER_ORG } from './subnets.ts'

/** Its network is not there, or only in the engine's list. */
export const isNetworkGone = (error: unknown): boolean =>
  error instanceof EngineError && /could not find bridge|^network \S+ not found/.test(error.message)

type CannotStart = {
  readonly reason: string
  readonly message: string
  readonly exit: Exit | null
  /** Not by itself, but when somebody does something. */
  readonly mayPass: boolean
}

/** What will not be otherwise at the next try; null: that may be. */
export const cannotStart = (error: unknown): CannotStart | null => {
  if (!(error instanceof EngineError) || error.status === null || error.status === 404) return null
  const { message } = error
  if (
    /executable file not found|no such file or directory|permission denied|exec format error/i.test(message) &&
    /exec/i.test(message)
  )
    return {
      reason: /exec format error/i.test(message) ? 'image_pull_failed' : 'exited_early',
      message: `the command cannot be run: ${message}`,
      exit: { kind: 'code', code: 127 },
      mayPass: false,
    }
  if (/cannot assign requested address|address already in use/i.test(message))
    return {
      reason: 'platform_error',
      message: `its ports cannot be published: ${message}`,
      exit: null,
      mayPass: true,
    }
  if (/no available IPv4 addresses/i.test(message))
    return {
      reason: 'platform_error',
      message: `the network of its org is full, ${SESSIONS_PER_ORG} sessions can run there at a time: stop some of them, or use another agent as well: ${message}`,
      exit: null,
      mayPass: true,
    }
  return null
}
