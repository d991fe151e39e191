/** What the figures were taken on: without it they mean nothing. */
import { execFileSync } from 'node:child_process'
import { closeSync, fdatasyncSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs'
import { arch, availableParallelism, cpus, loadavg, platform, release, totalmem } from 'node:os'
import { join } from 'node:path'
import { distributionOf } from './percentiles.ts'

export type Machine = {
  readonly cpu: string
  readonly cores: number
  readonly memoryGib: number
  readonly system: string
  readonly node: string
  readonly commit: string | null
  /** Of the last minute, before anything was started: who else used this machine. */
  readonly loadBefore: number
  /** 8 KiB written and fdatasync'ed, in milliseconds: what a commit has to wait for. */
  readonly fdatasyncMs: { readonly p50: number; readonly p99: number }
  readonly inMemory: boolean
}

export const machineOf = (directory: string): Machine => {
  const { p50, p99 } = fdatasyncTimes(directory)
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: availableParallelism(),
    memoryGib: Math.round((totalmem() / 2 ** 30) * 10) / 10,
    system: `${platform()} ${release()} ${arch()}`,
    node: process.version,
    commit: commit(),
    loadBefore: loadavg()[0] ?? 0,
    fdatasyncMs: { p50, p99 },
    inMemory: isInMemory(directory),
  }
}

export const machineLines = (machine: Machine): string[] => [
  `${machine.cpu}, ${machine.cores} cores, ${machine.memoryGib} GiB; ${machine.system}; Node ${machine.node}`,
  `commit ${machine.commit ?? 'unknown'}; load before ${machine.loadBefore.toFixed(2)}; fdatasync of 8 KiB p50 ${machine.fdatasyncMs.p50.toFixed(2)} ms, p99 ${machine.fdatasyncMs.p99.toFixed(2)} ms`,
  ...(machine.inMemory ? ['WARNING: the files are in memory here, so that fsync costs nothing: no figure counts'] : []),
]

const commit = (): string | null => {
  try {
    const git = (...args: string[]) =>
      execFileSync('git', args, { cwd: import.meta.dirname, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
    const changed = git('status', '--porcelain').trim() !== ''
    return `${git('rev-parse', '--short', 'HEAD').trim()}${changed ? ' with uncommitted changes' : ''}`
  } catch {
    return null
  }
}

const fdatasyncTimes = (directory: string) => {
  const path = join(directory, 'fdatasync')
  const block = Buffer.alloc(8_192, 1)
  const file = openSync(path, 'w')
  try {
    const times = Array.from({ length: 200 }, (_, index) => {
      const began = performance.now()
      writeSync(file, block, 0, block.length, index * block.length)
      fdatasyncSync(file)
      return performance.now() - began
    })
    return distributionOf(times)
  } finally {
    closeSync(file)
    rmSync(path)
  }
}

/** tmpfs and ramfs, by the numbers of Linux's magic.h; elsewhere a file system is a disk. */
const IN_MEMORY = new Set([0x01021994, 0x858458f6])

const isInMemory = (directory: string): boolean => platform() === 'linux' && IN_MEMORY.has(statfsSync(directory).type)
