/** What can go wrong with the machine itself, and how that is said. */
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { messageOf } from '../runtime/log.ts'

const spoken: { readonly [code: string]: string } = {
  ENOSPC: 'the disk is full',
  EDQUOT: 'the disk quota is used up',
  EROFS: 'the disk can only be read',
  EACCES: 'permission denied',
  EPERM: 'not permitted',
  EMFILE: 'too many open files',
  ENFILE: 'too many open files on this machine',
  EAGAIN: 'no more processes can be started',
  ENOMEM: 'no memory is left on this machine',
}

const codeOf = (error: unknown): string => (error as NodeJS.ErrnoException | null)?.code ?? ''

export const describeTrouble = (error: unknown): string => {
  const known = spoken[codeOf(error)]
  return known === undefined ? messageOf(error) : `${known} (${messageOf(error)})`
}

/** Nothing can be started or recorded until somebody makes room. */
export const isFullDisk = (error: unknown): boolean => ['ENOSPC', 'EDQUOT', 'EROFS'].includes(codeOf(error))

export const canWrite = async (stateDir: string): Promise<boolean> => {
  const path = join(stateDir, '.room')
  try {
    await writeFile(path, 'x'.repeat(16 * 1024), { mode: 0o600 })
    return true
  } catch {
    return false
  } finally {
    await rm(path, { force: true }).catch(() => {})
  }
}
