/**
 * What a session writes goes straight into a file, so that it never notices whether an agent lives. The file
 * is bounded by copying its end to a second one and emptying it: the session goes on appending to the same.
 */
import { constants, ftruncateSync, readSync, writeSync } from 'node:fs'
import { type FileHandle, open, rename, rm, stat } from 'node:fs/promises'
import { LAST_OUTPUT_BYTES, presentable } from '../runtime/observed.ts'
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

/** True when the file was emptied: its end is in the second file then, at least `limitBytes` of it. */
export const boundOutput = async (files: SessionFiles, limitBytes: number): Promise<boolean> => {
  const size = await outputSize(files)
  if (size <= limitBytes) return false
  const source = await open(files.output, 'r+')
  try {
    await moveEnd(source, files.earlierOutput, Math.max(0, size - limitBytes), size)
  } catch (error) {
    // No room for a copy: then the file has to be emptied most of all.
    await source.truncate(0)
    throw error
  } finally {
    await source.close()
  }
  return true
}

const CHUNK_BYTES = 256 * 1024
/** So that a session that writes faster than this copies does not hold everything up. */
const MOST_LATE_CHUNKS = 16

const moveEnd = async (source: FileHandle, to: string, from: number, size: number): Promise<void> => {
  const beside = `${to}.new`
  await rm(beside, { force: true })
  const target = await open(beside, 'wx', 0o600)
  try {
    const buffer = Buffer.alloc(CHUNK_BYTES)
    let at = from
    while (at < size) {
      const { bytesRead } = await source.read(buffer, 0, CHUNK_BYTES, at)
      if (bytesRead === 0) break
      await target.write(buffer, 0, bytesRead)
      at += bytesRead
    }
    await rename(beside, to)
    // What came meanwhile; then at once the end, as what is written in between is lost. Last words are what people look for.
    for (let late = 0; late < MOST_LATE_CHUNKS; late += 1) {
      const bytesRead = readSync(source.fd, buffer, 0, CHUNK_BYTES, at)
      if (bytesRead === 0) break
      writeSync(target.fd, buffer, 0, bytesRead)
      at += bytesRead
    }
    ftruncateSync(source.fd, 0)
  } finally {
    await target.close()
    await rm(beside, { force: true })
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

/** The end of what was written since `from`, for people: null when nothing was. */
export const lastOutput = async (files: SessionFiles, from: number): Promise<string | null> => {
  const recent = await readEnd(files.output, LAST_OUTPUT_BYTES, from)
  const missing = LAST_OUTPUT_BYTES - recent.length
  // Emptied a moment ago: what went before is in the other file. (Not when this life began after it: then all is here.)
  const earlier = from === 0 && missing > 0 ? await readEnd(files.earlierOutput, missing) : Buffer.alloc(0)
  return presentable(Buffer.concat([earlier, recent]))
}
