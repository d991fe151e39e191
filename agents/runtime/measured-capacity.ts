/**
 * What a machine can hold. Memory is limited, and so is promised only once: four fifths of it, the rest is for the
 * system, the agent and (with `npm start`) the database. Sessions that people sit at are idle most of the time: a
 * core is promised eight times.
 */
import type { WireCapacity } from '../protocol.ts'

const MEMORY_SHARE = 0.8
const CPU_OVERCOMMIT = 8
const SESSIONS_PER_CORE = 32
const FEWEST_SESSIONS = 64

export type CapacitySettings = {
  readonly maxSessions?: number
  readonly cpuMillis?: number
  readonly memoryMib?: number
}

export const capacityOf = (
  machine: { readonly cores: number; readonly memoryBytes: number },
  settings: CapacitySettings,
): WireCapacity => ({
  maxSessions: settings.maxSessions ?? Math.max(FEWEST_SESSIONS, machine.cores * SESSIONS_PER_CORE),
  cpuMillis: settings.cpuMillis ?? machine.cores * 1000 * CPU_OVERCOMMIT,
  memoryMib: settings.memoryMib ?? Math.floor((machine.memoryBytes * MEMORY_SHARE) / (1024 * 1024)),
})
