/**
 * `--wait`: until a session is what was asked, or will not become it. The server goes on either way: waiting
 * only looks.
 */
import { setTimeout as delay } from 'node:timers/promises'
import type { DesiredState } from '../../domain/session/words.ts'
import type { Session } from '../api/session.ts'
import type { Client } from '../client/client.ts'
import { isProblem, UnreachableError } from '../client/errors.ts'

export type Unreached =
  | { readonly kind: 'failed'; readonly session: Session }
  /** Deleted by someone while something else was waited for. */
  | { readonly kind: 'gone' }
  /** Someone asked for something else meanwhile. */
  | { readonly kind: 'overruled'; readonly session: Session }
  | { readonly kind: 'timeout'; readonly session: Session }

export type Outcome =
  /** null: it is gone, which is what deleting asks for. */
  { readonly kind: 'reached'; readonly session: Session | null } | Unreached

export type Waiting = {
  readonly client: { readonly sessions: Pick<Client['sessions'], 'getIfChanged'> }
  readonly timeoutMs: number
  /** Called after every look. `trouble`: why the last one got no answer. */
  readonly onLook: (session: Session, elapsedMs: number, trouble: string | null) => void
  readonly now?: () => number
  readonly sleep?: (ms: number) => Promise<unknown>
}

const FIRST_PAUSE_MS = 100
const LONGEST_PAUSE_MS = 1_000

/** What a session that was asked to be `wanted` has come to; null: it is on its way. Pure. */
export const outcomeOf = (session: Session, wanted: DesiredState): Outcome | null => {
  if (session.desiredState !== wanted) return { kind: 'overruled', session }
  // A delete ends with the session gone and with nothing else, however long its agent is away.
  if (wanted === 'deleted') return session.deletedAt === null ? null : { kind: 'reached', session: null }
  switch (session.status) {
    case wanted:
      return { kind: 'reached', session }
    case 'failed':
      return { kind: 'failed', session }
    // Ended by itself before it was seen to run.
    case 'stopped':
    case 'hibernated':
      return wanted === 'running' ? { kind: 'failed', session } : null
    default:
      return null
  }
}

/** `asked` is the session as the intent's answer shows it. */
export const waitFor = async (asked: Session, wanted: DesiredState, waiting: Waiting): Promise<Outcome> => {
  const { client, now = () => performance.now(), sleep = delay } = waiting
  const start = now()
  const left = (): number => waiting.timeoutMs - (now() - start)
  let session = asked
  let etag: string | null = null
  for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(pause * 1.5, LONGEST_PAUSE_MS)) {
    const outcome = outcomeOf(session, wanted)
    if (outcome !== null) return outcome
    if (left() <= 0) return { kind: 'timeout', session }
    await sleep(Math.min(pause, Math.max(1, left())))
    let trouble: string | null = null
    try {
      const changed = await client.sessions.getIfChanged(session.id, etag, Math.max(1_000, left()))
      if (changed !== null) ({ session, etag } = changed)
    } catch (error) {
      if (isProblem(error, 'not_found'))
        return wanted === 'deleted' ? { kind: 'reached', session: null } : { kind: 'gone' }
      // A server that is restarted is back in a moment, and nothing that was accepted is lost.
      if (!isPassing(error)) throw error
      trouble = error.message
    }
    waiting.onLook(session, now() - start, trouble)
  }
}

const isPassing = (error: unknown): error is Error =>
  (error instanceof UnreachableError && error.kind !== 'impossible') ||
  isProblem(error, 'unavailable', 'contended', 'overloaded')
