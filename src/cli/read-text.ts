import { readFile } from 'node:fs/promises'
import { text } from 'node:stream/consumers'
import { ExitError } from '../program/exit-error.ts'

/** A file that a person named; `-` is standard input. */
export const readText = async (path: string): Promise<string> => {
  if (path === '-') return text(process.stdin)
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    const why =
      code === 'ENOENT' ? 'there is no such file' : code === 'EISDIR' ? 'it is a directory, not a file' : message
    throw new ExitError(1, `${path}: ${why}`)
  }
}
