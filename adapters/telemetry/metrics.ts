/**
 * Metrics in the format that Prometheus reads. Each is asked for when somebody looks, so that nobody pays for what nobody
 * wants to know.
 */
import { Counter, Gauge, Registry } from 'prom-client'
import type { FeedDelay } from '../../domain/ports/feed.ts'
import type { Metrics } from '../../domain/ports/metrics.ts'

export type Measured = {
  /** null: nothing waits. */
  readonly feedDelay: () => Promise<FeedDelay | null>
  readonly watchers: () => number
  /** Since the start. */
  readonly watchersDropped: () => number
}

export const createMetrics = ({ feedDelay, watchers, watchersDropped }: Measured): Metrics => {
  const registry = new Registry()
  const registers = [registry]
  new Gauge({
    name: 'streamspace_feed_lag_seconds',
    help: 'Age of the oldest committed session event that watchers and webhooks do not see yet, as an older transaction is still open; blocking_pid is its PostgreSQL process.',
    labelNames: ['blocking_pid'],
    registers,
    async collect() {
      this.reset()
      // Without a database nobody knows.
      const delay = await feedDelay().catch(() => undefined)
      if (delay !== undefined) this.set({ blocking_pid: String(delay?.pid ?? '') }, (delay?.lagMs ?? 0) / 1_000)
    },
  })
  new Gauge({
    name: 'streamspace_watchers',
    help: 'Streams of GET /api/v1/watch that are open at this replica.',
    registers,
    collect() {
      this.set(watchers())
    },
  })
  new Counter({
    name: 'streamspace_watchers_dropped_total',
    help: 'Streams that this replica ended because their reader was too slow.',
    registers,
    collect() {
      this.reset()
      this.inc(watchersDropped())
    },
  })
  return { mediaType: registry.contentType, text: () => registry.metrics() }
}
