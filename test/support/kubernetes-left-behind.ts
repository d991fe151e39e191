/**
 * Clusters of runs that were killed: there can be one with a node on a machine, so what is left of such a run would
 * fail every later one.
 */
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { engineFolders } from './engine-folder.ts'

const PREFIX = 'streamspace-test-kube-'

/** What the folder of this run's cluster begins with: whose it is. */
export const clusterFolder = `${PREFIX}${process.pid}-`

/** `down`: as `kube down DIR`, which ends the processes that `DIR/pids` names and removes what else it has made. */
export const takeDownLeftBehind = async (down: (folder: string) => Promise<unknown>): Promise<void> => {
  for (const place of engineFolders)
    for (const name of await readdir(place).catch(() => []))
      if (name.startsWith(PREFIX) && !(await isOfARun(name))) await takeDown(join(place, name), down)
}

const takeDown = async (folder: string, down: (folder: string) => Promise<unknown>): Promise<void> => {
  const pids = join(folder, 'pids')
  const lines = (await readFile(pids, 'utf8').catch(() => '')).split('\n').filter((line) => line !== '')
  if (lines.length === 0) return
  // Since then their numbers may have been given to others.
  const still = await Promise.all(lines.map(async (line) => line.startsWith('0 ') || (await isOf(folder, line))))
  await writeFile(
    pids,
    lines
      .filter((_, at) => still[at])
      .map((line) => `${line}\n`)
      .join(''),
  )
  await down(folder)
}

const commandOf = (pid: string | undefined): Promise<string> =>
  readFile(`/proc/${Number(pid)}/cmdline`, 'utf8').catch(() => '')

const isOf = async (folder: string, line: string): Promise<boolean> =>
  (await commandOf(line.split(' ')[0])).includes(folder)

const isOfARun = async (name: string): Promise<boolean> =>
  (await commandOf(/^(\d+)-/.exec(name.slice(PREFIX.length))?.[1])).includes('node')
