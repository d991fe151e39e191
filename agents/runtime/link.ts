/**
 * The sending side of a welcomed socket. Frames to a closed link vanish, as they would in the cable: whoever
 * must not lose a frame asks `isOpen` first. `ws` buffers without bound; `isCongested` is how callers do not.
 */
import type { Writable } from 'node:stream'
import { WebSocket } from 'ws'
import { type AgentFrame, encodeFrame } from '../protocol.ts'

export type Link = {
  readonly send: (frame: AgentFrame) => void
  /** Answers a ping, in one write with the frames that are sent in the same turn. Not one of a server that does not read. */
  readonly pong: (data: Buffer) => void
  readonly isOpen: () => boolean
  /** More is waiting in this process than a healthy socket ever has. */
  readonly isCongested: () => boolean
  /** Calls `resume` once when the socket has caught up. One waiter a link: a later one takes the place of an earlier. */
  readonly onceWritable: (resume: () => void) => void
  /** The connection below the WebSocket: from now on the frames of one turn of the event loop are one write. */
  readonly gatherOn: (stream: Writable) => void
  readonly close: () => void
}

export const CONGESTED_BYTES = 1024 * 1024
const CAUGHT_UP_BYTES = CONGESTED_BYTES / 4

export const linkOver = (socket: Pick<WebSocket, 'send' | 'pong' | 'readyState' | 'bufferedAmount'>): Link => {
  let closed = false
  let waiting: (() => void) | null = null
  let stream: Writable | null = null
  let gathering = false

  /** An ack and the result that follows at once cost both ends one system call instead of two. */
  const gather = (): void => {
    if (stream === null || gathering) return
    const corked = stream
    gathering = true
    corked.cork()
    setImmediate(() => {
      gathering = false
      corked.uncork()
    })
  }

  const isCongested = (): boolean => socket.bufferedAmount > CONGESTED_BYTES
  const isOpen = (): boolean => !closed && socket.readyState === WebSocket.OPEN

  const flushed = (): void => {
    if (waiting === null || socket.bufferedAmount > CAUGHT_UP_BYTES) return
    const resume = waiting
    waiting = null
    resume()
  }

  return {
    isOpen,
    isCongested,
    send: (frame) => {
      if (!isOpen()) return
      gather()
      socket.send(encodeFrame(frame), flushed)
    },
    pong: (data) => {
      if (socket.readyState !== WebSocket.OPEN || isCongested()) return
      gather()
      socket.pong(data)
    },
    onceWritable: (resume) => {
      waiting = resume
    },
    gatherOn: (below) => {
      stream = below
    },
    close: () => {
      closed = true
      waiting = null
    },
  }
}
