/**
 * A state directory that another user made: root must own what root trusts, or that user could tell it what
 * to run and whose files to give away. Homes stay whose they are, until their session is started again.
 */
import { lchown, lstat, readdir } from 'node:fs/promises'
import { join } from 'node:path'

export const takeOwnership = async (stateDir: string): Promise<void> => {
  if ((await lstat(stateDir)).uid === 0) return
  await take(stateDir)
}

const take = async (path: string): Promise<void> => {
  await lchown(path, 0, 0)
  if (!(await lstat(path)).isDirectory()) return
  for (const name of await readdir(path)) if (name !== 'home') await take(join(path, name))
}
