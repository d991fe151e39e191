/**
 * The sending side of a welcomed socket. Frames to a closed link vanish, as they would in the cable: whoever
 * must not lose a frame asks `isOpen` first. `ws` buffers without bound; `isCongested` is how callers do not.
 */
import { WebSocket } from 'ws'
import { type AgentFrame, encodeFrame } from '../protocol.ts'

export type Link = {
  readonly send: (frame: AgentFrame) => void
  readonly isOpen: () => boolean
  /** More is waiting in this process than a healthy socket ever has. */
  readonly isCongested: () => boolean
  /** Calls `resume` once when the socket has caught up. One waiter a link: a later one takes the place of an earlier. */
  readonly onceWritable: (resume: () => void) => void
  readonly close: () => void
}

export const CONGESTED_BYTES = 1024 * 1024
const CAUGHT_UP_BYTES = CONGESTED_BYTES / 4

export const linkOver = (socket: Pick<WebSocket, 'send' | 'readyState' | 'bufferedAmount'>): Link => {
  let closed = false
  let waiting: (() => void) | null = null

  const isOpen = (): boolean => !closed && socket.readyState === WebSocket.OPEN

  const flushed = (): void => {
    if (waiting === null || socket.bufferedAmount > CAUGHT_UP_BYTES) return
    const resume = waiting
    waiting = null
    resume()
  }

  return {
    isOpen,
    isCongested: () => socket.bufferedAmount > CONGESTED_BYTES,
    send: (frame) => {
      if (isOpen()) socket.send(encodeFrame(frame), flushed)
    },
    onceWritable: (resume) => {
      waiting = resume
    },
    close: () => {
      closed = true
      waiting = null
    },
  }
}
