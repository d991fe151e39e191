/** What sessions take of a quota. */
import type { Decision, Session } from '../session/session.ts'

export type Amounts = {
  /** Kept, in whatever state, until it is asked to be deleted. */
  readonly sessions: number
  /** To run, whether it does already or not. */
  readonly running: number
  /** Of those that are to run. */
  readonly cpuMillis: number
  readonly memoryMib: number
}

export const nothing: Amounts = { sessions: 0, running: 0, cpuMillis: 0, memoryMib: 0 }

export const takenBy = ({ desiredState, deletedAt, resources }: Session): Amounts => {
  if (deletedAt !== null || desiredState === 'deleted') return nothing
  return desiredState === 'running'
    ? { sessions: 1, running: 1, cpuMillis: resources.cpuMillis, memoryMib: resources.memoryMib }
    : { ...nothing, sessions: 1 }
}

/** What a decision takes more, or (below 0) gives back. null: neither. */
export const changeOf = ({ previous, session }: Decision): Amounts | null => {
  const [before, after] = [previous === null ? nothing : takenBy(previous), takenBy(session)]
  const change = {
    sessions: after.sessions - before.sessions,
    running: after.running - before.running,
    cpuMillis: after.cpuMillis - before.cpuMillis,
    memoryMib: after.memoryMib - before.memoryMib,
  }
  return change.sessions === 0 && change.running === 0 ? null : change
}
