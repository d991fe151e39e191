/** The files of one database server: made once, then kept. */
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { chown, mkdir, open, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Account } from './account.ts'
import type { Programs } from './programs.ts'
import { runInDirectory } from './run-in-directory.ts'

export const superuser = 'streamspace'

export type Cluster = {
  /** PostgreSQL's own data directory lies in it, as `data`, beside the password. */
  readonly directory: string
  readonly password: string
}

export const dataOf = (directory: string): string => join(directory, 'data')

/** Makes what is missing; touches nothing that is there. */
export const ensureCluster = async (directory: string, programs: Programs, account: Account): Promise<Cluster> => {
  await mkdir(directory, { recursive: true, mode: 0o700 })
  if (account.uid !== undefined && account.gid !== undefined) await chown(directory, account.uid, account.gid)

  const initialised = await exists(join(dataOf(directory), 'PG_VERSION'))
  const kept = await readPassword(directory)
  const password = kept ?? randomBytes(24).toString('base64url')
  if (kept === undefined) await writePassword(directory, password, account)

  if (!initialised) await initialise(directory, programs, account)
  else if (kept === undefined) await setPassword(directory, password, programs, account)
  return { directory, password }
}

const passwordFile = (directory: string): string => join(directory, 'password')

const readPassword = async (directory: string): Promise<string | undefined> => {
  const text = await readFile(passwordFile(directory), 'utf8').catch(absent)
  return text?.trim() || undefined
}

/** Whole or not at all: after a crash in between, a password half written would lock everyone out. */
const writePassword = async (directory: string, password: string, { uid, gid }: Account): Promise<void> => {
  const scratch = join(directory, 'password.new')
  await rm(scratch, { force: true })
  const file = await open(scratch, 'wx', 0o600)
  try {
    await writeFile(file, `${password}\n`)
    if (uid !== undefined && gid !== undefined) await file.chown(uid, gid)
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(scratch, passwordFile(directory))
}

/** Beside its place and then moved there, so that an initdb that was killed leaves no half database behind. */
const initialise = async (directory: string, programs: Programs, account: Account): Promise<void> => {
  const strangers = await readdir(dataOf(directory)).catch(absent)
  if (strangers !== undefined && strangers.length > 0) {
    throw new Error(
      `${dataOf(directory)} holds files that are not a PostgreSQL database. Move them away, or choose another ` +
        'directory with STREAMSPACE_DATA_DIR.',
    )
  }
  const scratch = join(directory, 'data.new')
  await rm(scratch, { recursive: true, force: true })
  await finished(
    'initdb',
    await runInDirectory({
      program: programs.initdb,
      directory,
      account,
      args: (at) => [
        `--pgdata=${at}/data.new`,
        `--pwfile=${at}/password`,
        `--username=${superuser}`,
        '--auth=scram-sha-256',
        '--encoding=UTF8',
        '--locale=C',
      ],
    }),
  )
  await rename(scratch, dataOf(directory))
}

/** Someone removed the password file: who may read the database's files may also set a new one. */
const setPassword = async (
  directory: string,
  password: string,
  programs: Programs,
  account: Account,
): Promise<void> => {
  const child = await runInDirectory({
    program: programs.postgres,
    directory,
    account,
    args: (at) => ['--single', '-D', `${at}/data`, 'postgres'],
    stdin: 'pipe',
  })
  child.stdin?.end(`ALTER ROLE ${superuser} PASSWORD '${password}'\n`)
  await finished('postgres --single', child)
}

const finished = async (what: string, child: Awaited<ReturnType<typeof runInDirectory>>): Promise<void> => {
  let output = ''
  const keep = (text: string): void => {
    output += text
  }
  child.stdout?.setEncoding('utf8').on('data', keep)
  child.stderr?.setEncoding('utf8').on('data', keep)
  const [status, signal] = (await once(child, 'close')) as [number | null, string | null]
  if (status !== 0) throw new Error(`${what} failed (${signal ?? `status ${status}`}):\n${output.trim()}`)
}

const exists = async (path: string): Promise<boolean> => (await readFile(path).catch(absent)) !== undefined

const absent = (error: NodeJS.ErrnoException): undefined => {
  if (error.code === 'ENOENT') return undefined
  throw error
}
