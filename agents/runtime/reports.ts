/**
 * From what a platform says to the frames that say it. Text is cut to what the protocol takes: a platform
 * that hands over a whole build log must not get the socket closed for a frame too large.
 */
import type { CommandId, SessionId } from '../../domain/ids.ts'
import type { Frame, InventoryItem, WireObserved } from '../protocol.ts'
import type { Held, PlatformReport } from './platform.ts'

const LONGEST_TEXT = 4_096

const cut = (text: string): string => text.slice(0, LONGEST_TEXT)

const clipped = (observed: WireObserved): WireObserved => ({
  ...observed,
  ...(typeof observed.message === 'string' ? { message: cut(observed.message) } : {}),
  // The end of an output says why it ended.
  ...(typeof observed.lastOutput === 'string' ? { lastOutput: observed.lastOutput.slice(-LONGEST_TEXT) } : {}),
})

export const statusFrame = (report: PlatformReport, at: Date): Frame<'status'> => {
  const { sessionId, generation, note, ...observed } = report
  const history = note === undefined ? {} : { note: { ...note, message: cut(note.message) } }
  return { type: 'status', sessionId, generation, ...clipped(observed), ...history, at: at.toISOString() }
}

export const progressFrame = (
  about: { readonly sessionId: SessionId; readonly generation: number },
  reason: string,
  message: string,
  at: Date,
): Frame<'status'> =>
  statusFrame({ sessionId: about.sessionId, generation: about.generation, status: 'starting', reason, message }, at)

/** How a command ended here; `observed` only of an applied or failed one, and null when nothing is left. */
export type Outcome =
  | { readonly outcome: 'applied'; readonly observed: WireObserved | null }
  | { readonly outcome: 'superseded' }
  | {
      readonly outcome: 'failed'
      readonly code: string
      readonly message: string
      readonly retryable: boolean
      readonly observed: WireObserved | null
    }
  | { readonly outcome: 'rejected'; readonly code: string; readonly message: string }

export const resultFrame = (
  commandId: CommandId,
  about: { readonly sessionId: SessionId; readonly generation: number },
  answer: Outcome,
): Frame<'result'> => {
  const { sessionId, generation } = about
  const result = { type: 'result', commandId, sessionId, generation, outcome: answer.outcome } as const
  switch (answer.outcome) {
    case 'superseded':
      return result
    case 'applied':
      return answer.observed === null ? result : { ...result, observed: clipped(answer.observed) }
    case 'rejected':
      return { ...result, error: { code: answer.code, message: cut(answer.message), retryable: false } }
    case 'failed': {
      const error = { code: answer.code, message: cut(answer.message), retryable: answer.retryable }
      return answer.observed === null ? { ...result, error } : { ...result, error, observed: clipped(answer.observed) }
    }
  }
}

/** What an inventory says of a session: less than a status, as it says it of all of them. */
export const inventoryItem = (sessionId: SessionId, held: Held): InventoryItem => {
  const { status, reason, endpoint, message, restarts, exitCode, exitSignal, lastOutput } = clipped(held.observed)
  return {
    sessionId,
    generation: held.generation,
    status,
    ...(reason === undefined ? {} : { reason }),
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(message === undefined ? {} : { message }),
    ...(restarts === undefined ? {} : { restarts }),
    ...(exitCode === undefined ? {} : { exitCode }),
    ...(exitSignal === undefined ? {} : { exitSignal }),
    ...(lastOutput === undefined ? {} : { lastOutput }),
  }
}
