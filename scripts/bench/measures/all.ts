/** All measures, in the order in which they run. */
import type { Measure } from '../measure.ts'
import { createLatency } from './create-latency.ts'
import { createRateOfEight, createRateOfOne } from './create-rate.ts'
import { deliveryByJobs, deliveryByNudge } from './delivery.ts'
import { getSession } from './get.ts'
import { idleMemory } from './idle-memory.ts'
import { processAgent } from './process-agent.ts'
import { start } from './start.ts'

export const measures: readonly Measure[] = [
  createLatency,
  deliveryByNudge,
  deliveryByJobs,
  createRateOfEight,
  createRateOfOne,
  getSession,
  start,
  idleMemory,
  processAgent,
]
