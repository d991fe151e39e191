/**
 * A control plane for tests of agents: a real WebSocket server that speaks the protocol and remembers what
 * it heard. It decides nothing; the test does.
 */
import { createServer, type IncomingHttpHeaders, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import { type WebSocket, WebSocketServer } from 'ws'
import {
  type AgentFrame,
  type CommandFrame,
  decodeAgentFrame,
  type Frame,
  type ServerFrame,
  SUBPROTOCOL,
} from '../../agents/protocol.ts'
import { eventually } from './eventually.ts'

export type AgentConnection = {
  /** Everything this agent said on this connection, in order, a hello included. */
  readonly frames: readonly AgentFrame[]
  readonly send: (frame: ServerFrame) => void
  /** Text as it is, for frames that are not right. */
  readonly sendText: (text: string | Buffer) => void
  readonly ping: () => void
  readonly close: (code: number, reason?: string) => void
  /** As if the cable were cut. */
  readonly cut: () => void
  /** Stops reading, so that the agent's frames pile up; `resume` reads on. */
  readonly pause: () => void
  readonly resume: () => void
  /** The close code, once it is closed. */
  readonly closed: () => number | null
  readonly of: <T extends AgentFrame['type']>(type: T) => readonly Frame<T>[]
  /** Waits until there are `count` frames of a type, and answers the last of them. */
  readonly next: <T extends AgentFrame['type']>(type: T, count?: number) => Promise<Frame<T>>
}

export type Upgrade = { readonly at: number; readonly path: string; readonly headers: IncomingHttpHeaders }

export type Refusal = { readonly status: number; readonly headers?: { readonly [name: string]: string } }

export type ControlPlane = {
  readonly url: string
  /** All upgrades that were tried, the refused ones too. `at` is of `performance.now()`. */
  readonly upgrades: readonly Upgrade[]
  readonly connections: readonly AgentConnection[]
  /** Waits for connection number `index` (0 is the first) to have said hello. */
  readonly connection: (index: number) => Promise<AgentConnection>
  /** Refuses upgrades from now on; null accepts them again. */
  readonly refuse: (refusal: Refusal | null) => void
  readonly stop: () => Promise<void>
}

export type ControlPlaneSettings = Partial<
  Pick<Frame<'welcome'>, 'epoch' | 'heartbeatIntervalMs' | 'inventoryIntervalMs'>
> & {
  /** false: the hello stays without an answer. */
  readonly welcomes?: boolean
}

export const startControlPlane = async (settings: ControlPlaneSettings = {}): Promise<ControlPlane> => {
  const { heartbeatIntervalMs = 60_000, inventoryIntervalMs = 600_000, welcomes = true } = settings
  const upgrades: Upgrade[] = []
  const connections: AgentConnection[] = []
  let refusal: Refusal | null = null
  let epoch = settings.epoch ?? 1

  const accept = (socket: WebSocket): void => {
    const frames: AgentFrame[] = []
    let closed: number | null = null
    const of = <T extends AgentFrame['type']>(type: T): Frame<T>[] =>
      frames.filter((frame): frame is Frame<T> => frame.type === type)
    const send = (frame: ServerFrame): void => socket.send(JSON.stringify(frame))
    socket.on('close', (code) => {
      closed = code
    })
    socket.on('message', (data) => {
      const decoded = decodeAgentFrame(String(data))
      if (decoded._tag === 'Left') throw new Error(`the agent sent ${String(data)}: ${decoded.left.message}`)
      frames.push(decoded.right)
      if (decoded.right.type !== 'hello' || !welcomes) return
      const serverTime = new Date().toISOString()
      send({ type: 'welcome', epoch, replicaId: 'test', heartbeatIntervalMs, inventoryIntervalMs, serverTime })
      epoch += 1
    })
    connections.push({
      frames,
      send,
      sendText: (text) => socket.send(text),
      ping: () => socket.ping(),
      close: (code, reason) => socket.close(code, reason),
      cut: () => socket.terminate(),
      pause: () => socket.pause(),
      resume: () => socket.resume(),
      closed: () => closed,
      of,
      next: (type, count = 1) =>
        eventually(() => {
          const frame = of(type)[count - 1]
          if (frame !== undefined) return frame
          throw new Error(`no ${type} number ${count} among ${JSON.stringify(frames.map((each) => each.type))}`)
        }),
    })
  }

  const sockets = new WebSocketServer({ noServer: true, handleProtocols: () => SUBPROTOCOL })
  const server = createServer()
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    upgrades.push({ at: performance.now(), path: request.url ?? '', headers: request.headers })
    if (refusal === null) {
      sockets.handleUpgrade(request, socket, head, accept)
      return
    }
    const headers = Object.entries({ ...refusal.headers, connection: 'close', 'content-length': '0' })
    socket.end(
      `HTTP/1.1 ${refusal.status} Refused\r\n${headers.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`,
    )
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))

  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    upgrades,
    connections,
    connection: (index) =>
      eventually(async () => {
        const connection = connections[index]
        if (connection === undefined) throw new Error(`only ${connections.length} connections so far`)
        if (connection.of('hello').length === 0) throw new Error('no hello so far')
        return connection
      }),
    refuse: (by) => {
      refusal = by
    },
    stop: async () => {
      for (const socket of sockets.clients) socket.terminate()
      sockets.close()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

let serial = 0
const uuidOf = (kind: string, number: number): string =>
  `00000000-0000-7000-${kind}-${String(number).padStart(12, '0')}`

/** Session number `number`, the same one each time. */
export const sessionIdOf = (number: number): CommandFrame['sessionId'] =>
  uuidOf('8000', number) as CommandFrame['sessionId']

export type CommandInBrief = {
  readonly session?: number
  readonly generation: number
  readonly state?: CommandFrame['desired']['state']
  readonly persistentHome?: boolean
}

const commandTypeOf = {
  running: 'start_session',
  stopped: 'stop_session',
  hibernated: 'hibernate_session',
  deleted: 'delete_session',
} as const

/** A command with an id of its own each time. */
export const aCommand = ({
  session = 1,
  generation,
  state = 'running',
  persistentHome = false,
}: CommandInBrief): CommandFrame => {
  serial += 1
  return {
    type: 'command',
    commandId: uuidOf('9000', serial) as CommandFrame['commandId'],
    command: commandTypeOf[state],
    sessionId: sessionIdOf(session),
    generation,
    attempt: 1,
    expiresAt: null,
    desired: {
      state,
      incarnation: 0,
      spec: { resources: { cpuMillis: 100, memoryMib: 64 }, env: {} },
      persistentHome,
      orgId: 'org',
      userId: 'user',
      name: `session-${session}`,
      template: { name: 'hello-web', version: 1 },
    },
  }
}
