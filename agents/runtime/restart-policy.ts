/** What follows when a command has ended although it should run. */
import { type Backoff, backoffMs, DEFAULT_MAX_RETRIES, seconds, times } from '../../domain/template/restart.ts'
import type { WireSpec } from '../protocol.ts'
import { describeExit, type Ending, type Exit, succeeded } from './exit.ts'

export type AfterExit =
  | { readonly kind: 'restart'; readonly delayMs: number; readonly message: string }
  | { readonly kind: 'stopped'; readonly reason: string; readonly message: string }
  | { readonly kind: 'failed'; readonly reason: string; readonly message: string }

type Situation = {
  readonly exit: Exit
  /** Why the agent itself ended it, if it did. */
  readonly ending: Ending | null
  /** Restarts so far that still count. */
  readonly retries: number
  readonly backoff: Backoff
}

export const afterExit = (restart: WireSpec['restart'], situation: Situation): AfterExit => {
  const { exit, ending, retries, backoff } = situation
  const policy = restart?.policy ?? 'never'
  const maxRetries = restart?.maxRetries ?? DEFAULT_MAX_RETRIES
  const what = ending?.message ?? `the command ${describeExit(exit)}`
  const well = succeeded(exit) && ending === null

  if (policy === 'never' || (policy === 'on-failure' && well) || maxRetries === 0)
    return well
      ? { kind: 'stopped', reason: 'exited_early', message: what }
      : { kind: 'failed', reason: reasonOf(exit, ending), message: what }
  if (retries >= maxRetries)
    return {
      kind: 'failed',
      // Running out of memory says more than having been tried several times.
      reason: ending?.reason ?? 'restart_limit',
      message: `${what}; it was started again ${times(maxRetries)}, as often as its restart policy allows`,
    }
  const delayMs = backoffMs(retries, backoff)
  return {
    kind: 'restart',
    delayMs,
    message: `${what}; starting it again in ${seconds(delayMs)} (${retries + 1} of ${maxRetries})`,
  }
}

const reasonOf = (exit: Exit, ending: Ending | null): string =>
  ending?.reason ?? (exit.kind === 'host_restarted' ? 'host_restarted' : 'exited_early')
