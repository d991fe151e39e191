/**
 * How much of the machine others used while something was measured: figures from a machine that was busy with
 * something else tell little, and nothing in the figures themselves shows it. Linux only (proc(5)).
 */
import { availableParallelism } from 'node:os'
import { MS_PER_TICK, processTimes, textOf } from './processes.ts'

/** In milliseconds. `busy` is the whole machine's, what a hypervisor took from it included; `own` is this program's. */
type Use = { readonly at: number; readonly busy: number; readonly own: number }

const busyMs = (): number => {
  const [user = 0, nice = 0, system = 0, , , interrupts = 0, softInterrupts = 0, stolen = 0] = (
    textOf('/proc/stat')?.split('\n')[0] ?? ''
  )
    .split(/ +/)
    .slice(1)
    .map(Number)
  return (user + nice + system + interrupts + softInterrupts + stolen) * MS_PER_TICK
}

/** This process and all it has started; the living tell of the ended. */
const ownMs = (): number => {
  const processes = processTimes()
  const parents = new Map(processes.map(({ pid, parent }) => [pid, parent]))
  const isOwn = (pid: number): boolean => {
    for (let at: number | undefined = pid; at !== undefined && at > 1; at = parents.get(at))
      if (at === process.pid) return true
    return false
  }
  return processes.reduce((sum, { pid, ms, endedChildrenMs }) => (isOwn(pid) ? sum + ms + endedChildrenMs : sum), 0)
}

export const machineUse = (): Use | null =>
  process.platform === 'linux' ? { at: performance.now(), busy: busyMs(), own: ownMs() } : null

/** The share of all cores that others used in between, in percent; null where it cannot be told. */
export const usedByOthers = (before: Use | null, after: Use | null): number | null => {
  if (before === null || after === null) return null
  const all = (after.at - before.at) * availableParallelism()
  const others = after.busy - before.busy - (after.own - before.own)
  return Math.round((Math.max(0, others) / all) * 100)
}
