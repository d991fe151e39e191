/** Which events a watcher gets: those of sessions that it may see, and that its filters ask for. */
import type { Scope } from '../identity/caller.ts'
import type { SessionId } from '../ids.ts'
import type { EventSubject, FeedEvent } from '../ports/feed.ts'
import type { SessionFilter } from '../ports/sessions.ts'
import { isNamed } from './name-words.ts'
import type { SessionEventType } from './words.ts'

/** As of a list, about the session as it is when its event is read; and about the event itself. */
export type WatchFilter = SessionFilter & {
  readonly session?: readonly SessionId[]
  readonly type?: readonly SessionEventType[]
}

export type Wants = (event: FeedEvent) => boolean

/** Of a session whose row has left the database nobody knows whose it was. */
export const mayRead = (scope: Scope, { orgId, subject }: FeedEvent): boolean =>
  orgId === scope.orgId && (scope.ownerId === null || subject?.userId === scope.ownerId)

const among = <A>(values: readonly A[] | undefined, value: A | null): boolean =>
  values === undefined || (value !== null && values.includes(value))

const ofSubject = (filter: SessionFilter, subject: EventSubject): boolean =>
  among<string>(filter.user, subject.userId) &&
  among(filter.status, subject.status) &&
  among(filter.template, subject.template) &&
  among(filter.platform, subject.platform) &&
  among(filter.agent, subject.agentId) &&
  (filter.label ?? []).every(
    ([name, ...values]) => Object.hasOwn(subject.labels, name) && values.includes(subject.labels[name] ?? ''),
  ) &&
  (filter.q === undefined || isNamed(subject.name, filter.q)) &&
  (filter.createdAfter === undefined || subject.createdAt > filter.createdAfter) &&
  (filter.createdBefore === undefined || subject.createdAt < filter.createdBefore)

/** null: all of them. */
export const wantsOf = ({ session, type, ...about }: WatchFilter): Wants | null => {
  const sessions = session === undefined ? null : new Set(session)
  const types = type === undefined ? null : new Set(type)
  const isAboutSubject = Object.values(about).some((value) => value !== undefined)
  if (sessions === null && types === null && !isAboutSubject) return null
  return ({ sessionId, event, subject }) =>
    (sessions === null || sessions.has(sessionId)) &&
    (types === null || types.has(event.type)) &&
    (!isAboutSubject || (subject !== null && ofSubject(about, subject)))
}
