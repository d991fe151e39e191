/**
 * From an open socket to a welcomed agent: the first frame has to be a hello, soon, from the agent that the
 * token belongs to; then the lease is taken, which fences every older connection of that agent.
 */
import { closeCodes, type HelloFrame, PROTOCOL_VERSION } from '../../agents/protocol.ts'
import { E } from '../../domain/fp.ts'
import type { ReplicaId } from '../../domain/ids.ts'
import type { AgentIdentity, LeaseStore } from '../../domain/ports/agents.ts'
import type { DatabaseState } from './database-state.ts'
import type { FrameSocket, Received } from './frame-socket.ts'
import type { Limiter } from './limiter.ts'
import type { Timing } from './timing.ts'

/** WebSocket's "try again later" (IANA registry of close codes). */
const TRY_AGAIN_LATER = 1013

export type Greeting = {
  readonly leases: Pick<LeaseStore, 'connect'>
  readonly database: DatabaseState
  readonly timing: Timing
  readonly connects: Limiter
  readonly settings: { readonly replicaId: ReplicaId; readonly helloTimeoutMs: number }
}

/** Resolves with the epoch when the lease is taken and the socket still there, with null when it was closed. */
export const greet = async (
  deps: Greeting,
  socket: FrameSocket,
  identity: AgentIdentity,
): Promise<{ readonly epoch: number } | null> => {
  const hello = await firstFrame(deps, socket)
  if (hello === null) return null
  const wrong = whatIsWrong(hello, identity)
  if (wrong !== null) {
    socket.end(closeCodes.badHello, wrong)
    return null
  }
  return takeLease(deps, socket, hello, identity)
}

const firstFrame = (deps: Greeting, socket: FrameSocket): Promise<HelloFrame | null> =>
  new Promise((resolve) => {
    const tooLate = (): void => socket.end(closeCodes.badHello, 'no hello in time')
    // What has come while this process had to wait for its turn is read first: an agent that is told so believes that it has to be mended.
    let cancel = deps.timing.after(deps.settings.helloTimeoutMs, () => {
      cancel = deps.timing.after(0, tooLate)
    })
    socket.ended = () => {
      cancel()
      resolve(null)
    }
    socket.receive = (received, _bytes, text) => {
      cancel()
      socket.receive = refuseEarly(socket)
      if (E.isRight(received) && received.right.type === 'hello' && received.right.protocol === PROTOCOL_VERSION)
        return resolve(received.right)
      const protocol = E.isRight(received) ? protocolOf(received.right) : protocolOf(parsed(text()))
      if (protocol !== null && protocol !== PROTOCOL_VERSION)
        socket.end(closeCodes.protocolUnsupported, `this server speaks protocol ${PROTOCOL_VERSION}`)
      else socket.end(closeCodes.badHello, 'the first frame has to be a valid hello')
    }
  })

/** Before the welcome there is no epoch under which anything could be said. */
const refuseEarly = (socket: FrameSocket) => (received: Received) =>
  socket.refuseBad(
    E.isLeft(received)
      ? received.left
      : { code: 'bad_message', message: 'nothing but hello comes before the welcome', about: received.right.type },
  )

/** A hello of another version may have other fields: its version is read without the rest. */
const protocolOf = (frame: unknown): number | null => {
  if (typeof frame !== 'object' || frame === null) return null
  const { type, protocol } = frame as { type?: unknown; protocol?: unknown }
  return type === 'hello' && typeof protocol === 'number' ? protocol : null
}

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

const whatIsWrong = (hello: HelloFrame, identity: AgentIdentity): string | null => {
  if (hello.agentId !== identity.agentId) return 'this token belongs to another agent'
  if (hello.platform !== identity.platform) return `this agent was enrolled for ${identity.platform}`
  return null
}

const takeLease = async (
  { leases, connects, database, settings }: Greeting,
  socket: FrameSocket,
  hello: HelloFrame,
  { agentId, tokenHash }: AgentIdentity,
): Promise<{ readonly epoch: number } | null> => {
  let isGone = false
  socket.ended = () => {
    isGone = true
  }
  try {
    const connected = await connects(async () => {
      if (isGone) return null
      return leases.connect({
        agentId,
        replicaId: settings.replicaId,
        version: hello.version,
        region: hello.region ?? null,
        labels: hello.labels ?? {},
        capacity: hello.capacity,
        lastEpoch: hello.lastEpoch ?? null,
        ...(tokenHash === undefined ? {} : { tokenHash }),
      })
    })
    database.works('connecting agents')
    if (connected === null) return null
    if (E.isRight(connected)) return connected.right
    socket.end(closeCodes.revoked, 'this agent was removed, or its token was rotated')
  } catch (error) {
    database.failed('connecting agents', error)
    socket.end(TRY_AGAIN_LATER, 'the database cannot be reached')
  }
  return null
}
