/**
 * One program at a time works on a data directory.
 *
 * Each program that wants the directory first lays down a claim, a file `lock.<pid>.<start of the process>`,
 * and only then looks at the other claims. Of two that come at the same moment at least one sees the other, so
 * never do both get in; both withdraw then and try again after a random while. A single lock file could not do
 * this: two programs that both find it stale may each remove the other's fresh one.
 *
 * The claim of a process that is gone counts for nothing and is swept away, so a kill -9 leaves nothing to
 * clean up by hand. As the start of the process is part of the name, a dead claim can never be mistaken for
 * the fresh one of a process that came by the same pid.
 */
import { link, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { startOf } from './process-identity.ts'

export type DataDirectoryLock = { release(): Promise<void> }

type Claim = {
  readonly file: string
  readonly pid: number
  readonly since: string
  /** False while its owner still looks around. */
  readonly held: boolean
}

const claimFile = /^lock\.(\d+)\.([\w-]+)$/
const attempts = 20

export class DataDirectoryInUse extends Error {
  override readonly name = 'DataDirectoryInUse'
  readonly pid: number

  constructor(directory: string, { pid, since }: Pick<Claim, 'pid' | 'since'>) {
    super(
      pid === process.pid
        ? `The data directory ${directory} is already in use by this very process.`
        : `The data directory ${directory} is in use by process ${pid} (since ${since}). ` +
            `Stop that one first (kill ${pid}), or choose another directory with STREAMSPACE_DATA_DIR.`,
    )
    this.pid = pid
  }
}

/** Makes the directory where needed (0700). Throws `DataDirectoryInUse` when a living process has it. */
export const lockDataDirectory = async (directory: string): Promise<DataDirectoryLock> => {
  await mkdir(directory, { recursive: true, mode: 0o700 }).catch(explained(directory))
  for (let attempt = 1; ; attempt += 1) {
    const mine = await layDown(directory)
    const withdraw = (): Promise<void> => rm(join(directory, mine.file), { force: true })
    const other = await someoneElse(directory, mine).catch(async (error) => {
      await withdraw()
      throw error
    })
    if (other === undefined) {
      await writeClaim(directory, { ...mine, held: true }, rename)
      return { release: withdraw }
    }
    await withdraw()
    if (other.held || attempt === attempts) throw new DataDirectoryInUse(directory, other)
    await wait(20 + Math.random() * 100)
  }
}

const layDown = async (directory: string): Promise<Claim> => {
  const started = await startOf(process.pid)
  if (started === undefined) throw new Error('Cannot find out when this process was started (from /proc or ps).')
  const since = new Date().toISOString()
  const claim = { file: `lock.${process.pid}.${inFileName(started)}`, pid: process.pid, since, held: false }
  await writeClaim(directory, claim, link).catch((error) => {
    if (error.code === 'EEXIST') throw new DataDirectoryInUse(directory, claim)
    return explained(directory)(error)
  })
  return claim
}

const explained =
  (directory: string) =>
  (error: NodeJS.ErrnoException): never => {
    if (error.code !== 'EACCES' && error.code !== 'EROFS' && error.code !== 'EPERM') throw error
    throw new Error(
      `Cannot write to the data directory ${directory} (${error.code}). Start this program as the user that it ` +
        'belongs to, or choose another directory with STREAMSPACE_DATA_DIR.',
      { cause: error },
    )
  }

const inFileName = (started: string): string => started.replaceAll(/[^\w]+/g, '-')

/** A claim appears whole or not at all, by a link (which refuses a file that is there) or a rename. */
const writeClaim = async (directory: string, claim: Claim, appear: typeof link | typeof rename): Promise<void> => {
  const scratch = join(directory, `.${claim.file}.${Math.random().toString(36).slice(2)}`)
  await writeFile(scratch, `${JSON.stringify({ since: claim.since, held: claim.held })}\n`, { mode: 0o600, flag: 'wx' })
  await appear(scratch, join(directory, claim.file)).finally(() => rm(scratch, { force: true }))
}

const someoneElse = async (directory: string, mine: Claim): Promise<Claim | undefined> => {
  const names = (await readdir(directory)).filter((name) => name !== mine.file)
  const claims = await Promise.all(names.map((name) => livingClaim(directory, name)))
  return claims.find((claim) => claim !== undefined)
}

const livingClaim = async (directory: string, file: string): Promise<Claim | undefined> => {
  const [, pid, started] = claimFile.exec(file) ?? []
  if (pid === undefined || started === undefined) return undefined
  const startedNow = await startOf(Number(pid))
  if (startedNow === undefined || inFileName(startedNow) !== started) {
    await rm(join(directory, file), { force: true })
    return undefined
  }
  const text = await readFile(join(directory, file), 'utf8').catch((error) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
  return text === undefined
    ? undefined
    : { file, pid: Number(pid), ...(JSON.parse(text) as { since: string; held: boolean }) }
}
