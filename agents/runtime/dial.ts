/**
 * One socket, from the upgrade to its end: hello, welcome, frames, silence. It ends exactly once, whatever
 * happens first, and is not heard of again. When to dial the next one is not decided here (`connection.ts`).
 */
import { WebSocket } from 'ws'
import {
  type AgentFrame,
  decodeServerFrame,
  encodeFrame,
  type Frame,
  type FrameError,
  type HelloFrame,
  MAX_FRAME_BYTES,
  SUBPROTOCOL,
} from '../protocol.ts'
import { type Link, linkOver } from './link.ts'
import type { Log } from './log.ts'
import { type Ending, parseRetryAfter } from './reconnect.ts'

export type DialSettings = { readonly url: URL; readonly token: string; readonly welcomeWithinMs: number }

/** What is left to do for others once the socket has minded its own frames. */
export type ServerWord = Frame<'command'> | Frame<'inventoryRequest'>

export type DialHandlers = {
  readonly welcomed: (link: Link, welcome: Frame<'welcome'>) => void
  readonly received: (link: Link, frame: ServerWord) => void
  /** The server has pinged. It has its pong; what is sent now goes with it. */
  readonly pinged: () => void
  /** `data` is null for a binary frame. */
  readonly undecodable: (link: Link, error: FrameError, data: string | null) => void
  /** `lasted`: it was welcomed and lived for a heartbeat interval. The link, if there was one, is closed by now. */
  readonly ended: (ending: Ending, lasted: boolean) => void
}

export type Dialled = {
  /** Says goodbye in order. Resolves when the socket is gone, within a second. */
  readonly close: () => Promise<void>
}

const CLOSE_PATIENCE_MS = 1_000
const BYE_PATIENCE_MS = 10_000
/** Silence is counted in quarters of an interval, so that a process that slept does not take its sleep for silence. */
const QUARTERS_OF_SILENCE = 12

export const dial = (settings: DialSettings, hello: HelloFrame, handlers: DialHandlers, log: Log): Dialled => {
  const socket = new WebSocket(settings.url, SUBPROTOCOL, {
    headers: { authorization: `Bearer ${settings.token}` },
    perMessageDeflate: false,
    followRedirects: false,
    maxPayload: 2 * MAX_FRAME_BYTES,
    // By the link, which sends the heartbeat with it.
    autoPong: false,
  })
  const link = linkOver(socket)
  let ended = false
  let welcomed = false
  let bye: Frame<'bye'> | null = null
  let quietQuarters = 0
  let quartersLived = 0
  let watch: NodeJS.Timeout | undefined
  let patience: NodeJS.Timeout | undefined = setTimeout(
    () => end({ kind: 'failed', error: `no welcome within ${settings.welcomeWithinMs} ms` }),
    settings.welcomeWithinMs,
  )

  const end = (ending: Ending): void => {
    if (ended) return
    ended = true
    clearTimeout(patience)
    clearInterval(watch)
    link.close()
    socket.terminate()
    handlers.ended(ending, quartersLived >= 4)
  }

  const watchSilence = (intervalMs: number): void => {
    watch = setInterval(
      () => {
        quartersLived += 1
        quietQuarters += 1
        if (quietQuarters > QUARTERS_OF_SILENCE) end({ kind: 'silent' })
      },
      Math.max(1, intervalMs / 4),
    )
  }

  const take = (text: string): void => {
    const decoded = decodeServerFrame(text)
    if (decoded._tag === 'Left') {
      if (welcomed) handlers.undecodable(link, decoded.left, text)
      else log.warn({ error: decoded.left }, 'a frame before the welcome was not understood')
      return
    }
    const frame = decoded.right
    switch (frame.type) {
      case 'welcome':
        if (welcomed) return
        welcomed = true
        clearTimeout(patience)
        patience = undefined
        watchSilence(frame.heartbeatIntervalMs)
        handlers.welcomed(link, frame)
        return
      case 'command':
      case 'inventoryRequest':
        if (welcomed) handlers.received(link, frame)
        return
      case 'bye':
        // The close frame follows. A server that forgot it would keep this agent from coming back.
        bye = frame
        clearTimeout(patience)
        patience = setTimeout(() => end(endingOf(1001, frame.reason)), BYE_PATIENCE_MS)
        return
      case 'error':
        log.warn({ code: frame.code, about: frame.about, detail: frame.message }, 'the server did not accept a frame')
        return
    }
  }

  const endingOf = (code: number, reason: string): Ending =>
    bye === null
      ? { kind: 'closed', code, reason }
      : { kind: 'bye', reason: bye.reason, reconnectAfterMs: bye.reconnectAfterMs }

  const heard = (): void => {
    quietQuarters = 0
  }

  socket.on('upgrade', ({ socket: stream }) => link.gatherOn(stream))
  socket.on('open', () => socket.send(encodeFrame(hello satisfies AgentFrame)))
  socket.on('ping', (data) => {
    heard()
    link.pong(data)
    if (welcomed && !ended) handlers.pinged()
  })
  socket.on('pong', heard)
  socket.on('message', (data, isBinary) => {
    if (ended) return
    heard()
    if (!isBinary) return take(String(data))
    if (welcomed) handlers.undecodable(link, { code: 'bad_frame', message: 'frames are text' }, null)
  })
  socket.on('unexpected-response', (_request, response) => {
    const retryAfterMs = parseRetryAfter(response.headers['retry-after'], new Date())
    end({ kind: 'refused', status: response.statusCode ?? 0, retryAfterMs })
  })
  socket.on('error', (error) => end({ kind: 'failed', error: error.message || error.name }))
  socket.on('close', (code, reason) => end(endingOf(code, reason.toString())))

  const close = (): Promise<void> =>
    new Promise((resolve) => {
      if (ended || socket.readyState === WebSocket.CONNECTING) {
        end({ kind: 'closed', code: 1006, reason: 'never opened' })
        return resolve()
      }
      const giveUp = setTimeout(() => socket.terminate(), CLOSE_PATIENCE_MS)
      socket.once('close', () => {
        clearTimeout(giveUp)
        resolve()
      })
      // 1001, going away: the sessions stay, somebody will be back.
      socket.close(1001, 'the agent is stopping')
    })

  return { close }
}
