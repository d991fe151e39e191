import { type StatusReason, statusReasons } from './words.ts'

/** An agent's word for why, where it is one of ours; otherwise null, and the message has to do. */
export const statusReasonOf = (word: string | null | undefined): StatusReason | null =>
  statusReasons.find((reason) => reason === word) ?? null
