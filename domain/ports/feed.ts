/**
 * The feed: every event of every session, in one order that everybody sees alike, and in which nothing ever appears before what
 * was read already. What was written by a transaction is not in it before all transactions that began earlier have ended.
 */
import type { OrgId, SessionId, UserId } from '../ids.ts'
import type { SessionStatus } from '../session/words.ts'
import type { SessionEventView } from './sessions.ts'

/** Between two events. `feed` names the history in which it means something. */
export type FeedPosition = { readonly feed: string; readonly xid: number; readonly id: number }

/** Of a session, as it is when its event is read: what filters ask for. */
export type EventSubject = {
  readonly userId: UserId
  readonly name: string
  readonly status: SessionStatus
  readonly template: string
  readonly platform: string | null
  readonly agentId: string | null
  readonly labels: { readonly [name: string]: string }
  readonly createdAt: Date
}

export type FeedEvent = {
  /** Behind this event. */
  readonly position: FeedPosition
  readonly orgId: OrgId
  readonly sessionId: SessionId
  readonly event: SessionEventView
  /** null: the session has left the database, long after it was deleted. */
  readonly subject: EventSubject | null
}

/** Which transactions had committed at a moment. */
export type Snapshot = { readonly sees: (xid: number) => boolean; readonly xmax: number }

export type FeedPage = {
  readonly events: readonly FeedEvent[]
  /** Where to read on. Behind the last event; further where it is known that nothing will come before. */
  readonly next: FeedPosition
  /** Nothing is left to read now. */
  readonly complete: boolean
  readonly snapshot: Snapshot
}

/** `other_feed`: the position is of another history. `too_old`: events behind it have been removed. */
export type FeedGone = 'other_feed' | 'too_old'

/** A transaction that all later events wait for. */
export type FeedDelay = {
  /** Of the oldest event that waits, in milliseconds. */
  readonly lagMs: number
  /** The PostgreSQL process whose transaction it is; null: a prepared transaction, or it has just ended. */
  readonly pid: number | null
}

export type Feed = {
  /** What is read from here on is new. */
  readonly now: () => Promise<FeedPosition>
  /** For nobody in particular: events of all orgs. */
  readonly read: (after: FeedPosition, limit: number) => Promise<FeedPage | 'other_feed'>
  /** Looks at `limit` events of all orgs, and answers those of one. */
  readonly readOf: (orgId: OrgId, after: FeedPosition, limit: number) => Promise<FeedPage | FeedGone>
  /** null: nothing waits. */
  readonly delay: () => Promise<FeedDelay | null>
  /**
   * How far a reader of the server's own has come; now, when it is new. It says so itself, in the transaction in which it acts on what it
   * read: `MOVE_FEED_POSITION`.
   */
  readonly positionOf: (reader: string) => Promise<FeedPosition>
}

/** Positions as they are told to callers: of one org, signed, not to be understood. */
export type FeedTokens = {
  readonly encode: (orgId: OrgId, position: FeedPosition) => string
  /** null: it was not made here for this org. */
  readonly decode: (orgId: OrgId, token: string) => FeedPosition | null
}

/** Whether `a` lies behind `b`, of the same feed. */
export const isBehind = (a: FeedPosition, b: FeedPosition): boolean => a.xid > b.xid || (a.xid === b.xid && a.id > b.id)
