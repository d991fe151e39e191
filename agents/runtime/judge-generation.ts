/**
 * Rule 2 of the protocol: what a generation means, given what the platform holds. The truth is on the
 * resource; only of sessions of which nothing is left is there no resource to ask, and for those the
 * generation is remembered here, for the life of the process: a start that comes late after a delete must
 * not bring the session back.
 */
import type { SessionId } from '../../domain/ids.ts'
import type { WireObserved } from '../protocol.ts'
import type { Platform, Target } from './platform.ts'

export type Verdict =
  | { readonly kind: 'apply' }
  | { readonly kind: 'superseded' }
  /** It is so already; `observed` is null when nothing is left. */
  | { readonly kind: 'applied'; readonly observed: WireObserved | null }

export type Judge = {
  readonly judge: (target: Target) => Verdict
  /** After each apply, however it ended. */
  readonly applied: (target: Target, succeeded: boolean) => void
}

/** What nothing is: asked to be deleted it is gone, asked to rest it rests. Asked to run, it is not so. */
const nothingLeft = (target: Target): Verdict => {
  switch (target.desired.state) {
    case 'deleted':
      return { kind: 'applied', observed: null }
    case 'stopped':
    case 'hibernated':
      return { kind: 'applied', observed: { status: target.desired.state } }
    case 'running':
      return { kind: 'apply' }
  }
}

export const createJudge = (platform: Pick<Platform, 'held'>): Judge => {
  /** Applied, and nothing is left. */
  const gone = new Map<SessionId, number>()
  /** Begun without success: may be tried again, but nothing below it. */
  const attempted = new Map<SessionId, number>()

  const judge = (target: Target): Verdict => {
    const { sessionId, generation } = target
    const held = platform.held(sessionId)
    if (held !== null && generation === held.generation) return { kind: 'applied', observed: held.observed }
    const known = Math.max(held?.generation ?? -1, gone.get(sessionId) ?? -1, attempted.get(sessionId) ?? -1)
    if (generation < known) return { kind: 'superseded' }
    if (held === null && gone.get(sessionId) === generation) return nothingLeft(target)
    return { kind: 'apply' }
  }

  const applied = ({ sessionId, generation }: Target, succeeded: boolean): void => {
    gone.delete(sessionId)
    attempted.delete(sessionId)
    const held = platform.held(sessionId)
    if (held !== null && held.generation >= generation) return
    if (succeeded && held === null) gone.set(sessionId, generation)
    else attempted.set(sessionId, generation)
  }

  return { judge, applied }
}
