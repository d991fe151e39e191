/** An agent written from the protocol's document alone: a WebSocket, JSON text, nothing of the product's code. */
import { createHash } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import { expect } from 'chai'
import { WebSocket } from 'ws'
import { eventually, PATIENCE_MS } from '../../support/eventually.ts'
import type { Json } from './rest.ts'
import type { Scene } from './scene.ts'

const SUBPROTOCOL = 'streamspace.agent.v1'

const addressOf = (url: string): string => `${url.replace(/^http/, 'ws')}/agents/connect`

export type Knock = { readonly token?: string; readonly subprotocols?: readonly string[] }

/** Asks for the upgrade and tells what came instead of it; 101 when it was granted (and closed again). */
export const upgrade = (
  url: string,
  { token, subprotocols = [SUBPROTOCOL] }: Knock = {},
): Promise<{ readonly status: number; readonly headers: IncomingHttpHeaders }> =>
  new Promise((resolve, reject) => {
    const socket = new WebSocket(addressOf(url), [...subprotocols], {
      headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
    })
    socket.on('open', () => {
      resolve({ status: 101, headers: {} })
      socket.close()
    })
    socket.on('unexpected-response', (request, response) => {
      resolve({ status: response.statusCode ?? 0, headers: response.headers })
      response.resume()
      request.destroy()
    })
    socket.on('error', reject)
  })

export type RawAgent = {
  readonly received: readonly Json[]
  readonly of: (type: string) => readonly Json[]
  /** Commands, each once: on a busy machine an ack may be late, and then one comes twice. */
  readonly commands: () => readonly Json[]
  /** Command number `count` (1 is the first), however often each was sent. */
  readonly command: (count?: number) => Promise<Json>
  /** Frame number `count` (1 is the first) of a type. */
  readonly next: (type: string, count?: number, within?: number) => Promise<Json>
  readonly send: (frame: object | string | Buffer) => void
  readonly hello: (change?: object) => void
  /** Hello, welcome and an inventory; what a friendly agent does first. */
  readonly begin: (items?: readonly object[], change?: object) => Promise<Json>
  readonly inventory: (items: readonly object[], more?: object) => void
  readonly heartbeat: (items?: readonly object[]) => void
  readonly ack: (command: Json) => void
  readonly result: (command: Json, more: object) => void
  readonly status: (about: { readonly sessionId: string; readonly generation: number }, more: object) => void
  /** Code and reason, once the server has closed. */
  readonly closed: (within?: number) => Promise<{ readonly code: number; readonly reason: string }>
  readonly pings: () => number
  readonly isOpen: () => boolean
  readonly cut: () => void
}

export const capacity = { maxSessions: 100, cpuMillis: 100_000, memoryMib: 100_000 }

export const endpoint = {
  url: 'http://127.0.0.1:9/',
  host: '127.0.0.1',
  port: 9,
  protocol: 'http',
  ports: [{ name: 'http', url: 'http://127.0.0.1:9/', port: 9, protocol: 'http' }],
}

export const connect = async (
  here: Scene,
  url: string,
  who: { readonly id: string; readonly token: string; readonly platform?: string },
): Promise<RawAgent> => {
  const socket = new WebSocket(addressOf(url), SUBPROTOCOL, { headers: { authorization: `Bearer ${who.token}` } })
  here.finally(async () => socket.terminate())
  const received: Json[] = []
  let pings = 0
  socket.on('ping', () => {
    pings += 1
  })
  let closing: { code: number; reason: string } | null = null
  socket.on('message', (data, isBinary) => {
    expect(isBinary).to.equal(false)
    received.push(JSON.parse(String(data)))
  })
  socket.on('close', (code, reason) => {
    closing = { code, reason: String(reason) }
  })
  socket.on('error', () => {})
  await new Promise<void>((resolve, reject) => {
    socket.once('open', () => resolve())
    socket.once('error', reject)
    socket.once('unexpected-response', (_request, response) => reject(new Error(`refused: ${response.statusCode}`)))
  })

  const of = (type: string): Json[] => received.filter((frame) => frame.type === type)
  const send = (frame: object | string | Buffer): void =>
    socket.send(typeof frame === 'string' || Buffer.isBuffer(frame) ? frame : JSON.stringify(frame))
  const next = (type: string, count = 1, within = PATIENCE_MS): Promise<Json> =>
    eventually(
      () => {
        const frame = of(type)[count - 1]
        if (frame !== undefined) return frame
        throw new Error(`no ${type} number ${count} in ${JSON.stringify(received)}`)
      },
      { within },
    )
  const commands = (): readonly Json[] => [
    ...new Map(of('command').map((command): [string, Json] => [command.commandId, command])).values(),
  ]
  const hello = (change: object = {}): void =>
    send({
      type: 'hello',
      protocol: 1,
      agentId: who.id,
      platform: who.platform ?? 'process',
      version: '0.0.1',
      labels: {},
      capacity,
      ...change,
    })
  const inventory = (items: readonly object[], more: object = {}): void =>
    send({ type: 'inventory', items, final: true, ...more })

  return {
    received,
    of,
    commands,
    command: (count = 1) =>
      eventually(() => {
        const command = commands()[count - 1]
        if (command !== undefined) return command
        throw new Error(`no command number ${count} in ${JSON.stringify(received)}`)
      }),
    next,
    send,
    hello,
    inventory,
    begin: async (items = [], change = {}) => {
      hello(change)
      const welcome = await next('welcome')
      inventory(items)
      return welcome
    },
    heartbeat: (items = []) =>
      send({
        type: 'heartbeat',
        at: new Date().toISOString(),
        activeSessions: items.length,
        inventoryHash: hashOf(items as readonly Json[]),
      }),
    ack: ({ commandId }) => send({ type: 'ack', commandIds: [commandId] }),
    result: ({ commandId, sessionId, generation }, more) =>
      send({ type: 'result', commandId, sessionId, generation, ...more }),
    status: ({ sessionId, generation }, more) =>
      send({ type: 'status', sessionId, generation, at: new Date().toISOString(), ...more }),
    closed: (within = PATIENCE_MS) =>
      eventually(
        () => {
          if (closing === null) throw new Error(`still open; received ${JSON.stringify(received)}`)
          return closing
        },
        { within },
      ),
    pings: () => pings,
    isOpen: () => socket.readyState === WebSocket.OPEN,
    cut: () => socket.terminate(),
  }
}

const hashOf = (items: readonly Json[]): string =>
  createHash('sha256')
    .update(
      items
        .map(({ sessionId, generation, status }) => `${sessionId}:${generation}:${status}`)
        .sort()
        .join('\n'),
    )
    .digest('hex')
