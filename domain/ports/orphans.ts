/** What is kept of orphans, and how they are removed. Everything that an agent says is guarded by its epoch. */
import type { Brake } from '../agent/brake.ts'
import type {
  AgentEvent,
  InstallationOrphanRemoval,
  OrgOrphanRemoval,
  Orphan,
  OrphanReason,
  OrphanState,
  ResumedOrphanRemoval,
} from '../agent/orphan.ts'
import type { AgentId, CommandId, OrgId, SessionId } from '../ids.ts'
import type { OwnedAgent, Peer } from './agents.ts'
import type { InventoryEntry } from './delivery.ts'
import type { Guard } from './if-match.ts'
import type { ByFirstSight, HistoryByTime, Page, PageRequest } from './page.ts'
import type { CommandFate } from './reports.ts'

export type FoundOrphan = { readonly entry: InventoryEntry; readonly reason: OrphanReason }

/** The orphans of one complete inventory. */
export type OrphansFound = {
  readonly found: readonly FoundOrphan[]
  /** Entries that are sessions of this agent. */
  readonly sessions: number
  /** Of these the agent has said something since: the inventory says nothing of them any more. */
  readonly spokenSince: ReadonlySet<SessionId>
  readonly graceMs: number
}

export type OrphansRecorded =
  | { readonly kind: 'fenced' }
  | {
      readonly kind: 'recorded'
      /** Seen for the first time. */
      readonly fresh: number
      /** Not there any more, or no orphans any more. */
      readonly ended: number
      /** Past their grace, or approved: to be removed, if the brake allows. */
      readonly due: number
      /** When this inventory was recorded, by the database's clock. */
      readonly at: Date
    }

export type RemovalBegun =
  | { readonly kind: 'fenced' }
  /** So many commands are committed; `held`: why the rest is not. */
  | { readonly kind: 'begun'; readonly removing: number; readonly held: string | null; readonly heldBefore: boolean }

export type RemovalResult = { readonly peer: Peer; readonly commandId: CommandId; readonly fate: CommandFate }

export type RemovalsSettled = { readonly settled: ReadonlySet<CommandId>; readonly fenced: ReadonlySet<AgentId> }

export type Approval =
  | { readonly kind: 'approved'; readonly count: number }
  /** Nothing was approved: these are not there (any more). */
  | { readonly kind: 'missing'; readonly sessionIds: readonly SessionId[] }

export type OrphanStore = {
  /** One statement for the whole inventory. */
  readonly record: (peer: Peer, inventory: OrphansFound) => Promise<OrphansRecorded>
  /**
   * Begins to remove what is due, at most one command for each id: what was approved, and the rest when the brake
   * allows, judged and committed in one transaction while nobody else judges.
   */
  readonly remove: (
    peer: Peer,
    inventory: { readonly at: Date; readonly resources: number; readonly graceMs: number },
    commandIds: readonly CommandId[],
    brake: Brake,
  ) => Promise<RemovalBegun>
  /** What became of removals. Commands that are none are left out of `settled`; those that have ended stay as they are. */
  readonly settle: (results: readonly RemovalResult[]) => Promise<RemovalsSettled>
  /** Of the orphans that are there now these, or all of them (null). */
  readonly approve: (agent: OwnedAgent, sessionIds: readonly SessionId[] | null, by: string) => Promise<Approval>
  /** Begins to remove what was approved; returns how many, at most one for each id. */
  readonly removeApproved: (agent: OwnedAgent, commandIds: readonly CommandId[]) => Promise<number>
  readonly list: (
    agent: OwnedAgent,
    states: readonly OrphanState[],
    page: PageRequest<ByFirstSight>,
  ) => Promise<Page<Orphan>>
  readonly events: (agent: OwnedAgent, page: PageRequest<HistoryByTime>) => Promise<Page<AgentEvent>>
  readonly removal: () => Promise<InstallationOrphanRemoval>
  /** No orphan is removed anywhere that is not approved. null: it has another revision. */
  readonly halt: (by: string, guard?: Guard) => Promise<InstallationOrphanRemoval | null>
  /** Orphans are removed again everywhere, of every org's agents too. null: it has another revision. No halt is lifted that the guard has not seen. */
  readonly resume: (by: string, guard?: Guard) => Promise<ResumedOrphanRemoval | null>
  /** Of an org's own agents. null: there is no such org. */
  readonly orgRemoval: (orgId: OrgId) => Promise<OrgOrphanRemoval | null>
  /** null: it has another revision. */
  readonly haltOrg: (orgId: OrgId, by: string, guard?: Guard) => Promise<OrgOrphanRemoval | null>
  /** As far as it is not halted everywhere. null: it has another revision. */
  readonly resumeOrg: (orgId: OrgId, by: string, guard?: Guard) => Promise<OrgOrphanRemoval | null>
}
