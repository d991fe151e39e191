/**
 * One socket of an agent: text frames in and out, decoded, with the limits that keep one socket from harming
 * the others. It knows no meaning of a frame; whoever `receives` does.
 */
import type { Duplex } from 'node:stream'
import type { RawData, WebSocket } from 'ws'
import {
  type AgentFrame,
  closeCodes,
  decodeAgentFrame,
  type ErrorCode,
  encodeFrame,
  type FrameError,
  type ServerFrame,
} from '../../agents/protocol.ts'
import type { E } from '../../domain/fp.ts'
import { createFairShare } from './fair-share.ts'
import {
  BAD_FRAMES,
  BAD_FRAMES_WITHIN_MS,
  MAX_WAITING_BYTES,
  MAX_WAITING_FRAMES,
  SEND_HIGH_WATER_BYTES,
} from './settings.ts'
import type { Timing } from './timing.ts'
import type { Turns } from './turns.ts'

export type Received = E.Either<FrameError, AgentFrame>

export type FrameSocket = {
  readonly send: (frame: ServerFrame) => void
  /** An `error` frame. Not sent to someone who does not read: a flood of bad frames must not fill our memory. */
  readonly refuse: (code: ErrorCode, message: string, about?: string) => void
  /** The same for a frame that counts against the socket. */
  readonly refuseBad: (error: FrameError) => void
  readonly sendCommand: (frame: Buffer, flushed: () => void) => void
  /** What is sent meanwhile leaves in one write: a system call a frame is what a burst of them mostly costs. */
  readonly together: (sends: () => void) => void
  readonly bufferedBytes: () => number
  readonly ping: () => void
  /** A frame was handed on and waits to be committed; more than so many and the socket is not read. */
  readonly waits: (bytes: number) => void
  readonly done: (bytes: number) => void
  readonly waiting: () => number
  /** When reading was taken up again, by the clock of `Timing`: before that, silence is ours. null: not read now. */
  readonly readSince: () => number | null
  readonly end: (code: number, reason: string) => void
  readonly terminate: () => void
  /** Who gets the frames from now on. `text` is asked for only where a frame could not be decoded. */
  receive: (received: Received, bytes: number, text: () => string) => void
  readonly isOver: () => boolean
  /** The close code and reason, ours or theirs. */
  readonly whyEnded: () => string
  /** Called once, when the socket is closed or we have begun to close it: nothing is received any more. */
  ended: () => void
  /** Called once, when the socket itself is gone. */
  closed: () => void
}

/** `stream`: what the WebSocket writes to. */
export const createFrameSocket = (socket: WebSocket, stream: Duplex, timing: Timing, turns: Turns): FrameSocket => {
  let badAt: number[] | null = null
  let waiting = 0
  let waitingBytes = 0
  let readSince: number | null = timing.now()
  /** Why it is not read: too much of it waits to be committed, or it has taken more than its share of the time. */
  const stops = { waiting: false, share: false }
  let isOver = false
  let whyEnded = ''

  const over = (why: string): void => {
    if (isOver) return
    isOver = true
    whyEnded = why
    share.stop()
    self.ended()
  }

  const readOrNot = (): void => {
    if (isOver) return
    const reads = !stops.waiting && !stops.share
    if (reads === (readSince !== null)) return
    readSince = reads ? timing.now() : null
    if (reads) socket.resume()
    else socket.pause()
  }

  const share = createFairShare(
    timing,
    () => {
      stops.share = true
      readOrNot()
    },
    () => {
      stops.share = false
      readOrNot()
    },
  )

  const isOneBadFrameTooMany = (): boolean => {
    const now = timing.now()
    badAt = (badAt ?? []).filter((at) => now - at < BAD_FRAMES_WITHIN_MS)
    badAt.push(now)
    return badAt.length >= BAD_FRAMES
  }

  const self: FrameSocket = {
    send: (frame) => {
      socket.send(encodeFrame(frame))
    },
    refuse: (code, message, about) => {
      if (isOver || socket.bufferedAmount > SEND_HIGH_WATER_BYTES) return
      self.send({ type: 'error', code, message, ...(about === undefined ? {} : { about }) })
    },
    refuseBad: (error) => {
      if (error.code !== 'unknown_type' && isOneBadFrameTooMany())
        self.end(closeCodes.tooManyBadFrames, 'too many bad frames')
      else self.refuse(error.code, error.message, error.about)
    },
    sendCommand: (frame, flushed) => {
      socket.send(frame, { binary: false }, flushed)
    },
    together: (sends) => {
      stream.cork()
      try {
        sends()
      } finally {
        stream.uncork()
      }
    },
    bufferedBytes: () => socket.bufferedAmount,
    ping: () => {
      if (socket.bufferedAmount <= SEND_HIGH_WATER_BYTES) socket.ping()
    },
    waits: (bytes) => {
      waiting++
      waitingBytes += bytes
      if (waiting <= MAX_WAITING_FRAMES && waitingBytes <= MAX_WAITING_BYTES) return
      stops.waiting = true
      readOrNot()
    },
    done: (bytes) => {
      waiting--
      waitingBytes -= bytes
      if (!stops.waiting || waiting > MAX_WAITING_FRAMES / 2 || waitingBytes > MAX_WAITING_BYTES / 2) return
      stops.waiting = false
      readOrNot()
    },
    waiting: () => waiting,
    readSince: () => readSince,
    end: (code, reason) => {
      if (isOver) return
      // A paused socket would never see the other side's close frame.
      if (readSince === null) socket.resume()
      socket.close(code, reason)
      over(`${code} ${reason}`)
    },
    terminate: () => {
      socket.terminate()
      over('terminated')
    },
    isOver: () => isOver,
    whyEnded: () => whyEnded,
    receive: () => {},
    ended: () => {},
    closed: () => {},
  }

  socket.on('message', (data: RawData, isBinary: boolean) => {
    if (isOver) return
    const began = timing.now()
    const bytes = data as Buffer // `nodebuffer` is what ws gives unless told otherwise
    const received = isBinary ? binaryFrame : decodeAgentFrame(bytes.toString())
    self.receive(received, bytes.length, () => (isBinary ? '' : bytes.toString()))
    share.used(timing.now() - began)
  })
  socket.on('close', (code: number, reason: Buffer) => {
    over(`${code} ${reason.toString()}`)
    self.closed()
  })
  // In place of what ws does at the end of a stream. Cut off without a close frame: nobody reads what an orderly end would
  // still send.
  stream.removeAllListeners('end')
  stream.once('end', () => {
    if (socket.readyState === socket.OPEN) turns(() => stream.destroy())
    else stream.end()
  })
  // Whatever it was (1009, 1007, a reset): ws closes the socket itself, and `close` follows.
  socket.on('error', () => {})
  return self
}

const binaryFrame: Received = {
  _tag: 'Left',
  left: { code: 'bad_frame', message: 'a frame is one JSON object, as text' },
}
