import type { SessionSpec } from './session.ts'

/** How long a waiting status may last, in milliseconds (settings of `docs/operations.md`). */
export type Timeouts = { readonly pendingMs: number; readonly startMs: number; readonly stopMs: number }

/** Overdue stops are asked again, each time after twice as long, at most this. */
export const LONGEST_STOP_WAIT_MS = 3_600_000

export const after = (at: Date, ms: number): Date => new Date(at.getTime() + ms)

/** A template's own `startTimeoutSeconds` overrides the setting. */
export const startTimeoutMs = (spec: SessionSpec, timeouts: Timeouts): number =>
  spec.startTimeoutSeconds === undefined ? timeouts.startMs : spec.startTimeoutSeconds * 1000
