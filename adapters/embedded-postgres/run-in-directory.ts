/**
 * Starts PostgreSQL's programs on a directory that their account may not be able to reach by its name.
 *
 * Root's folders are usually closed to others (/root, everything from mktemp), and the database belongs to
 * another account. On Linux the directory is therefore opened by us and handed over as descriptor 3; its
 * account only needs rights on the directory itself. Opening the folders above it is not ours to do.
 */
import { type ChildProcess, type StdioOptions, spawn } from 'node:child_process'
import { open } from 'node:fs/promises'
import type { Account } from './account.ts'

export type Start = {
  readonly program: string
  readonly directory: string
  readonly account: Account
  /** The arguments, given what the program must call the directory. */
  readonly args: (directory: string) => readonly string[]
  readonly stdin?: 'pipe'
  /** In a session of its own, out of reach of the terminal's Ctrl-C. */
  readonly detached?: true
}

export const runInDirectory = async (start: Start): Promise<ChildProcess> => {
  const throughDescriptor = start.account.uid !== undefined && process.platform === 'linux'
  const handle = throughDescriptor ? await open(start.directory, 'r') : undefined
  const stdio: StdioOptions = [start.stdin ?? 'ignore', 'pipe', 'pipe', ...(handle === undefined ? [] : [handle.fd])]
  try {
    const child = spawn(start.program, start.args(handle === undefined ? start.directory : '/proc/self/fd/3'), {
      ...start.account,
      cwd: '/',
      // Messages that we read must not depend on the person's language; PG* would change what is started.
      env: { PATH: process.env.PATH, LC_ALL: 'C', TZ: 'UTC' },
      stdio,
      detached: start.detached ?? false,
    })
    await begun(child)
    return child
  } finally {
    await handle?.close()
  }
}

const begun = (child: ChildProcess): Promise<void> =>
  new Promise((resolve, reject) => {
    child.once('spawn', resolve)
    child.once('error', reject)
  })
