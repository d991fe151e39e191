/** When keys were used last: gathered, and written now and then, so that no request waits or writes for it. */
import type { ApiKeyId } from '../../domain/ids.ts'
import type { ApiKeyStore } from '../../domain/ports/api-keys.ts'
import type { Clock } from '../../domain/ports/clock.ts'

const WRITE_EVERY_MS = 60_000

export type KeyUse = {
  readonly used: (id: ApiKeyId) => void
  /** Writes what was gathered. */
  readonly stop: () => Promise<void>
}

export const createKeyUse = (deps: {
  readonly keys: Pick<ApiKeyStore, 'used'>
  readonly clock: Clock
  readonly onError: (error: unknown) => void
}): KeyUse => {
  let gathered = new Map<ApiKeyId, Date>()
  const write = async (): Promise<void> => {
    if (gathered.size === 0) return
    const keys = [...gathered].map(([id, at]) => ({ id, at }))
    gathered = new Map()
    await deps.keys.used(keys).catch(deps.onError)
  }
  const timer = setInterval(() => void write(), WRITE_EVERY_MS)
  timer.unref()
  return {
    used: (id) => void gathered.set(id, deps.clock.now()),
    stop: async () => {
      clearInterval(timer)
      await write()
    },
  }
}
