/**
 * Processor time by part: where the time of an operation goes, on a machine whose cores all parts share. It depends
 * far less than a rate on who else uses the machine. Linux only; elsewhere nothing is told.
 */
import { median } from './percentiles.ts'
import { processTimes } from './processes.ts'

/** Milliseconds of user and system time so far, by part. */
export type CpuTimes = { readonly [part: string]: number }

export type Parts = { readonly [part: string]: readonly number[] }

/** Each part's processes and their children: PostgreSQL works in a process a connection. */
export const cpuTimes = (parts: Parts): CpuTimes | null => {
  if (process.platform !== 'linux') return null
  const processes = processTimes()
  return Object.fromEntries(
    Object.entries(parts).map(([part, pids]) => [
      part,
      processes
        .filter(({ pid, parent }) => pids.includes(pid) || pids.includes(parent))
        .reduce((sum, { ms }) => sum + ms, 0),
    ]),
  )
}

/** Of each of so many operations, in milliseconds. */
export const cpuPer = (before: CpuTimes | null, after: CpuTimes | null, operations: number): CpuTimes =>
  before === null || after === null
    ? {}
    : Object.fromEntries(
        Object.entries(after).map(([part, ms]) => [part, round((ms - (before[part] ?? 0)) / operations)]),
      )

export const medianCpu = (all: readonly CpuTimes[]): CpuTimes =>
  Object.fromEntries(Object.keys(all[0] ?? {}).map((part) => [part, median(all.map((times) => times[part] ?? 0))]))

const round = (ms: number): number => Math.round(ms * 1_000) / 1_000

export const cpuNote = (times: CpuTimes): string => {
  const parts = Object.entries(times).filter(([, ms]) => ms > 0)
  if (parts.length === 0) return ''
  const total = parts.reduce((sum, [, ms]) => sum + ms, 0)
  return `CPU ms each: ${parts.map(([part, ms]) => `${part} ${ms.toFixed(2)}`).join(', ')}; all ${total.toFixed(2)}`
}
