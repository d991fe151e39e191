/** Files for what a server shows once. What could not be kept is not asked for. */
import { constants, existsSync } from 'node:fs'
import { access, mkdir } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { ExitError } from '../program/exit-error.ts'

export const fileFailed = (path: string, error: unknown): ExitError =>
  new ExitError(1, `the file ${path}: ${(error as Error).message}`, { cause: error })

export const checkWritable = async (path: string): Promise<void> => {
  const directory = dirname(resolve(path))
  try {
    await mkdir(directory, { recursive: true })
    await access(directory, constants.W_OK | constants.X_OK)
  } catch (error) {
    throw fileFailed(path, error)
  }
}

/** Something that cannot be shown again may be in one that is there. */
export const checkNew = async (path: string | undefined): Promise<void> => {
  if (path === undefined) return
  if (existsSync(path)) throw new ExitError(2, `${path} is there already, and may hold another secret: name a new file`)
  await checkWritable(path)
}
