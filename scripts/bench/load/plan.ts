/** What the load generator is told, and what it answers. Both cross a process boundary as structured clones. */

export type LoadPlan = {
  readonly url: string
  readonly token: string
  /** Of several callers, taken at random; instead of the one. */
  readonly tokens?: readonly string[]
  readonly method: 'GET' | 'POST'
  /** Taken at random when there are several. */
  readonly paths: readonly string[]
  readonly body: string | null
  /** With an Idempotency-Key, of each request its own. */
  readonly keyed?: boolean
  /** Any other status is a failure. */
  readonly expect: number
  readonly connections: number
  /**
   * `open`: requests are due at fixed times whatever became of the earlier ones. `closed`: each connection asks
   * again as soon as it was answered.
   */
  readonly pace: { readonly kind: 'open'; readonly perSecond: number } | { readonly kind: 'closed' }
  /** Before the measured time, under the same load; not counted. */
  readonly warmUpSeconds: number
  readonly seconds: number
}

export type LoadResult = {
  /** One for each counted request, in milliseconds; of a failed one the time until it had failed. */
  readonly latenciesMs: Float64Array
  readonly succeeded: number
  /** How many failed, by what happened: a status, or what became of the connection. */
  readonly failures: { readonly [how: string]: number }
  readonly seconds: number
  /** When the measured time began, in milliseconds since 1970. */
  readonly beganAtMs: number
}
