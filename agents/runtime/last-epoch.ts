/**
 * The highest epoch this agent was ever welcomed with, kept in a file. A server whose lease is below it was
 * restored from an older state, and must not take what it no longer remembers for orphans. An agent without
 * a disk to write on works all the same; only this one protection is gone.
 */
import { mkdir, open, readFile, rename } from 'node:fs/promises'
import { dirname } from 'node:path'
import { type Log, messageOf } from './log.ts'

export type LastEpoch = {
  readonly get: () => number | null
  /** Takes effect at once in `get`; the file follows. A lower one changes nothing. */
  readonly raise: (epoch: number) => void
  /** Resolves when what was raised so far is on disk, or could not be written. */
  readonly written: () => Promise<void>
}

const parse = (text: string): number | null => {
  const epoch = /^\d{1,16}\s*$/.test(text) ? Number(text) : Number.NaN
  return Number.isSafeInteger(epoch) ? epoch : null
}

const read = async (path: string, log: Log): Promise<number | null> => {
  try {
    const epoch = parse(await readFile(path, 'utf8'))
    if (epoch === null) log.warn({ path }, 'the file of the last epoch is damaged and was not used')
    return epoch
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT')
      log.warn({ path, error: messageOf(error) }, 'the last epoch could not be read')
    return null
  }
}

/** Written beside it and renamed: whoever is killed in between leaves the old file, never half of a new one. */
const write = async (path: string, epoch: number): Promise<void> => {
  await mkdir(dirname(path), { recursive: true })
  const beside = `${path}.${process.pid}.tmp`
  const file = await open(beside, 'w', 0o600)
  try {
    await file.writeFile(`${epoch}\n`)
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(beside, path)
}

export const openLastEpoch = async (path: string, log: Log): Promise<LastEpoch> => {
  let highest = await read(path, log)
  let onDisk = highest
  let writing: Promise<void> = Promise.resolve()

  const save = async (): Promise<void> => {
    if (highest === null || highest === onDisk) return
    const epoch = highest
    try {
      await write(path, epoch)
      onDisk = epoch
    } catch (error) {
      log.warn({ path, error: messageOf(error) }, 'the last epoch could not be written')
    }
  }

  return {
    get: () => highest,
    raise: (epoch) => {
      if (highest !== null && epoch <= highest) return
      highest = epoch
      writing = writing.then(save)
    },
    written: () => writing,
  }
}
