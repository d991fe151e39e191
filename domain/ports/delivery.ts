/** Ports of the way from the outbox to the agent and back. */
import type { AgentId, CommandId, OrgId, SessionId, UserId } from '../ids.ts'
import type { SessionSpec } from '../session/session.ts'
import type { CommandType, DesiredState } from '../session/words.ts'
import type { Heartbeat, Peer } from './agents.ts'

/** A command that is due, with everything its frame carries (secrets unsealed). */
export type DueCommand = {
  readonly id: number
  readonly commandId: CommandId
  readonly agentId: AgentId
  readonly sessionId: SessionId
  readonly generation: number
  readonly type: CommandType
  readonly attempts: number
  readonly expiresAt: Date | null
  readonly desired: {
    readonly state: DesiredState
    readonly incarnation: number
    readonly spec: SessionSpec
    readonly persistentHome: boolean
    readonly orgId: OrgId
    readonly userId: UserId
    readonly name: string
    readonly template: { readonly name: string; readonly version: number }
  }
}

/** What became of a send, as the lane saw it. */
export type DeliveryNote = Peer & {
  readonly commandId: CommandId
  readonly sentAt: Date
  readonly ackedAt: Date | null
  /** Sends that the socket outlived without an ack: only these count as attempts. */
  readonly unacked: number
}

/** What one lane wants to read: at most so many rows above an id, without those that it has in flight. */
export type LaneRead = {
  readonly peer: Peer
  readonly limit: number
  readonly after: number
  readonly inFlight: readonly number[]
}

/** `readUpTo`: the last id that was read when more may be due above it, whether or not it is among the commands. */
export type LaneDue = { readonly commands: readonly DueCommand[]; readonly readUpTo: number | null }

export type Outbox = {
  /**
   * One statement for several lanes; for each, in the order asked: its pending rows that are due, by id.
   * None when the epoch is no longer the agent's. Each agent is in `reads` once.
   */
  readonly due: (reads: readonly LaneRead[]) => Promise<readonly LaneDue[]>
  /** One statement for many notes, of any agents; guarded by each note's epoch. */
  readonly note: (notes: readonly DeliveryNote[]) => Promise<void>
}

/** The outbox as one lane sees it. */
export type LaneOutbox = {
  readonly due: (read: LaneRead) => Promise<LaneDue>
  readonly note: Outbox['note']
}

/** Says that agents have something to be delivered. A hint: it may be lost, the outbox row is the promise. */
export type Wake = { readonly agents: (agentIds: readonly AgentId[]) => void }

/** Asks an agent for all that it has, soon. A hint too. */
export type AskInventory = (agentId: AgentId) => void

/** The sockets of this replica. */
export type AgentGateway = {
  readonly holds: (agentId: AgentId) => boolean
  /** Reads what is due and sends it; harmless at any time, from anyone. */
  readonly drain: (agentId: AgentId) => void
  readonly requestInventory: (agentId: AgentId) => void
  /** Closes this agent's socket with a protocol close code, if this replica holds it. */
  readonly disconnect: (agentId: AgentId, code: number, reason: string) => void
}

/** How the core answers a report; all but the first two go back to the agent as an `error` frame (`fenced`: the socket closes). */
export type ReportAnswer =
  | 'accepted'
  /** Taken, and it shows that the agent knows a later generation of the session than its row. */
  | 'outpaced'
  | 'not_yours'
  | 'unexpected_generation'
  | 'fenced'

export type WireReport = {
  readonly status: 'starting' | 'running' | 'hibernated' | 'stopped' | 'failed'
  readonly reason?: string | null
  readonly message?: string | null
  readonly exitCode?: number | null
  readonly exitSignal?: string | null
  readonly endpoint?: {
    readonly url: string
    readonly host: string
    readonly port: number
    readonly protocol: string
    readonly ports?: readonly {
      readonly name: string
      readonly url: string
      readonly port: number
      readonly protocol: string
    }[]
  } | null
  readonly namespace?: string | null
  readonly podName?: string | null
  readonly serviceName?: string | null
  readonly containerId?: string | null
  readonly node?: string | null
  readonly image?: string | null
  readonly imageDigest?: string | null
  readonly restarts?: number
  readonly lastOutput?: string | null
  /** For its history. */
  readonly note?: { readonly type: string; readonly message: string }
}

export type CommandResult = {
  readonly commandId: CommandId
  readonly sessionId: SessionId
  readonly generation: number
  readonly outcome: 'applied' | 'superseded' | 'failed' | 'rejected'
  readonly error: { readonly code: string; readonly message: string; readonly retryable: boolean } | null
  readonly observed: WireReport | null
}

export type InventoryEntry = WireReport & { readonly sessionId: SessionId; readonly generation: number }

/** What the hub hands to the core. Everything is written in batches; promises resolve when it is committed. */
export type AgentInbox = {
  readonly result: (peer: Peer, result: CommandResult) => Promise<ReportAnswer>
  readonly status: (peer: Peer, sessionId: SessionId, generation: number, report: WireReport) => Promise<ReportAnswer>
  /** A complete inventory, all its pages together. */
  readonly inventory: (peer: Peer, items: readonly InventoryEntry[]) => Promise<ReportAnswer>
  readonly heartbeat: (beat: Heartbeat) => Promise<ReportAnswer>
  readonly activity: (peer: Peer, sessionId: SessionId, at: Date) => Promise<ReportAnswer>
}
