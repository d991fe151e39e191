import type { Scope } from '../identity/caller.ts'
import type { AgentId, OrgId, SessionId } from '../ids.ts'
import type { Session } from '../session/session.ts'
import type { SessionField, SessionView } from '../session/session-view.ts'
import type { SessionEventType, SessionStatus } from '../session/words.ts'
import type { ByCreation, ByGeneration, HistoryByTime, Page, PageRequest } from './page.ts'

export type LoadedSession = { readonly session: Session; readonly agentReachable: boolean }

/** Loads sessions for deciding. */
export type SessionStore = {
  /** For a caller: within its scope, no tombstones. */
  readonly load: (scope: Scope, id: SessionId) => Promise<LoadedSession | null>
  /** For reports of agents: any org, tombstones too. Unknown ids are left out. */
  readonly loadMany: (ids: readonly SessionId[]) => Promise<readonly Session[]>
  /** Waiting for a place: by age, taking turns between orgs. */
  readonly pending: (limit: number) => Promise<readonly Session[]>
  /** Whose deadline has passed, the longest overdue first. */
  readonly overdue: (at: Date, limit: number) => Promise<readonly LoadedSession[]>
}

/** A page as it is sent: whoever wrote the rows wrote them as JSON. */
export type WrittenPage = { readonly items: string; readonly nextCursor: string | null }

export const sessionSorts = ['-createdAt', 'createdAt', 'name', '-name'] as const
export type SessionSort = (typeof sessionSorts)[number]

export type LabelFilter = readonly [name: string, value: string, ...more: readonly string[]]

export type SessionFilter = {
  readonly user?: readonly string[]
  readonly status?: readonly SessionStatus[]
  readonly template?: readonly string[]
  readonly platform?: readonly string[]
  readonly agent?: readonly string[]
  /** Labels that all have to match: a name, and the values of which it has to have one. */
  readonly label?: readonly LabelFilter[]
  /** Words with which words of the name begin, in any case. */
  readonly q?: string
  readonly createdAfter?: Date
  readonly createdBefore?: Date
}

export type SessionEventView = {
  readonly id: number
  readonly sessionId: string
  readonly type: SessionEventType
  readonly generation: number
  readonly at: Date
  readonly actor: string
  readonly data: { readonly [name: string]: unknown }
}

export const commandStatuses = ['pending', 'done', 'failed', 'superseded', 'dead', 'expired', 'cancelled'] as const
export type CommandStatus = (typeof commandStatuses)[number]

export type CommandView = {
  readonly id: string
  readonly sessionId: string
  readonly agentId: AgentId
  readonly type: string
  readonly generation: number
  readonly status: CommandStatus
  readonly attempts: number
  readonly nextAttemptAt: Date | null
  readonly expiresAt: Date | null
  readonly lastError: string | null
  readonly createdAt: Date
  readonly sentAt: Date | null
  readonly ackedAt: Date | null
  readonly finishedAt: Date | null
  /** Raised by what operators do to it. */
  readonly revision: number
}

export type CommandFilter = {
  readonly status?: readonly CommandStatus[]
  readonly agent?: readonly string[]
  readonly session?: readonly string[]
}

export type SessionSummary = { readonly total: number; readonly byStatus: { readonly [S in SessionStatus]: number } }

/** Of one org, where each of several callers has a scope of its own. */
export type WantedSession = Pick<Scope, 'ownerId'> & { readonly id: SessionId }

/** Reads that return what the API shows. Each is one indexed query. Throws `BadCursorError` for a cursor that is not ours. */
export type SessionQueries = {
  /** In the order of what is wanted; null: no such session for whoever wants it. */
  readonly get: (orgId: OrgId, wanted: readonly WantedSession[]) => Promise<readonly (SessionView | null)[]>
  /** `fields` null: all of them. */
  readonly list: (
    scope: Scope,
    filter: SessionFilter,
    sort: SessionSort,
    page: PageRequest,
    fields?: readonly SessionField[] | null,
  ) => Promise<WrittenPage>
  readonly summary: (scope: Scope, filter: SessionFilter) => Promise<SessionSummary>
  /** null: no such session in this scope. */
  readonly events: (
    scope: Scope,
    id: SessionId,
    page: PageRequest<HistoryByTime>,
  ) => Promise<Page<SessionEventView> | null>
  readonly commandsOf: (
    scope: Scope,
    id: SessionId,
    page: PageRequest<ByGeneration>,
  ) => Promise<Page<CommandView> | null>
  readonly commands: (scope: Scope, filter: CommandFilter, page: PageRequest<ByCreation>) => Promise<Page<CommandView>>
  readonly touch: (scope: Scope, id: SessionId, at: Date) => Promise<boolean>
}

/** Thrown by lists: the cursor was not made by this list, of this org, with these filters and this sort. */
export class BadCursorError extends Error {
  constructor() {
    super('the cursor does not belong to this list')
    this.name = 'BadCursorError'
  }
}
