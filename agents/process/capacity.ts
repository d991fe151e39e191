/** What this machine can hold, or the container that the agent runs in. */
import { availableParallelism, totalmem } from 'node:os'
import type { WireCapacity } from '../protocol.ts'
import { capacityOf } from '../runtime/measured-capacity.ts'
import type { ProcessSettings } from './settings.ts'

export const measuredCapacity = (settings: ProcessSettings): WireCapacity => {
  // A container may be given less than the machine has; 0 or absurd: nobody limits it.
  const limit = process.constrainedMemory()
  const memoryBytes = limit > 0 && limit < totalmem() ? limit : totalmem()
  return capacityOf({ cores: availableParallelism(), memoryBytes }, settings)
}
