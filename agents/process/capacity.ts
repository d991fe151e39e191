/**
 * What this machine can hold. Memory is limited, and so is promised only once: four fifths of it, the rest
 * is for the system, the agent and (with `npm start`) the database. CPU is not limited by this platform, and
 * sessions that people sit at are idle most of the time: a core is promised eight times.
 */
import { availableParallelism, totalmem } from 'node:os'
import type { WireCapacity } from '../protocol.ts'
import type { ProcessSettings } from './settings.ts'

const MEMORY_SHARE = 0.8
const CPU_OVERCOMMIT = 8
const SESSIONS_PER_CORE = 32
const FEWEST_SESSIONS = 64

export const measuredCapacity = (settings: ProcessSettings): WireCapacity => {
  const cores = availableParallelism()
  // A container may be given less than the machine has; 0 or absurd: nobody limits it.
  const limit = process.constrainedMemory()
  const memory = limit > 0 && limit < totalmem() ? limit : totalmem()
  return {
    maxSessions: settings.maxSessions ?? Math.max(FEWEST_SESSIONS, cores * SESSIONS_PER_CORE),
    cpuMillis: settings.cpuMillis ?? cores * 1000 * CPU_OVERCOMMIT,
    memoryMib: settings.memoryMib ?? Math.floor((memory * MEMORY_SHARE) / (1024 * 1024)),
  }
}
