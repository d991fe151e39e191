/**
 * Follows the engine: its events, and after each new connection everything that there is, because an engine keeps only
 * its last 256 events. Says `degraded` while the engine cannot be reached.
 */
import { setTimeout as wait } from 'node:timers/promises'
import type { SessionId } from '../../domain/ids.ts'
import { backoffCeiling } from '../runtime/backoff.ts'
import { messageOf } from '../runtime/log.ts'
import type { EngineEvent } from './engine.ts'
import { isAnothers, label, sessionOf } from './names.ts'
import type { Surroundings } from './session.ts'

export type Watcher = {
  /** Everything, as it is now. `engineWasAway`: not for the first time. */
  readonly everything: (engineWasAway: boolean) => Promise<void>
  readonly session: (sessionId: SessionId) => Promise<void>
  /** Somebody else has renamed what is this agent's. */
  readonly takenOver: () => void
}

export type Watch = { readonly stop: () => Promise<void> }

const BACKOFF = { baseMs: 200, capMs: 5_000 }
/** What changes nothing that is not seen otherwise. */
const IGNORED = /^(exec_|attach|resize|top|archive|extract|copy|export|create$|kill$)/

/** `since`: seconds since the epoch, from before everything was listed for the first time. */
export const watchEngine = (around: Surroundings, watcher: Watcher, since: number): Watch => {
  const over = new AbortController()
  const { signal } = over
  const filters = { type: ['container'], label: [`${label.agent}=${around.settings.agentId}`] }
  let failures = 0
  let lastSeen = since

  const heard = (event: EngineEvent): void => {
    lastSeen = Math.floor(Date.now() / 1_000) - 1
    if (event.action === 'rename') {
      if (isAnothers(around.ownership.token(), event.labels.name ?? '')) watcher.takenOver()
      return
    }
    const known = sessionOf(event.labels)
    if (known === null || IGNORED.test(event.action)) return
    watcher.session(known.sessionId).catch((error: unknown) => around.trouble(error))
  }

  const follow = async (again: boolean): Promise<void> => {
    const ending = new AbortController()
    const events = around.engine.events(filters, lastSeen, AbortSignal.any([signal, ending.signal]))
    // Asked for before everything is listed, so that nothing happens between the two unseen.
    const first = events.next()
    first.catch(() => {})
    try {
      await around.engine.info()
      await watcher.everything(again)
      failures = 0
      around.listener.degraded(null)
      for (let next = await first; next.done !== true; next = await events.next()) heard(next.value)
    } finally {
      ending.abort()
    }
    if (!signal.aborted) throw new Error('the engine ended the stream of its events')
  }

  const running = (async () => {
    for (let again = false; !signal.aborted; again = true) {
      try {
        await follow(again)
      } catch (error) {
        if (signal.aborted) return
        const reason = `the Docker engine at ${around.settings.dockerHost} cannot be reached: ${messageOf(error)}`
        around.log.warn({ error: messageOf(error) }, 'the engine cannot be followed, trying again')
        // The stream ends before the engine is known to be gone: the next try tells.
        if (failures > 0) around.listener.degraded(reason)
        await wait(backoffCeiling(failures, BACKOFF), undefined, { signal }).catch(() => {})
        failures += 1
      }
    }
  })()

  return {
    stop: async () => {
      over.abort()
      await running
    },
  }
}
