/** The intervals of a run, and how long everything may take to be as it should once the last fault is over. */
export type Intervals = {
  readonly name: 'short' | 'default'
  readonly heartbeatMs: number
  readonly ackTimeoutMs: number
  readonly reconnectCapMs: number
}

export const intervalsNamed = {
  short: { name: 'short', heartbeatMs: 1_000, ackTimeoutMs: 1_000, reconnectCapMs: 5_000 },
  default: { name: 'default', heartbeatMs: 10_000, ackTimeoutMs: 5_000, reconnectCapMs: 30_000 },
} as const satisfies { readonly [name: string]: Intervals }

/** A half-open socket is noticed after six heartbeats, the agent dials within its cap, the rest takes ten seconds. */
export const convergenceBoundMs = ({ heartbeatMs, reconnectCapMs }: Intervals): number =>
  6 * heartbeatMs + reconnectCapMs + 10_000

/** A process that stands still for this long has been given up by its peer. */
export const longerThanSilence = ({ heartbeatMs }: Intervals): number => 6.5 * heartbeatMs

export const serverEnvironment = (intervals: Intervals): { readonly [name: string]: string } => ({
  STREAMSPACE_HEARTBEAT_INTERVAL_MS: String(intervals.heartbeatMs),
  STREAMSPACE_ACK_TIMEOUT_MS: String(intervals.ackTimeoutMs),
})

export const intervalsText = (intervals: Intervals): string =>
  `heartbeat ${intervals.heartbeatMs} ms, ack timeout ${intervals.ackTimeoutMs} ms, reconnect cap ${intervals.reconnectCapMs} ms`
