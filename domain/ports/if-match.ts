/**
 * If-Match: what a caller would change is as the caller has read it. Each thing that people change has a revision, which each of their
 * changes raises and nothing else does: what an agent reports refuses nobody.
 */
import type { VersionMismatch } from '../errors.ts'

/** The revisions that the caller would accept (none of them: it can match nothing), or null for any. */
export type IfMatch = readonly number[] | null

/** As a store takes it: asked again by the statement that makes the change. */
export type Guard = IfMatch | undefined

export const isMatch = (guard: Guard, revision: number): boolean =>
  guard === null || guard === undefined || guard.includes(revision)

export const mismatch = (current: number): VersionMismatch => ({ _tag: 'VersionMismatch', current })
