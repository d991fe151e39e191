/** A link that collects what is sent, and is closed or slow when a test says so. */
import type { AgentFrame } from '../../agents/protocol.ts'
import type { Link } from '../../agents/runtime/link.ts'

export type ScriptedLink = Link & {
  readonly sent: readonly AgentFrame[]
  /** Congested once this many more frames were sent; `catchUp` makes it writable again. */
  readonly congestAfter: (frames: number) => void
  readonly catchUp: () => void
}

export const scriptedLink = (): ScriptedLink => {
  const sent: AgentFrame[] = []
  let open = true
  let room = Number.POSITIVE_INFINITY
  let waiting: (() => void) | null = null
  return {
    sent,
    isOpen: () => open,
    isCongested: () => sent.length >= room,
    onceWritable: (resume) => {
      waiting = resume
    },
    send: (frame) => {
      if (open) sent.push(frame)
    },
    pong: () => {},
    gatherOn: () => {},
    close: () => {
      open = false
    },
    congestAfter: (frames) => {
      room = sent.length + frames
    },
    catchUp: () => {
      room = Number.POSITIVE_INFINITY
      const resume = waiting
      waiting = null
      resume?.()
    },
  }
}
