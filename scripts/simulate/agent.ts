/**
 * A simulated agent: it speaks the real protocol over a real socket and makes everything so at once, in memory. Far
 * leaner than the real runtime (no state on disk, no executor a session), so that thousands fit into one process.
 */
import { WebSocket } from 'ws'
import {
  type AgentFrame,
  CONNECT_PATH,
  type CommandFrame,
  decodeServerFrame,
  encodeFrame,
  SUBPROTOCOL,
} from '../../agents/protocol.ts'
import { defaultBackoff } from '../../agents/runtime/backoff.ts'
import { type Heartbeats, startHeartbeats } from '../../agents/runtime/heartbeat.ts'
import { inventoryHash } from '../../agents/runtime/inventory.ts'
import { type Ending, retryDelay } from '../../agents/runtime/reconnect.ts'
import type { SessionId } from '../../domain/ids.ts'

export type AgentIdentity = { readonly id: string; readonly token: string }

export type SimulatedAgent = {
  readonly start: () => void
  /** As if the cable were cut: nothing is said. It comes back as agents do. */
  readonly cut: () => void
  /** Neither reads nor says anything any more, and stays connected. */
  readonly stall: () => void
  readonly isConnected: () => boolean
  readonly sessions: () => number
  /** Says once more what a session is, if it has one. */
  readonly status: () => boolean
  readonly stop: () => void
}

export type AgentEvents = {
  readonly connected: (afterMs: number) => void
  readonly refused: (how: string) => void
  readonly received: (command: CommandFrame) => void
}

const CAPACITY = { maxSessions: 1_000_000, cpuMillis: 2_000_000_000, memoryMib: 2_000_000_000 }

/** What a cut cable looks like. */
const CUT: Ending = { kind: 'closed', code: 1006, reason: '' }

type Held = { generation: number; status: 'running' | 'stopped' | 'hibernated' }

export const createSimulatedAgent = (
  url: string,
  { id, token }: AgentIdentity,
  events: AgentEvents,
): SimulatedAgent => {
  const held = new Map<SessionId, Held>()
  let socket: WebSocket | null = null
  let welcomed = false
  let stopped = false
  let attempt = 0
  /** Since when it has been trying to connect. */
  let since = 0
  let heartbeats: Heartbeats | null = null
  let redial: NodeJS.Timeout | undefined

  const say = (frame: AgentFrame): void => socket?.send(encodeFrame(frame))
  const items = () => [...held].map(([sessionId, { generation, status }]) => ({ sessionId, generation, status }))

  const heartbeat = (): void =>
    say({
      type: 'heartbeat',
      at: new Date().toISOString(),
      activeSessions: held.size,
      inventoryHash: inventoryHash(items()),
    })

  const obey = (command: CommandFrame): void => {
    events.received(command)
    const { commandId, sessionId, generation, desired } = command
    const known = held.get(sessionId)
    if (known !== undefined && known.generation > generation) {
      say({ type: 'result', commandId, sessionId, generation, outcome: 'superseded' })
      return
    }
    if (desired.state === 'deleted') held.delete(sessionId)
    else held.set(sessionId, { generation, status: desired.state })
    const observed = desired.state === 'deleted' ? null : { status: desired.state }
    say({ type: 'ack', commandIds: [commandId] })
    say({ type: 'result', commandId, sessionId, generation, outcome: 'applied', observed })
  }

  const take = (text: string): void => {
    const decoded = decodeServerFrame(text)
    if (decoded._tag === 'Left') return
    const frame = decoded.right
    if (frame.type === 'welcome') welcome(frame.heartbeatIntervalMs)
    else if (frame.type === 'command') obey(frame)
    else if (frame.type === 'inventoryRequest')
      say({ type: 'inventory', items: items(), final: true, requestId: frame.requestId })
    else if (frame.type === 'bye') gone({ kind: 'bye', reason: frame.reason, reconnectAfterMs: frame.reconnectAfterMs })
    else events.refused(`error ${frame.code}`)
  }

  const welcome = (heartbeatIntervalMs: number): void => {
    welcomed = true
    attempt = 0
    events.connected(performance.now() - since)
    say({ type: 'inventory', items: items(), final: true })
    heartbeats = startHeartbeats(heartbeat, heartbeatIntervalMs)
  }

  const gone = (ending: Ending): void => {
    if (socket === null) return
    heartbeats?.stop()
    socket.removeAllListeners()
    socket.on('error', () => {})
    socket.terminate()
    socket = null
    if (welcomed) since = performance.now()
    welcomed = false
    if (stopped) return
    redial = setTimeout(dial, retryDelay(ending, attempt++, Math.random(), defaultBackoff))
  }

  const dial = (): void => {
    const dialled = new WebSocket(`${url.replace(/^http/, 'ws')}${CONNECT_PATH}`, SUBPROTOCOL, {
      headers: { authorization: `Bearer ${token}` },
      perMessageDeflate: false,
      handshakeTimeout: 30_000,
      autoPong: false,
    })
    socket = dialled
    dialled.on('open', () =>
      say({ type: 'hello', protocol: 1, agentId: id, platform: 'process', version: 'simulated', capacity: CAPACITY }),
    )
    dialled.on('message', (data) => take(String(data)))
    dialled.on('upgrade', ({ socket: stream }) =>
      dialled.on('ping', (data) => {
        // Pong and heartbeat are one write, as those of the real runtime are.
        stream.cork()
        dialled.pong(data)
        heartbeats?.pinged()
        stream.uncork()
      }),
    )
    dialled.on('unexpected-response', (_request, response) => {
      events.refused(`status ${response.statusCode}`)
      response.resume()
      const retryAfterS = Number(response.headers['retry-after'] ?? Number.NaN)
      gone({
        kind: 'refused',
        status: response.statusCode ?? 0,
        retryAfterMs: Number.isFinite(retryAfterS) ? retryAfterS * 1_000 : null,
      })
    })
    dialled.on('error', (error) => gone({ kind: 'failed', error: error.message }))
    dialled.on('close', (code, reason) => gone({ kind: 'closed', code, reason: String(reason) }))
  }

  return {
    start: () => {
      since = performance.now()
      dial()
    },
    cut: () => gone(CUT),
    stall: () => {
      heartbeats?.stop()
      socket?.pause()
    },
    isConnected: () => welcomed,
    sessions: () => held.size,
    status: () => {
      const [first] = held
      if (first === undefined || !welcomed) return false
      const [sessionId, { generation, status }] = first
      // Something that changes each time, or it would not be written.
      say({ type: 'status', sessionId, generation, status, message: `still so at ${Math.round(performance.now())}` })
      return true
    },
    stop: () => {
      stopped = true
      clearTimeout(redial)
      gone(CUT)
    },
  }
}
