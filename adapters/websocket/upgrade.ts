/**
 * From an HTTP upgrade to an open socket of a known agent. Whatever is wrong is said in plain HTTP. A place
 * is taken from the request until the welcome (`leave`), so that ten thousand agents that come back at
 * once are let in a few hundred at a time and the others are told to come again.
 */
import { createHash } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { type WebSocket, WebSocketServer } from 'ws'
import { CONNECT_PATH, MAX_FRAME_BYTES, SUBPROTOCOL } from '../../agents/protocol.ts'
import type { AgentId } from '../../domain/ids.ts'
import type { AgentIdentity, LeaseStore } from '../../domain/ports/agents.ts'
import type { DatabaseState } from './database-state.ts'
import { badRequest, notFound, type Refusal, refuseUpgrade, unauthorized, unavailable } from './http-refusal.ts'
import type { Limiter } from './limiter.ts'
import { MAX_UNWELCOMED_PER_AGENT } from './settings.ts'
import type { Timing } from './timing.ts'
import type { Turns } from './turns.ts'

export type UpgradeDeps = {
  readonly leases: Pick<LeaseStore, 'identify'>
  readonly database: DatabaseState
  readonly timing: Timing
  readonly turns: Turns
  /** Keeps ten thousand agents that come back from queueing in front of those who use the API. */
  readonly connects: Limiter
  readonly maxUpgrades: number
  /** `leave` gives the place free; to be called once, when the agent is welcomed or gone. */
  readonly opened: (socket: WebSocket, stream: Duplex, identity: AgentIdentity, leave: () => void) => void
}

export type Upgrades = {
  /** `alone`: nobody else listens for upgrades, so that other paths are answered here. */
  readonly handle: (request: IncomingMessage, socket: Duplex, head: Buffer, alone: boolean) => void
  readonly inProgress: () => number
  readonly close: () => void
}

/** How long a socket that we have closed may take to answer before it is destroyed. */
const CLOSE_TIMEOUT_MS = 5_000
const BEARER = /^Bearer +(ssa_[\x21-\x7e]{1,200}) *$/i

export const createUpgrades = (deps: UpgradeDeps): Upgrades => {
  const { timing, turns, database } = deps
  const options = {
    noServer: true,
    perMessageDeflate: false,
    maxPayload: MAX_FRAME_BYTES,
    clientTracking: false,
    closeTimeout: CLOSE_TIMEOUT_MS,
    handleProtocols: (offered: Set<string>) => (offered.has(SUBPROTOCOL) ? SUBPROTOCOL : false),
  } as const
  const webSockets = new WebSocketServer(options)
  const unwelcomed = new Map<AgentId, number>()
  let inProgress = 0
  let closed = false

  const refusalOf = (request: IncomingMessage): Refusal | null => {
    if (closed) return stopping()
    if (!offersSubprotocol(request)) return badRequest(`The subprotocol ${SUBPROTOCOL} is needed.`)
    if (tokenOf(request) === null) return unauthorized
    if (inProgress >= deps.maxUpgrades) return tooMany()
    return null
  }
  const stopping = (): Refusal => unavailable('This server is stopping.', timing.random())
  const tooMany = (): Refusal => unavailable('Too many agents are connecting at once.', timing.random())

  const refusalNow = ({ agentId }: AgentIdentity): Refusal | null => {
    if (closed) return stopping()
    return (unwelcomed.get(agentId) ?? 0) >= MAX_UNWELCOMED_PER_AGENT ? tooMany() : null
  }

  const identify = async (token: string): Promise<AgentIdentity | Refusal> => {
    try {
      const identity = await deps.connects(() => deps.leases.identify(createHash('sha256').update(token).digest()))
      database.works('identifying agents')
      return identity ?? unauthorized
    } catch (error) {
      database.failed('identifying agents', error)
      return unavailable('The database cannot be reached.', timing.random())
    }
  }

  const admit = async (request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> => {
    let place: AgentId | 'nobody' | 'left' = 'nobody'
    inProgress++
    const leave = (): void => {
      if (place === 'left') return
      inProgress--
      if (place !== 'nobody') count(place, -1)
      place = 'left'
    }
    const identity = await identify(tokenOf(request) ?? '')
    const refusal = 'status' in identity ? identity : refusalNow(identity)
    if ('status' in identity || refusal !== null || socket.destroyed) {
      leave()
      if (refusal !== null) refuseUpgrade(socket, refusal)
      return
    }
    // ws answers a handshake that it does not like by itself; then there is no WebSocket that could say so.
    socket.once('close', leave)
    place = identity.agentId
    count(identity.agentId, 1)
    webSockets.handleUpgrade(request, socket, head, (webSocket) => deps.opened(webSocket, socket, identity, leave))
  }

  const count = (agentId: AgentId, change: 1 | -1): void => {
    const left = (unwelcomed.get(agentId) ?? 0) + change
    if (left > 0) unwelcomed.set(agentId, left)
    else unwelcomed.delete(agentId)
  }

  return {
    handle: (request, socket, head, alone) => {
      if (pathOf(request) !== CONNECT_PATH) {
        if (alone) {
          socket.on('error', () => {})
          refuseUpgrade(socket, notFound)
        }
        return
      }
      socket.on('error', () => socket.destroy())
      turns(() => {
        if (socket.destroyed) return
        const refusal = refusalOf(request)
        if (refusal !== null) refuseUpgrade(socket, refusal)
        else admit(request, socket, head).catch(() => socket.destroy())
      })
    },
    inProgress: () => inProgress,
    close: () => {
      closed = true
    },
  }
}

const pathOf = (request: IncomingMessage): string => (request.url ?? '').split('?', 1)[0] ?? ''

const offersSubprotocol = (request: IncomingMessage): boolean =>
  (request.headers['sec-websocket-protocol'] ?? '').split(',').some((offered) => offered.trim() === SUBPROTOCOL)

const tokenOf = (request: IncomingMessage): string | null =>
  BEARER.exec(request.headers.authorization ?? '')?.[1] ?? null
