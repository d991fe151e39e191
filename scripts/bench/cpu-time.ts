/**
 * Processor time by part: where the time of an operation goes, on a machine whose cores all parts share. Unlike a
 * rate it hardly depends on who else uses the machine. Linux only (proc(5)); elsewhere nothing is told.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { median } from './percentiles.ts'

/** Milliseconds of user and system time so far, by part. */
export type CpuTimes = { readonly [part: string]: number }

export type Parts = { readonly [part: string]: readonly number[] }

/** In clock ticks, of which Linux has 100 a second wherever Node runs. */
const MS_PER_TICK = 10

type Stat = { readonly parent: number; readonly ticks: number }

const statOf = (pid: number | string): Stat | null => {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1')
    // Behind the program's name, which may contain anything: field 3 is the first.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
    return { parent: Number(fields[1]), ticks: Number(fields[11]) + Number(fields[12]) }
  } catch {
    return null
  }
}

/** Each part's processes and their children: PostgreSQL works in a process a connection. */
export const cpuTimes = (parts: Parts): CpuTimes | null => {
  if (process.platform !== 'linux') return null
  const stats = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      const stat = statOf(name)
      return stat === null ? [] : [{ pid: Number(name), ...stat }]
    })
  return Object.fromEntries(
    Object.entries(parts).map(([part, pids]) => [
      part,
      stats
        .filter(({ pid, parent }) => pids.includes(pid) || pids.includes(parent))
        .reduce((sum, { ticks }) => sum + ticks * MS_PER_TICK, 0),
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
