/** Why the engine cannot be used, as the server is told it: of several reasons the one that a person has to mend first. */
import type { PlatformListener } from '../runtime/platform.ts'

/** `owner`: another agent has taken over, which is never over. */
const causes = ['owner', 'engine', 'disk'] as const
export type Cause = (typeof causes)[number]

export type Health = {
  readonly unwell: (cause: Cause, why: string) => void
  readonly well: (cause: Cause) => void
  readonly why: () => string | null
  readonly isUnwell: (cause: Cause) => boolean
}

export const createHealth = (listener: Pick<PlatformListener, 'degraded'>): Health => {
  const ailing = new Map<Cause, string>()
  let told: string | null = null

  const why = (): string | null => {
    const worst = causes.find((cause) => ailing.has(cause))
    return worst === undefined ? null : (ailing.get(worst) ?? null)
  }
  const tell = (): void => {
    const now = why()
    if (now === told) return
    told = now
    listener.degraded(now)
  }

  return {
    unwell: (cause, reason) => {
      ailing.set(cause, reason)
      tell()
    },
    well: (cause) => {
      ailing.delete(cause)
      tell()
    },
    why,
    isUnwell: (cause) => ailing.has(cause),
  }
}
