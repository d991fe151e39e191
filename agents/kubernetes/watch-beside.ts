/**
 * Follows a kind of objects that the agent can do without: what keeps it from that is in the log once, with what to do,
 * and is tried again less and less often. It neither keeps the agent from opening nor makes it degraded.
 */
import type { BackoffLimits } from '../runtime/backoff.ts'
import type { Log } from '../runtime/log.ts'
import { type Api, isForbidden } from './api.ts'
import { type Watched, type Watching, type WatchTimes, watchKind } from './watch.ts'

export type Beside = Watched & {
  /** For the log: what is done without it. */
  readonly without: string
  /** What to do where the right is missing. */
  readonly advice: string
}

const BACKOFF: BackoffLimits = { baseMs: 1_000, capMs: 60_000 }
const quiet: Log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }

/** `synced` resolves also when it is not allowed. */
export const watchBeside = (
  about: { readonly api: Api; readonly namespace: string; readonly log: Log; readonly times: WatchTimes },
  { without, advice, ...watched }: Beside,
): Watching => {
  let told = false
  const { synced, stop } = watchKind(
    { ...about, log: quiet },
    { backoff: BACKOFF, ...watched },
    {
      well: () => {
        told = false
      },
      unwell: ({ plural }, why, error) => {
        if (told) return
        told = true
        about.log.warn({ kind: plural, error: why, ...(isForbidden(error) ? { advice } : {}) }, without)
      },
    },
  )
  return { synced: synced.catch(() => {}), stop }
}
