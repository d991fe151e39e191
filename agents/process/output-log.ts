/**
 * What a session writes goes straight into a file, so that it never notices whether an agent lives. The file
 * is bounded by copying its end to a second one and emptying it: the session goes on appending to the same.
 */
import { constants } from 'node:fs'
import { copyFile, open, rename, rm, stat, truncate } from 'node:fs/promises'
import type { SessionFiles } from './session-files.ts'

/** Opens the file for a session to append to. Its user may open it again, as `/dev/stdout`. */
export const openOutput = async (files: SessionFiles, uid: number | null) => {
  const file = await open(files.output, constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT, 0o600)
  if (uid !== null) await file.chown(uid, uid)
  return { fd: file.fd, size: (await file.stat()).size, close: () => file.close() }
}

export const outputSize = async (files: SessionFiles): Promise<number> =>
  stat(files.output).then(
    ({ size }) => size,
    () => 0,
  )

/** True when the file was emptied. What is written between copying and emptying is lost. */
export const boundOutput = async (files: SessionFiles, limitBytes: number): Promise<boolean> => {
  const size = await outputSize(files)
  if (size <= limitBytes) return false
  try {
    await copyEnd(files.output, files.earlierOutput, size, limitBytes)
  } finally {
    // Also when there is no room for the copy: then most of all.
    await truncate(files.output, 0)
  }
  return true
}

const copyEnd = async (from: string, to: string, size: number, limitBytes: number): Promise<void> => {
  const beside = `${to}.new`
  await rm(beside, { force: true })
  try {
    if (size <= 2 * limitBytes) await copyFile(from, beside)
    else {
      const target = await open(beside, 'wx', 0o600)
      try {
        await target.writeFile(await readEnd(from, limitBytes, size - limitBytes))
      } finally {
        await target.close()
      }
    }
    await rename(beside, to)
  } catch (error) {
    await rm(beside, { force: true })
    throw error
  }
}

/** At most the last `maxBytes` from `since` on. */
const readEnd = async (path: string, maxBytes: number, since = 0): Promise<Buffer> => {
  const file = await open(path, 'r').catch(() => null)
  if (file === null) return Buffer.alloc(0)
  try {
    const { size } = await file.stat()
    const from = Math.max(since > size ? 0 : since, size - maxBytes)
    const buffer = Buffer.alloc(Math.max(0, Math.min(maxBytes, size - from)))
    const { bytesRead } = await file.read(buffer, 0, buffer.length, from)
    return buffer.subarray(0, bytesRead)
  } finally {
    await file.close()
  }
}

export const LAST_OUTPUT_BYTES = 4_096

/** The end of what was written since `from`, for people: null when nothing was. */
export const lastOutput = async (files: SessionFiles, from: number): Promise<string | null> => {
  const recent = await readEnd(files.output, LAST_OUTPUT_BYTES, from)
  const missing = LAST_OUTPUT_BYTES - recent.length
  // Emptied a moment ago: what went before is in the other file. (Not when this life began after it: then all is here.)
  const earlier = from === 0 && missing > 0 ? await readEnd(files.earlierOutput, missing) : Buffer.alloc(0)
  return presentable(Buffer.concat([earlier, recent]))
}

/** Begins at a whole character, has no NUL, and is well-formed. */
export const presentable = (bytes: Buffer): string | null => {
  let start = 0
  if (bytes.length === LAST_OUTPUT_BYTES) while (start < 4 && ((bytes[start] ?? 0) & 0xc0) === 0x80) start += 1
  const text = bytes.subarray(start).toString('utf8').replaceAll('\u0000', '')
  return text.trim() === '' ? null : text
}
