/**
 * One keep-alive connection, one request at a time: bytes made beforehand go out, of the answer only the status
 * and the length are read. `node:http`'s client costs several times as much, which on a machine that is shared
 * with the server would be measured as the server's.
 */
import { connect, type Socket } from 'node:net'

export type Answered = (how: number | string) => void

export type Connection = {
  /** The answer's status, or what became of the connection instead. Never while another is under way. */
  readonly ask: (request: Buffer, answered: Answered) => void
  readonly close: () => void
}

const HEADERS_END = Buffer.from('\r\n\r\n')
const LENGTH = /\r\ncontent-length: *(\d+)/i

/** Bytes of the whole answer, or null while its headers are incomplete. */
const wholeLength = (received: Buffer): number | null => {
  const end = received.indexOf(HEADERS_END)
  if (end === -1) return null
  const length = LENGTH.exec(received.toString('latin1', 0, end))?.[1]
  if (length === undefined)
    throw new Error(`an answer without a Content-Length: ${received.toString('latin1', 0, end)}`)
  return end + HEADERS_END.length + Number(length)
}

export const openConnection = (host: string, port: number): Connection => {
  let socket: Socket | null = null
  let waiting: Answered | null = null
  let received: Buffer | null = null
  let closed = false

  const settle = (how: number | string): void => {
    const answered = waiting
    waiting = null
    received = null
    answered?.(how)
  }

  const take = (chunk: Buffer): void => {
    received = received === null ? chunk : Buffer.concat([received, chunk])
    const length = wholeLength(received)
    if (length === null || received.length < length) return
    settle(Number(received.toString('latin1', 9, 12)))
  }

  const open = (): Socket => {
    const opened = connect({ host, port, noDelay: true })
    opened.on('data', take)
    opened.on('error', () => {})
    opened.on('close', () => {
      if (socket === opened) socket = null
      if (!closed) settle('connection lost')
    })
    return opened
  }

  return {
    ask: (request, answered) => {
      waiting = answered
      socket ??= open()
      socket.write(request)
    },
    close: () => {
      closed = true
      socket?.destroy()
    },
  }
}
