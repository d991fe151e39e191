/**
 * The account that PostgreSQL runs as. It refuses to run as root; so for root this is the owner of the files
 * that are there already, else the system's own PostgreSQL account, else one that is made for it.
 */
import { execFile } from 'node:child_process'
import { stat } from 'node:fs/promises'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** Empty for everyone but root: programs then simply run as who we are. */
export type Account = { readonly uid?: number; readonly gid?: number }

export const isRoot = (): boolean => process.getuid?.() === 0

/** `files`: the database's own directory, which need not exist yet. */
export const accountFor = async (files: string): Promise<Account> => {
  const owner = await stat(files).catch(() => undefined)
  if (!isRoot()) {
    if (owner !== undefined && owner.uid !== process.getuid?.()) throw new Error(belongsToAnother(files, owner.uid))
    return {}
  }
  if (owner !== undefined && owner.uid !== 0) return { uid: owner.uid, gid: owner.gid }
  return (await named('postgres')) ?? (await named('_postgres')) ?? (await madeForIt())
}

const belongsToAnother = (files: string, uid: number): string =>
  `The embedded database in ${files} belongs to another user (uid ${uid}). Start the program as that user ` +
  'or as root, or choose another directory with STREAMSPACE_DATA_DIR.'

const named = async (user: string): Promise<Account | undefined> => {
  const number = async (flag: '-u' | '-g') => Number((await run('id', [flag, user])).stdout)
  return Promise.all([number('-u'), number('-g')]).then(
    ([uid, gid]) => ({ uid, gid }),
    () => undefined,
  )
}

const madeForIt = async (): Promise<Account> => {
  const flags = ['--system', '--user-group', '--no-create-home', '--shell', '/usr/sbin/nologin']
  const failure = await run('useradd', [...flags, 'postgres']).then(
    () => undefined,
    (error: Error) => error,
  )
  const account = await named('postgres')
  if (account !== undefined) return account
  throw new Error(
    'PostgreSQL does not run as root, and there is no user "postgres" to run it as. Make one ' +
      '(useradd --system postgres), start this program as an ordinary user, or set DATABASE_URL to a database of yours.',
    { cause: failure },
  )
}
