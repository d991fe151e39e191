/**
 * Follows the engine: its events, and after each new connection everything that there is, because an engine keeps only
 * its last 256 events. Says why while the engine cannot be reached. One that hangs takes connections and is silent, as one in
 * which nothing happens is: so it is asked, too, whether it is there.
 */
import { setTimeout as wait } from 'node:timers/promises'
import type { SessionId } from '../../domain/ids.ts'
import { backoffCeiling } from '../runtime/backoff.ts'
import { messageOf } from '../runtime/log.ts'
import { EngineError, type EngineEvent, isFullDisk, isUnreachable } from './engine.ts'
import { isAnothers, isOwn, label, sessionOf } from './names.ts'
import type { Surroundings } from './session.ts'

export type Watcher = {
  /** Everything, as it is now. */
  readonly everything: () => Promise<void>
  readonly session: (sessionId: SessionId) => Promise<void>
  /** Something of a session's bears another agent's name now: perhaps it is that one's. */
  readonly takenOver: (sessionId: SessionId | null) => void
}

/** Who hears while everything is being looked at notes which sessions are to be looked at afterwards. */
type Ears = { readonly changed: (sessionId: SessionId) => void; readonly takenOver: Watcher['takenOver'] }

export type Watch = {
  /** Resolves when everything was seen, or cannot be seen now. Rejects when the engine refuses what is asked of it. */
  readonly tried: Promise<void>
  /** Resolves when nothing is looked at any more. */
  readonly stop: () => Promise<void>
}

const BACKOFF = { baseMs: 200, capMs: 5_000 }
/** Together with the second try, a hung engine is known to hang after at most 14 s. */
const PING_EVERY_MS = 4_000
const PING_WITHIN_MS = 5_000
/** A stream of events that ends sooner, and told nothing, was none. */
const STREAM_LIVES_MS = 5_000
/** What changes nothing that is not seen otherwise. */
const IGNORED = /^(exec_|attach|resize|top|archive|extract|copy|export|create$|kill$)/

const secondsAgo = (): number => Math.floor(Date.now() / 1_000) - 1

const endedStream = (): EngineError => new EngineError('the engine ended the stream of its events', null)
const endOfEvents = (): never => {
  throw endedStream()
}

const readAll = async (events: AsyncGenerator<EngineEvent>, heard: (event: EngineEvent) => void): Promise<void> => {
  for await (const event of events) heard(event)
}

export const watchEngine = (around: Surroundings, watcher: Watcher): Watch => {
  const { engine, health, settings, log } = around
  const over = new AbortController()
  const { signal } = over
  const filters = { type: ['container'], label: [`${label.agent}=${settings.agentId}`] }
  const { promise: tried, resolve: wasTried, reject: cannotTry } = Promise.withResolvers<void>()
  let failures = 0
  let seen = false
  let lastSeen = secondsAgo()
  /** One after another: that of a stream that broke off may be under way still. */
  let lookingAtAll: Promise<unknown> = Promise.resolve()

  const look = (sessionId: SessionId): void => {
    watcher.session(sessionId).catch((error: unknown) => around.trouble(error))
  }

  const heard = (event: EngineEvent, { changed, takenOver }: Ears): void => {
    lastSeen = secondsAgo()
    failures = 0
    const sessionId = sessionOf(event.labels)?.sessionId ?? null
    const token = around.ownership.token()
    const name = event.action === 'rename' ? (event.labels.name ?? '') : null
    if (name !== null && isOwn(token, name)) return
    if (name !== null && isAnothers(token, name)) takenOver(sessionId)
    else if (sessionId !== null && !IGNORED.test(event.action)) changed(sessionId)
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
    let lives: NodeJS.Timeout | undefined
    try {
      await engine.ping(PING_WITHIN_MS, until)
      engine.resume()
      const silent = askUntilSilent(until)
      // The stream of events ends with it.
      silent.catch((why: unknown) => {
        silence = why
        ending.abort()
      })
      const changed = new Set<SessionId>()
      const note = (sessionId: SessionId | null): void => void (sessionId !== null && changed.add(sessionId))
      let ears: Ears = { changed: note, takenOver: note }
      // Asked for before everything is listed, so that nothing happens between the two unseen, and read while everything is looked
      // at, too: the engine drops what is not taken from it. Something between the two may hold back that they have begun.
      const over = engine
        .events(filters, lastSeen, until)
        .then((events) => readAll(events, (event) => heard(event, ears)))
      over.catch(() => {})
      lookingAtAll = lookingAtAll.catch(() => {}).then(() => watcher.everything())
      await Promise.race([lookingAtAll, silent, over.then(endOfEvents)])
      seen = true
      health.well('engine')
      wasTried()
      ears = { changed: look, takenOver: watcher.takenOver }
      for (const sessionId of changed) look(sessionId)
      lives = setTimeout(() => {
        failures = 0
      }, STREAM_LIVES_MS)
      await over.catch((error: unknown) => {
        throw silence ?? error
      })
    } finally {
      clearTimeout(lives)
      ending.abort()
    }
    if (!signal.aborted) throw silence ?? endedStream()
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
      await lookingAtAll.catch(() => {})
    },
  }
}
