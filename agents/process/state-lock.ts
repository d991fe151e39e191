/**
 * One agent at a time works on a state directory. Each lays down a claim first, a file named after its pid
 * that says when the process was started, and only then looks at the claims of others: of two that come at the
 * same moment at least one sees the other. The claim of a process that is gone counts for nothing, so that
 * a killed agent leaves nothing to clean up by hand.
 */
import { readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { isAlive, readProcess } from './process-table.ts'
import { writeWhole } from './write-file.ts'

export type StateLock = { readonly release: () => Promise<void> }

const CLAIM = /^agent\.(\d+)\.lock$/
const ATTEMPTS = 20

export const lockStateDir = async (stateDir: string): Promise<StateLock> => {
  const path = join(stateDir, `agent.${process.pid}.lock`)
  const start = (await readProcess(process.pid))?.start
  if (start === undefined) throw new Error('cannot find out when this process was started (/proc or ps)')
  if (await holds(path, process.pid)) throw new StateDirectoryInUse(stateDir, process.pid)
  for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
    await writeWhole(path, start)
    const other = await otherClaim(stateDir)
    if (other === null) return { release: () => rm(path, { force: true }) }
    await rm(path, { force: true })
    if (attempt === ATTEMPTS) throw new StateDirectoryInUse(stateDir, other)
    // It may be doing just the same, and see this one.
    await wait(10 + Math.random() * 50)
  }
  throw new Error('unreachable')
}

export class StateDirectoryInUse extends Error {
  override readonly name = 'StateDirectoryInUse'

  constructor(stateDir: string, pid: number) {
    super(`another agent (process ${pid}) works on ${stateDir}; stop that one first, or choose another directory`)
  }
}

const holds = async (path: string, pid: number): Promise<boolean> => {
  const start = await readFile(path, 'utf8').catch(() => null)
  return start !== null && (await isAlive({ pid, start }))
}

const otherClaim = async (stateDir: string): Promise<number | null> => {
  for (const name of await readdir(stateDir)) {
    const pid = Number(CLAIM.exec(name)?.[1] ?? process.pid)
    if (pid === process.pid) continue
    if (await holds(join(stateDir, name), pid)) return pid
    await rm(join(stateDir, name), { force: true })
  }
  return null
}
