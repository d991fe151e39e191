/**
 * Keeps one connection to the server: dials, waits as the last ending asks for (`reconnect.ts`), dials again,
 * until it is stopped. Never two sockets at a time.
 */
import type { Frame, FrameError, HelloFrame } from '../protocol.ts'
import type { BackoffLimits } from './backoff.ts'
import { type Dialled, dial, type ServerWord } from './dial.ts'
import type { Link } from './link.ts'
import { type Log, messageOf } from './log.ts'
import { type Ending, endingToTell, retryDelay } from './reconnect.ts'

export type ConnectionSettings = {
  readonly url: URL
  readonly token: string
  readonly backoff: BackoffLimits
}

export type ConnectionHandlers = {
  /** Asked before each dial; when it rejects, that try has failed. */
  readonly hello: () => Promise<HelloFrame>
  readonly welcomed: (link: Link, welcome: Frame<'welcome'>) => void
  readonly received: (link: Link, frame: ServerWord) => void
  readonly pinged: () => void
  readonly undecodable: (link: Link, error: FrameError, data: string | null) => void
  /** The welcomed link is gone. */
  readonly lost: (link: Link) => void
}

export type Connection = {
  readonly isConnected: () => boolean
  readonly stop: () => Promise<void>
}

/** Upgrade, hello and welcome together. Shorter than a heartbeat's worth of silence, as there is nothing to lose yet. */
const welcomeWithin = (limits: BackoffLimits): number => Math.min(10_000, Math.max(1_000, limits.capMs))

export const keepConnected = (settings: ConnectionSettings, handlers: ConnectionHandlers, log: Log): Connection => {
  const { url, token, backoff } = settings
  let stopped = false
  let attempt = 0
  let socket: Dialled | null = null
  let link: Link | null = null
  let retry: NodeJS.Timeout | undefined

  const ended = (ending: Ending, lasted: boolean): void => {
    const lost = link
    socket = null
    link = null
    if (lost !== null) handlers.lost(lost)
    if (stopped) return
    // A server that welcomes and drops at once must be backed away from like one that does not answer.
    if (lasted) attempt = 0
    const delayMs = retryDelay(ending, attempt, Math.random(), backoff)
    attempt += 1
    const { level, message } = endingToTell(ending)
    log[level]({ ending, retryInMs: delayMs }, message)
    retry = setTimeout(connect, delayMs)
  }

  const connect = async (): Promise<void> => {
    try {
      const hello = await handlers.hello()
      if (stopped) return
      const handlersOfDial = {
        welcomed: (opened: Link, welcome: Frame<'welcome'>): void => {
          link = opened
          log.info({ epoch: welcome.epoch, replicaId: welcome.replicaId }, 'connected')
          handlers.welcomed(opened, welcome)
        },
        received: handlers.received,
        pinged: handlers.pinged,
        undecodable: handlers.undecodable,
        ended,
      }
      socket = dial({ url, token, welcomeWithinMs: welcomeWithin(backoff) }, hello, handlersOfDial, log)
    } catch (error) {
      if (!stopped) ended({ kind: 'failed', error: messageOf(error) }, false)
    }
  }

  const stop = async (): Promise<void> => {
    stopped = true
    clearTimeout(retry)
    await socket?.close()
  }

  void connect()
  return { isConnected: () => link?.isOpen() ?? false, stop }
}
