/** Who did what, from where, and what became of it. */
import type { Role } from '../identity/caller.ts'
import type { ApiKeyId, OrgId, UserId } from '../ids.ts'
import type { ByTime, Page, PageRequest } from './page.ts'

/** `failed`: a fault of the server; what was asked may have been done. */
export const auditOutcomes = ['succeeded', 'refused', 'failed'] as const
export type AuditOutcome = (typeof auditOutcomes)[number]

type Fields = { readonly [name: string]: unknown }

export type Changed = {
  /** null: there was nothing, or nobody knows. */
  readonly before: Fields | null
  readonly after: Fields | null
}

export type AuditEntry = Changed & {
  /** null: nobody's, as with keys that are not known. */
  readonly orgId: OrgId | null
  readonly userId: UserId | null
  readonly role: Role | null
  /** null: by a token. */
  readonly keyId: ApiKeyId | null
  /** The operation of the API, such as `createSession`. */
  readonly action: string
  readonly resource: string
  readonly resourceId: string | null
  readonly outcome: AuditOutcome
  readonly status: number
  readonly code: string | null
  readonly requestId: string
  readonly ip: string
  readonly userAgent: string | null
}

export type AuditEvent = AuditEntry & { readonly id: number; readonly at: Date }

export type AuditFilter = {
  /** Users, or keys as `key:` and their id. */
  readonly actor?: readonly string[]
  readonly action?: readonly string[]
  readonly resource?: readonly string[]
  readonly resourceId?: readonly string[]
  readonly outcome?: readonly AuditOutcome[]
  readonly from?: Date
  /** Excluded. */
  readonly to?: Date
}

/** Whose: one org's, or an org's and what is nobody's. */
export type AuditScope = { readonly orgId: OrgId; readonly nobodys: boolean }

export type AuditStore = {
  readonly list: (scope: AuditScope, filter: AuditFilter, page: PageRequest<ByTime>) => Promise<Page<AuditEvent>>
  /** Oldest first, a bounded number at a time, until the last that was there when it began. Reads on only when it is asked for more. */
  readonly all: (scope: AuditScope, filter: AuditFilter) => AsyncIterable<readonly AuditEvent[]>
  /** Of what changed nothing; of what did, it is written with the change. */
  readonly add: (entries: readonly AuditEntry[]) => Promise<void>
}
