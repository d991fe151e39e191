/** Files that hold a secret: only their owner may read them, and they appear whole or not at all. */
import { randomUUID } from 'node:crypto'
import { chmod, link, mkdir, open, readFile, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'

export const readPrivateFile = async (path: string): Promise<string | null> => {
  try {
    return (await readFile(path, 'utf8')).trim()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
}

/** Replaces the file. */
export const writePrivateFile = async (path: string, text: string): Promise<void> => {
  const temporary = await written(path, text)
  try {
    await rename(temporary, path)
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  }
}

/** Makes the file unless it is there. Of several that try at once one wins; all get what the file has then. */
export const ensurePrivateFile = async (path: string, text: string): Promise<string> => {
  const temporary = await written(path, text)
  try {
    await link(temporary, path)
    return text
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    return (await readPrivateFile(path)) ?? text
  } finally {
    await rm(temporary, { force: true })
  }
}

const written = async (path: string, text: string): Promise<string> => {
  await mkdir(dirname(path), { recursive: true })
  const temporary = `${path}.${randomUUID()}.tmp`
  const file = await open(temporary, 'wx', 0o600)
  try {
    await file.writeFile(`${text}\n`)
    await file.sync()
    await chmod(temporary, 0o600)
  } finally {
    await file.close()
  }
  return temporary
}
