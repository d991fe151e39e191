/**
 * Follows the engine: its events, and after each new connection everything that there is, because an engine keeps only
 * its last 256 events. Says why while the engine cannot be reached. One that hangs takes connections and is silent, as one in
 * which nothing happens is: so it is asked, too, whether it is there.
 */
import { setTimeout as wait } from 'node:timers/promises'
import type { SessionId } from '../../domain/ids.ts'
import { backoffCeiling } from '../runtime/backoff.ts'
import { messageOf } from '../runtime/log.ts'
import { type EngineEvent, isFullDisk, isUnreachable } from './engine.ts'
import { isAnothers, label, sessionOf } from './names.ts'
import type { Surroundings } from './session.ts'

export type Watcher = {
  /** Everything, as it is now. */
  readonly everything: () => Promise<void>
  readonly session: (sessionId: SessionId) => Promise<void>
  /** Somebody else has renamed what is this agent's. */
  readonly takenOver: () => void
}

export type Watch = {
  /** Resolves when everything was seen, or cannot be seen now. Rejects when the engine refuses what is asked of it. */
  readonly tried: Promise<void>
  readonly stop: () => Promise<void>
}

const BACKOFF = { baseMs: 200, capMs: 5_000 }
/** Together with the second try, a hung engine is known to hang after at most 14 s. */
const PING_EVERY_MS = 4_000
const PING_WITHIN_MS = 5_000
/** What changes nothing that is not seen otherwise. */
const IGNORED = /^(exec_|attach|resize|top|archive|extract|copy|export|create$|kill$)/

const secondsAgo = (): number => Math.floor(Date.now() / 1_000) - 1

export const watchEngine = (around: Surroundings, watcher: Watcher): Watch => {
  const { engine, health, settings, log } = around
  const over = new AbortController()
  const { signal } = over
  const filters = { type: ['container'], label: [`${label.agent}=${settings.agentId}`] }
  const { promise: tried, resolve: wasTried, reject: cannotTry } = Promise.withResolvers<void>()
  let failures = 0
  let seen = false
  let lastSeen = secondsAgo()

  const heard = (event: EngineEvent): void => {
    lastSeen = secondsAgo()
    if (event.action === 'rename') {
      if (isAnothers(around.ownership.token(), event.labels.name ?? '')) watcher.takenOver()
      return
    }
    const known = sessionOf(event.labels)
    if (known === null || IGNORED.test(event.action)) return
    watcher.session(known.sessionId).catch((error: unknown) => around.trouble(error))
  }

  const askUntilSilent = async (until: AbortSignal): Promise<never> => {
    for (;;) {
      await wait(PING_EVERY_MS, undefined, { signal: until })
      await engine.ping(PING_WITHIN_MS, until)
    }
  }

  const follow = async (): Promise<void> => {
    const ending = new AbortController()
    const until = AbortSignal.any([signal, ending.signal])
    let silence: unknown = null
    try {
      await engine.ping(PING_WITHIN_MS, until)
      engine.resume()
      const silent = askUntilSilent(until)
      // The stream of events ends with it.
      silent.catch((why: unknown) => {
        silence = why
        ending.abort()
      })
      const events = engine.events(filters, lastSeen, until)
      // Asked for before everything is listed, so that nothing happens between the two unseen.
      const first = events.next()
      first.catch(() => {})
      await Promise.race([watcher.everything(), silent])
      failures = 0
      seen = true
      health.well('engine')
      wasTried()
      for (let one = await first; one.done !== true; one = await events.next()) heard(one.value)
    } finally {
      ending.abort()
    }
    if (!signal.aborted) throw silence ?? new Error('the engine ended the stream of its events')
  }

  const failed = (error: unknown): void => {
    const message = messageOf(error)
    log.warn({ engine: settings.dockerHost, error: message }, 'the engine cannot be followed, trying again')
    if (!seen && failures === 0 && !isUnreachable(error) && !isFullDisk(error)) {
      cannotTry(error)
      return
    }
    around.trouble(error)
    // The stream ends before the engine is known to be gone: the next try tells.
    if (seen && failures === 0) return
    if (!isFullDisk(error)) {
      const why = `the Docker engine at ${settings.dockerHost} cannot be ${isUnreachable(error) ? 'reached' : 'used'}: ${message}`
      if (isUnreachable(error)) engine.giveUp(why)
      health.unwell('engine', why)
    }
    wasTried()
  }

  const running = (async () => {
    while (!signal.aborted) {
      try {
        await follow()
      } catch (error) {
        if (signal.aborted) return
        failed(error)
        await wait(backoffCeiling(failures, BACKOFF), undefined, { signal }).catch(() => {})
        failures += 1
      }
    }
  })()

  return {
    tried,
    stop: async () => {
      over.abort()
      await running
    },
  }
}
