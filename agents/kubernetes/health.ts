/** Whether the cluster can be used: degraded, with why, when a watch has not been well for a while. */
import type { PlatformListener } from '../runtime/platform.ts'
import type { Kind } from './kinds.ts'
import type { WatchHealth } from './watch.ts'

export type Health = WatchHealth & { readonly stop: () => void }

export const createHealth = (listener: Pick<PlatformListener, 'degraded'>, afterMs: number): Health => {
  /** What is unwell, with the last reason. */
  const ailing = new Map<string, string>()
  let timer: NodeJS.Timeout | null = null
  let told = false

  const tell = (): void => {
    timer = null
    const [why] = ailing.values()
    if (why === undefined) return
    told = true
    listener.degraded(why)
  }

  return {
    unwell: ({ plural }: Kind, why) => {
      ailing.set(plural, why)
      if (!told) timer ??= setTimeout(tell, afterMs)
    },
    well: ({ plural }: Kind) => {
      if (!ailing.delete(plural) || ailing.size > 0) return
      if (timer !== null) clearTimeout(timer)
      timer = null
      if (told) listener.degraded(null)
      told = false
    },
    stop: () => {
      if (timer !== null) clearTimeout(timer)
    },
  }
}
