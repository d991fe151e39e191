/** All measures, in the order in which they run. */
import type { Measure } from '../measure.ts'
import { auth } from './auth.ts'
import { createLatency } from './create-latency.ts'
import { createRateOfEight, createRateOfEightOrgs, createRateOfOne, createRateOfOneOrg } from './create-rate.ts'
import { deliveryByJobs, deliveryByNudge } from './delivery.ts'
import { drain } from './drain.ts'
import { getSession } from './get.ts'
import { idempotency } from './idempotency.ts'
import { idleAgents } from './idle-agents.ts'
import { idleMemory } from './idle-memory.ts'
import { laneCost } from './lane-cost.ts'
import { lists } from './lists.ts'
import { neighbours } from './neighbours.ts'
import { platforms } from './platforms/all.ts'
import { processAgent } from './process-agent.ts'
import { acrossReplicas } from './replicas.ts'
import { start } from './start.ts'
import { statuses } from './statuses.ts'
import { stormOfAgents } from './storm.ts'
import { watchFew, watchMany } from './watch.ts'

export const measures: readonly Measure[] = [
  createLatency,
  deliveryByNudge,
  deliveryByJobs,
  createRateOfEight,
  createRateOfOne,
  createRateOfOneOrg,
  createRateOfEightOrgs,
  idempotency,
  auth,
  getSession,
  lists,
  start,
  idleMemory,
  processAgent,
  acrossReplicas,
  drain,
  neighbours,
  idleAgents,
  statuses,
  laneCost,
  stormOfAgents,
  watchFew,
  watchMany,
  ...platforms,
]
