/** The intervals of a run, and how long everything may take to be as it should once the last fault is over. */
export type Intervals = {
  readonly name: 'short' | 'patient' | 'default'
  readonly heartbeatMs: number
  readonly ackTimeoutMs: number
  readonly reconnectCapMs: number
  /** Deadlines of waiting statuses, and how old an orphan has to be: so short that they pass within a run. */
  readonly pendingTimeoutMs: number
  readonly startTimeoutMs: number
  readonly stopTimeoutMs: number
  readonly orphanGraceMs: number
}

const short = {
  name: 'short',
  heartbeatMs: 1_000,
  ackTimeoutMs: 1_000,
  reconnectCapMs: 5_000,
  pendingTimeoutMs: 6_000,
  startTimeoutMs: 4_000,
  stopTimeoutMs: 3_000,
  orphanGraceMs: 3_000,
} as const

export const intervalsNamed = {
  short,
  /** As short, but a deadline does not end what waits before anybody can see that it waits for nothing. */
  patient: { ...short, name: 'patient', pendingTimeoutMs: 60_000, startTimeoutMs: 60_000, stopTimeoutMs: 60_000 },
  default: {
    name: 'default',
    heartbeatMs: 10_000,
    ackTimeoutMs: 5_000,
    reconnectCapMs: 30_000,
    pendingTimeoutMs: 600_000,
    startTimeoutMs: 300_000,
    stopTimeoutMs: 60_000,
    // An orphan's time must come within a run, for the brake to be what keeps it.
    orphanGraceMs: 3_000,
  },
} as const satisfies { readonly [name: string]: Intervals }

/** A half-open socket is noticed after six heartbeats, the agent dials within its cap, the rest takes ten seconds. */
export const convergenceBoundMs = ({ heartbeatMs, reconnectCapMs }: Intervals): number =>
  6 * heartbeatMs + reconnectCapMs + 10_000

/** A process that stands still for this long has been given up by its peer. */
export const longerThanSilence = ({ heartbeatMs }: Intervals): number => 6.5 * heartbeatMs

export const serverEnvironment = (intervals: Intervals): { readonly [name: string]: string } => ({
  STREAMSPACE_HEARTBEAT_INTERVAL_MS: String(intervals.heartbeatMs),
  STREAMSPACE_ACK_TIMEOUT_MS: String(intervals.ackTimeoutMs),
  STREAMSPACE_PENDING_TIMEOUT_MS: String(intervals.pendingTimeoutMs),
  STREAMSPACE_START_TIMEOUT_MS: String(intervals.startTimeoutMs),
  STREAMSPACE_STOP_TIMEOUT_MS: String(intervals.stopTimeoutMs),
  STREAMSPACE_ORPHAN_GRACE_MS: String(intervals.orphanGraceMs),
})

export const intervalsText = (intervals: Intervals): string =>
  [
    `heartbeat ${intervals.heartbeatMs} ms`,
    `ack timeout ${intervals.ackTimeoutMs} ms`,
    `reconnect cap ${intervals.reconnectCapMs} ms`,
    `pending, start and stop timeout ${intervals.pendingTimeoutMs}, ${intervals.startTimeoutMs} and ${intervals.stopTimeoutMs} ms`,
    `orphan grace ${intervals.orphanGraceMs} ms`,
  ].join(', ')
