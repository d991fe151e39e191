/**
 * A TCP proxy on loopback between one party and the servers, that misbehaves when it is told to: it delays, throttles,
 * re-chunks, swallows (half-open: both ends believe that the connection lives), cuts, and can be aimed at a
 * single frame. It decides nothing by chance of its own.
 */
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'
import { createFrameSplitter, type Piece } from './frames.ts'

export type Direction = 'to server' | 'to party'

/** What happens to everything that passes. */
export type Weather = {
  readonly delayMs?: number
  /** Bytes a second. */
  readonly throttle?: number
  /** Pieces of at most so many bytes. */
  readonly chunk?: number
  /** Nothing arrives, nobody is told. */
  readonly swallow?: boolean
}

/** What happens to one frame and its connection. */
export type Aim = 'pass' | 'lose' | 'cut before' | 'cut within' | 'cut after'

export type Line = {
  readonly target: string
  /** Both ends at once; `party`: the server is not told, and what it has not read yet stays with it. */
  readonly cut: (which?: 'both' | 'party') => void
}

export type ProxySettings = {
  /** Where the next connection goes: a URL's port, or null to refuse it. */
  readonly target: () => number | null
  /** Frames of a WebSocket are looked at; without it bytes are bytes. */
  readonly seen?: (direction: Direction, frame: NonNullable<Piece['frame']>, line: Line) => Aim
  readonly closed?: (line: Line) => void
}

export type FaultyProxy = {
  readonly url: string
  readonly weather: (weather: Weather) => void
  readonly lines: () => readonly Line[]
  readonly close: () => Promise<void>
}

export const startProxy = async (settings: ProxySettings): Promise<FaultyProxy> => {
  let weather: Weather = {}
  const lines = new Set<Line>()
  const sockets = new Set<Socket>()

  const remember = (socket: Socket): void => {
    sockets.add(socket)
    socket.on('error', () => socket.destroy())
    socket.on('close', () => sockets.delete(socket))
    socket.setNoDelay(true)
  }

  const write = async (to: Socket, bytes: Buffer): Promise<void> => {
    if (to.destroyed || !to.writable) return
    if (!to.write(bytes)) await Promise.race([once(to, 'drain'), once(to, 'close')]).catch(() => {})
  }

  const pass = async (to: Socket, bytes: Buffer): Promise<void> => {
    const { chunk, throttle } = weather
    const most = chunk ?? (throttle === undefined ? bytes.length : Math.max(16, Math.floor(throttle / 20)))
    for (let at = 0; at < bytes.length && !weather.swallow; at += most) {
      const part = bytes.subarray(at, at + most)
      await write(to, part)
      if (weather.throttle !== undefined) await wait((1_000 * part.length) / weather.throttle)
      else if (weather.chunk !== undefined) await new Promise(setImmediate)
    }
  }

  /** False: this direction is over. */
  const carry = async (direction: Direction, to: Socket, piece: Piece, line: Line): Promise<boolean> => {
    const aim = piece.frame === null ? 'pass' : (settings.seen?.(direction, piece.frame, line) ?? 'pass')
    if (weather.swallow || aim === 'lose') return true
    if (aim === 'cut before') {
      line.cut()
      return false
    }
    if (weather.delayMs !== undefined) await wait(weather.delayMs)
    await pass(to, aim === 'cut within' ? piece.bytes.subarray(0, Math.ceil(piece.bytes.length / 2)) : piece.bytes)
    if (aim === 'pass') return true
    // What was written has to leave before the connection is torn down.
    await wait(5)
    line.cut()
    return false
  }

  const run = async (direction: Direction, from: Socket, to: Socket, line: Line): Promise<void> => {
    const split =
      settings.seen === undefined ? (bytes: Buffer): Piece[] => [{ bytes, frame: null }] : createFrameSplitter()
    try {
      for await (const chunk of from)
        for (const piece of split(chunk as Buffer)) if (!(await carry(direction, to, piece, line))) return
    } catch {
      // A connection that breaks ends like one that closes.
    }
  }

  const join = (party: Socket): void => {
    remember(party)
    const port = settings.target()
    if (port === null) {
      party.resetAndDestroy()
      return
    }
    const server = connect(port, '127.0.0.1')
    remember(server)
    let apart = false
    const line: Line = {
      target: String(port),
      cut: (which = 'both') => {
        if (which === 'party') apart = true
        party.resetAndDestroy()
        if (which === 'both') server.resetAndDestroy()
      },
    }
    lines.add(line)
    const over = (): void => {
      if (lines.delete(line)) settings.closed?.(line)
    }
    party.on('close', over)
    // In a half-open connection nobody hears that the other end has gone.
    void run('to server', party, server, line).then(() => {
      if (!apart && !weather.swallow) server.destroy()
    })
    void run('to party', server, party, line).then(() => {
      if (!weather.swallow) party.destroy()
    })
  }

  const listener = createServer(join)
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const address = listener.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  return {
    url: `http://127.0.0.1:${port}`,
    weather: (next) => {
      weather = next
    },
    lines: () => [...lines],
    close: async () => {
      listener.close()
      for (const socket of sockets) socket.destroy()
    },
  }
}
