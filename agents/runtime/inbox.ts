/**
 * Commands as they arrive: acknowledged at once, all of one turn of the event loop in one frame, and only then
 * handed on, so that no result overtakes its ack. What arrived on a connection that has closed meanwhile is
 * dropped: the server sends it again.
 */
import { isUuid } from '../../domain/ids.ts'
import type { CommandFrame, Frame, FrameError } from '../protocol.ts'
import type { Link } from './link.ts'
import { resultFrame } from './reports.ts'

/** Far below what a frame takes; a longer batch is acknowledged in several. */
const ACKS_A_FRAME = 1_000

export type Inbox = {
  readonly receive: (link: Link, command: CommandFrame) => void
  /** Nothing is received any more. */
  readonly close: () => void
}

export const createInbox = (accept: (command: CommandFrame, link: Link) => void): Inbox => {
  let closed = false
  let batch: { readonly link: Link; readonly commands: CommandFrame[] } | null = null

  const handOn = ({ link, commands }: { readonly link: Link; readonly commands: CommandFrame[] }): void => {
    if (closed || !link.isOpen()) return
    for (let first = 0; first < commands.length; first += ACKS_A_FRAME) {
      const commandIds = commands.slice(first, first + ACKS_A_FRAME).map((command) => command.commandId)
      link.send({ type: 'ack', commandIds })
    }
    for (const command of commands) accept(command, link)
  }

  return {
    receive: (link, command) => {
      if (closed) return
      if (batch?.link === link) {
        batch.commands.push(command)
        return
      }
      const opened = { link, commands: [command] }
      batch = opened
      setImmediate(() => {
        if (batch === opened) batch = null
        handOn(opened)
      })
    },
    close: () => {
      closed = true
    },
  }
}

/** A command that can be named but not understood is answered for good; anything else is only complained about. */
export const answerToUndecodable = (
  error: FrameError,
  data: string | null,
): Frame<'result'> | Frame<'error'> | null => {
  // An error is never answered, or two peers that misunderstand each other would never stop.
  if (error.about === 'error') return null
  const rejected = error.about === 'command' && data !== null ? rejection(data, error.message) : null
  return rejected ?? { type: 'error', ...error }
}

const rejection = (data: string, message: string): Frame<'result'> | null => {
  const { commandId, sessionId, generation } = JSON.parse(data) as Partial<Record<string, unknown>>
  if (typeof commandId !== 'string' || !isUuid(commandId)) return null
  if (typeof sessionId !== 'string' || !isUuid(sessionId)) return null
  if (typeof generation !== 'number' || !Number.isSafeInteger(generation) || generation < 0) return null
  const about = { sessionId: sessionId.toLowerCase(), generation } as Pick<CommandFrame, 'sessionId' | 'generation'>
  const answered = commandId.toLowerCase() as CommandFrame['commandId']
  return resultFrame(answered, about, { outcome: 'rejected', code: 'bad_message', message })
}
