/** What clients were promised of one session, from the answers that they got and from nothing else. */
import type { LedgerState } from './ledger.ts'

export type Promised = {
  readonly id: string
  readonly org: string
  /** The newest generation that a 2xx named. */
  accepted: number
  /** Those of a session that had its place: each has to have a command. With when they were promised (wall clock). */
  commanded: { readonly generation: number; readonly atMs: number }[]
  /** What was asked with the last of them. */
  desired: LedgerState
  /** What requests without an answer asked: they may be carried out at any later moment, or never. */
  loose: LedgerState[]
  /** The label of the last PATCH that was answered with 2xx, and those of which nobody knows. */
  patch: string | null
  loosePatches: string[]
  /** The whole history of it was put back with the database, its end among it: nothing is promised any more. */
  rolledBack: boolean
}

/** What an answer says of a session, as far as it promises something. */
export type Said = {
  readonly id: string
  readonly agentId: string | null
  readonly status: string
  readonly generation: number
  readonly desiredState: LedgerState
}

const needsCommand = ({ agentId, status }: Said): boolean => agentId !== null && status !== 'pending'

export const newPromise = (said: Said, org: string): Promised => ({
  id: said.id,
  org,
  accepted: said.generation,
  commanded: needsCommand(said) ? [{ generation: said.generation, atMs: Date.now() }] : [],
  desired: 'running',
  loose: [],
  patch: null,
  loosePatches: [],
  rolledBack: false,
})

/** True when it is a new promise and not the old one again. */
export const promise = (promised: Promised, said: Said): boolean => {
  const raised = said.generation > promised.accepted
  promised.accepted = said.generation
  promised.desired = said.desiredState
  if (raised && needsCommand(said)) promised.commanded.push({ generation: said.generation, atMs: Date.now() })
  return raised
}
