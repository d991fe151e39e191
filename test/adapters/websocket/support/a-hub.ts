/** A hub on a real HTTP server, with ports in memory and agents as real WebSocket clients. */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type AgentHub, createAgentHub } from '../../../../adapters/websocket/hub.ts'
import type { HubSettings, Log } from '../../../../adapters/websocket/settings.ts'
import { E } from '../../../../domain/fp.ts'
import type { AgentId, ReplicaId } from '../../../../domain/ids.ts'
import type { AgentIdentity, Connecting, LeaseStore, LostLease, Peer } from '../../../../domain/ports/agents.ts'
import type { AgentInbox, ReportAnswer } from '../../../../domain/ports/delivery.ts'
import { AgentClient } from './agent-client.ts'
import { type FakeOutbox, fakeOutbox } from './fake-outbox.ts'

export type FakeLeases = LeaseStore & {
  readonly epochs: Map<AgentId, number>
  readonly connects: Connecting[]
  readonly released: Peer[]
  readonly removed: Set<AgentId>
  readonly enrol: (token: string, identity: AgentIdentity) => void
  isDown: boolean
  /** Called within every `identify`, before it answers. */
  whileIdentifying: () => Promise<void> | void
  whileConnecting: () => Promise<void> | void
  /** The same, when the epoch has been raised. */
  beforeWelcome: () => Promise<void> | void
}

const fakeLeases = (): FakeLeases => {
  const identities = new Map<string, AgentIdentity>()
  const leases: FakeLeases = {
    epochs: new Map(),
    connects: [],
    released: [],
    removed: new Set(),
    isDown: false,
    whileIdentifying: () => {},
    whileConnecting: () => {},
    beforeWelcome: () => {},
    enrol: (token, identity) => {
      identities.set(createHash('sha256').update(token).digest('hex'), identity)
    },
    identify: async (hash) => {
      await leases.whileIdentifying()
      if (leases.isDown) throw new Error('no database')
      return identities.get(hash.toString('hex')) ?? null
    },
    connect: async (connecting) => {
      await leases.whileConnecting()
      if (leases.isDown) throw new Error('no database')
      leases.connects.push(connecting)
      if (leases.removed.has(connecting.agentId)) return E.left({ _tag: 'AgentGone' })
      const epoch = (leases.epochs.get(connecting.agentId) ?? 0) + 1
      leases.epochs.set(connecting.agentId, epoch)
      await leases.beforeWelcome()
      return E.right({ epoch })
    },
    disconnect: async (peer) => {
      if (leases.isDown) throw new Error('no database')
      leases.released.push(peer)
    },
    heartbeat: async () => [],
    lost: async (held) => {
      if (leases.isDown) throw new Error('no database')
      return held.flatMap(({ agentId, epoch }, index): LostLease[] => {
        if (leases.removed.has(agentId)) return [{ index, why: 'revoked' }]
        return leases.epochs.get(agentId) === epoch ? [] : [{ index, why: 'replaced' }]
      })
    },
    holders: async () => [],
  }
  return leases
}

export type InboxCall = { readonly kind: keyof AgentInbox; readonly peer: Peer; readonly of: unknown }
export type FakeInbox = AgentInbox & {
  readonly calls: InboxCall[]
  readonly of: (kind: InboxCall['kind']) => unknown[]
  /** What the core answers; it may throw. */
  answer: (call: InboxCall) => ReportAnswer | Promise<ReportAnswer>
}

const fakeInbox = (): FakeInbox => {
  const inbox: FakeInbox = {
    calls: [],
    of: (kind) => inbox.calls.filter((call) => call.kind === kind).map((call) => call.of),
    answer: () => 'accepted',
    result: (peer, result) => take({ kind: 'result', peer, of: result }),
    status: (peer, sessionId, generation, report) =>
      take({ kind: 'status', peer, of: { sessionId, generation, ...report } }),
    inventory: (peer, items) => take({ kind: 'inventory', peer, of: items }),
    heartbeat: (beat) => take({ kind: 'heartbeat', peer: beat, of: beat }),
    activity: (peer, sessionId, at) => take({ kind: 'activity', peer, of: { sessionId, at } }),
  }
  const take = async (call: InboxCall): Promise<ReportAnswer> => {
    inbox.calls.push(call)
    return inbox.answer(call)
  }
  return inbox
}

export type LogLine = { readonly level: keyof Log; readonly fields: object; readonly message: string }

export type AHub = {
  readonly hub: AgentHub
  readonly server: Server
  readonly port: number
  readonly leases: FakeLeases
  readonly outbox: FakeOutbox
  readonly inbox: FakeInbox
  readonly log: LogLine[]
  /** A client with a valid token, whatever else; nothing is sent yet. */
  readonly dial: (agentId?: string) => Promise<AgentClient>
  /** A client that was welcomed. */
  readonly connect: (agentId?: string) => Promise<AgentClient>
  readonly stop: () => Promise<void>
}

export const tokenOf = (agentId: string): string => `ssa_token_of_${agentId}`

export const startHub = async (settings: Partial<HubSettings> = {}): Promise<AHub> => {
  const leases = fakeLeases()
  const outbox = fakeOutbox((agentId) => leases.epochs.get(agentId) ?? 0)
  const inbox = fakeInbox()
  const lines: LogLine[] = []
  const write =
    (level: keyof Log) =>
    (fields: object, message: string): void => {
      lines.push({ level, fields, message })
    }
  const log: Log = { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') }
  const hub = createAgentHub(
    { leases, outbox, inbox, clock: { now: () => new Date() }, log },
    {
      replicaId: 'replica-1' as ReplicaId,
      heartbeatIntervalMs: 10_000,
      inventoryIntervalMs: 120_000,
      ackTimeoutMs: 5_000,
      closeTimeoutMs: 500,
      ...settings,
    },
  )
  const server = createServer()
  hub.attach(server)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const clients: AgentClient[] = []

  const dial = async (agentId = 'edge-1'): Promise<AgentClient> => {
    leases.enrol(tokenOf(agentId), { agentId: agentId as AgentId, orgId: null, platform: 'process' })
    const client = new AgentClient(`ws://127.0.0.1:${port}/agents/connect`, agentId, tokenOf(agentId))
    clients.push(client)
    await client.opened
    return client
  }
  return {
    hub,
    server,
    port,
    leases,
    outbox,
    inbox,
    log: lines,
    dial,
    connect: async (agentId) => {
      const client = await dial(agentId)
      client.hello()
      await client.next('welcome')
      return client
    },
    stop: async () => {
      for (const client of clients) client.socket.terminate()
      await hub.close({ reason: 'the test is over' })
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
