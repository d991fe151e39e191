/**
 * When keys were used last: gathered, and written now and then, so that no request waits or writes for it. A key's first use is
 * written soon, as somebody may be waiting to see it; from then on once a minute while it is used.
 */
import type { ApiKeyId } from '../../domain/ids.ts'
import type { ApiKeyStore } from '../../domain/ports/api-keys.ts'
import type { Clock } from '../../domain/ports/clock.ts'

const LOOK_EVERY_MS = 1_000
const WRITE_EVERY_MS = 60_000

export type KeyUse = {
  readonly used: (id: ApiKeyId) => void
  /** Writes what is due. */
  readonly look: () => Promise<void>
  /** Writes what was gathered. */
  readonly stop: () => Promise<void>
}

export const createKeyUse = (deps: {
  readonly keys: Pick<ApiKeyStore, 'used'>
  readonly clock: Clock
  readonly onError: (error: unknown) => void
}): KeyUse => {
  const gathered = new Map<ApiKeyId, Date>()
  /** Until when nothing more is written of a key. */
  const written = new Map<ApiKeyId, number>()
  const write = async (isDue: (id: ApiKeyId) => boolean): Promise<void> => {
    const keys = [...gathered].filter(([id]) => isDue(id)).map(([id, at]) => ({ id, at }))
    if (keys.length === 0) return
    const until = deps.clock.now().getTime() + WRITE_EVERY_MS
    for (const { id } of keys) {
      gathered.delete(id)
      written.set(id, until)
    }
    await deps.keys.used(keys).catch(deps.onError)
  }
  const look = (): Promise<void> => {
    const now = deps.clock.now().getTime()
    for (const [id, until] of written) if (until <= now) written.delete(id)
    return write((id) => !written.has(id))
  }
  const timer = setInterval(() => void look(), LOOK_EVERY_MS)
  timer.unref()
  return {
    used: (id) => void gathered.set(id, deps.clock.now()),
    look,
    stop: async () => {
      clearInterval(timer)
      await write(() => true)
    },
  }
}
