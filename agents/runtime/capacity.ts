/**
 * What the platform can hold, as last heard. Asking may take long or fail (a cluster that does not answer);
 * neither a hello nor a heartbeat may hang on it.
 */
import type { WireCapacity } from '../protocol.ts'
import { type Log, messageOf } from './log.ts'
import type { Platform } from './platform.ts'

const PATIENCE_MS = 5_000

export type CapacityReader = {
  /** For a hello. What the platform said before stands in when it does not answer; rejects when it never has. */
  readonly read: () => Promise<WireCapacity>
  /** For a heartbeat: what was heard last, if it differs from what was told before. Asks again meanwhile. */
  readonly news: () => WireCapacity | null
}

const isSame = (a: WireCapacity, b: WireCapacity): boolean =>
  a.maxSessions === b.maxSessions && a.cpuMillis === b.cpuMillis && a.memoryMib === b.memoryMib

export const capacityReader = (platform: Pick<Platform, 'capacity'>, log: Log): CapacityReader => {
  let known: WireCapacity | null = null
  let told: WireCapacity | null = null
  let asking: Promise<WireCapacity> | null = null

  /** One question at a time: a platform that hangs is not asked over and over. */
  const ask = (): Promise<WireCapacity> => {
    asking ??= askOnce().finally(() => {
      asking = null
    })
    return asking
  }

  const askOnce = async (): Promise<WireCapacity> => {
    known = await platform.capacity()
    return known
  }

  const read = async (): Promise<WireCapacity> => {
    let patience: NodeJS.Timeout | undefined
    const tooLong = new Promise<never>((_, reject) => {
      patience = setTimeout(() => reject(new Error('the platform does not say its capacity')), PATIENCE_MS)
    })
    try {
      told = await Promise.race([ask(), tooLong])
      return told
    } catch (error) {
      if (known === null) throw error
      log.warn({ error: messageOf(error) }, 'the capacity could not be read, telling the one known before')
      told = known
      return known
    } finally {
      clearTimeout(patience)
    }
  }

  const news = (): WireCapacity | null => {
    ask().catch((error: unknown) => log.debug({ error: messageOf(error) }, 'the capacity could not be read'))
    if (known === null || (told !== null && isSame(known, told))) return null
    told = known
    return known
  }

  return { read, news }
}
