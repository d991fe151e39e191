/**
 * The load generator, as a process of its own: neither what measures nor what is measured may disturb it.
 *
 * autocannon was looked at first. With a rate it sends a second's requests in one burst at the beginning of each
 * second and afterwards *corrects* a bucketed histogram for what it did not measure (coordinated omission);
 * here every request has a planned time of its own, latency counts from it, and percentiles are exact. It also
 * parses answers in JavaScript with a general HTTP parser, on the cores that are to be measured.
 */
import type { LoadPlan } from './plan.ts'
import { runLoad } from './run.ts'

process.on('disconnect', () => process.exit(0))
process.on('message', (plan: LoadPlan) => {
  void runLoad(plan).then((result) => process.send?.(result))
})
