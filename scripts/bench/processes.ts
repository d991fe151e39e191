/** The processes of this machine and what they use: processor time from proc(5), Linux only; memory from ps. */
import { execFile } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { promisify } from 'node:util'

export type ProcessTime = {
  readonly pid: number
  readonly parent: number
  /** User and system time of the process itself. */
  readonly ms: number
  /** Of children that have ended and were waited for, theirs among it. */
  readonly endedChildrenMs: number
}

/** Of a clock tick: Linux has 100 a second wherever Node runs. */
export const MS_PER_TICK = 10

export const textOf = (path: string): string | null => {
  try {
    return readFileSync(path, 'latin1')
  } catch {
    return null
  }
}

export const processTimes = (): readonly ProcessTime[] =>
  readdirSync('/proc').flatMap((name) => {
    const stat = /^\d+$/.test(name) ? textOf(`/proc/${name}/stat`) : null
    if (stat === null) return []
    // Behind the program's name, which may contain anything; the first of these is field 3.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    const ticks = (...indexes: number[]) => indexes.reduce((sum, index) => sum + Number(fields[index]), 0)
    return [
      {
        pid: Number(name),
        parent: Number(fields[1]),
        ms: ticks(11, 12) * MS_PER_TICK,
        endedChildrenMs: ticks(13, 14) * MS_PER_TICK,
      },
    ]
  })

/** Of Linux and macOS alike; ps tells kibibytes. */
export const residentMib = async (pid: number): Promise<number> => {
  const { stdout } = await promisify(execFile)('ps', ['-o', 'rss=', '-p', String(pid)])
  return Number(stdout.trim()) / 1_024
}
