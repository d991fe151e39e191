/** Files that appear whole or not at all, also when the machine loses power. */
import { open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'

export const writeWhole = async (path: string, text: string, mode = 0o600): Promise<void> => {
  const beside = `${path}.new`
  await rm(beside, { force: true })
  const file = await open(beside, 'wx', mode)
  try {
    await file.writeFile(text)
    await file.sync()
  } catch (error) {
    // A disk that is full should not hold half a file as well.
    await rm(beside, { force: true })
    throw error
  } finally {
    await file.close()
  }
  await rename(beside, path)
  await syncDirectory(dirname(path))
}

const syncDirectory = async (path: string): Promise<void> => {
  const directory = await open(path, 'r')
  try {
    await directory.sync()
  } finally {
    await directory.close()
  }
}
