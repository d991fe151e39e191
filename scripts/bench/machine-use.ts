/**
 * How much of the machine others used while something was measured: figures from a machine that was busy with
 * something else tell little, and nothing in the figures themselves shows it. Linux only (proc(5)).
 */
import { availableParallelism } from 'node:os'
import { MS_PER_TICK, type ProcessTime, processTimes, textOf } from './processes.ts'

type Use = {
  readonly at: number
  /** By pid, of each process that is not of this run: milliseconds, its ended children's included. */
  readonly others: ReadonlyMap<number, number>
  /** What a hypervisor took, in milliseconds. */
  readonly stolen: number
}

const INIT = 1
/** Threads of the kernel are children of this one: they work for whoever makes them. */
const KERNEL = 2

/** Engines that tests and measures start put themselves, and the parents of their containers, below init; their folders tell. */
const OF_OUR_ENGINES = /\/streamspace-test-/

/** This process and all it has started are of this run. */
const isOfThisRun = (pid: number, parents: ReadonlyMap<number, number>): boolean => {
  let at = pid
  for (;;) {
    if (at === process.pid || at === KERNEL) return true
    const parent = parents.get(at)
    if (parent === undefined) return false
    if (parent <= INIT) return at === INIT || OF_OUR_ENGINES.test(textOf(`/proc/${at}/cmdline`) ?? '')
    at = parent
  }
}

const usedMs = ({ ms, endedChildrenMs }: ProcessTime): number => ms + endedChildrenMs

const stolenMs = (): number => Number((textOf('/proc/stat')?.split('\n')[0] ?? '').split(/ +/)[8] ?? 0) * MS_PER_TICK

export const machineUse = (): Use | null => {
  if (process.platform !== 'linux') return null
  const processes = processTimes()
  const parents = new Map(processes.map(({ pid, parent }) => [pid, parent]))
  const others = processes.filter(({ pid }) => !isOfThisRun(pid, parents))
  return {
    at: performance.now(),
    others: new Map(others.map((other) => [other.pid, usedMs(other)])),
    stolen: stolenMs(),
  }
}

/** The share of all cores that others used in between, in percent; null where it cannot be told. */
export const usedByOthers = (before: Use | null, after: Use | null): number | null => {
  if (before === null || after === null) return null
  const all = (after.at - before.at) * availableParallelism()
  const ofOthers = [...after.others].reduce(
    (sum, [pid, ms]) => sum + Math.max(0, ms - (before.others.get(pid) ?? 0)),
    after.stolen - before.stolen,
  )
  return Math.round((ofOthers / all) * 100)
}
