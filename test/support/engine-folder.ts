/**
 * Where engines of tests keep what nobody needs afterwards: in memory, where there is plenty, as it is their disk that
 * most of those tests wait for.
 */
import { statfsSync } from 'node:fs'
import { tmpdir } from 'node:os'

const SHARED_MEMORY = '/dev/shm'
const FREE_BYTES = 4 * 2 ** 30

export const engineFolders: readonly string[] = [SHARED_MEMORY, tmpdir()]

export const engineFolder = (): string => {
  try {
    const { bavail, bsize } = statfsSync(SHARED_MEMORY)
    if (bavail * bsize > FREE_BYTES && process.availableMemory() > 2 * FREE_BYTES) return SHARED_MEMORY
  } catch {
    // There is no such thing here.
  }
  return tmpdir()
}
