/**
 * As root each session has a user of its own: a number without a name. Numbers are given out in turn, so that
 * what a session left in a common place (/tmp) does not fall to the next one soon; and claimed for the whole
 * machine, as everything that runs under a session's number is ended with it.
 */
import { randomUUID } from 'node:crypto'
import { link, mkdir, open, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { readProcessTable, realUidOf } from './process-table.ts'
import type { UidRange } from './settings.ts'
import { writeWhole } from './write-file.ts'

export type Uids = {
  /** A number that nobody has, claimed for the session whose folder this is. */
  readonly allocate: (sessionDir: string) => Promise<number>
  /** Claims the number that a session has had; false: somebody else has it now. */
  readonly claim: (uid: number, sessionDir: string) => Promise<boolean>
  readonly release: (uid: number) => Promise<void>
}

/** The machine's folder, or where that cannot be written (a read-only container) one of this agent's own. */
const makeClaimsDir = (wished: string, stateDir: string): Promise<string> => {
  const make = (path: string): Promise<string> => mkdir(path, { recursive: true, mode: 0o700 }).then(() => path)
  return make(wished).catch(() => make(join(stateDir, 'uids')))
}

export const openUids = async (stateDir: string, wishedClaimsDir: string, range: UidRange): Promise<Uids> => {
  const claimsDir = await makeClaimsDir(wishedClaimsDir, stateDir)
  const counterFile = join(stateDir, 'next-uid')
  const size = range.last - range.first + 1
  const read = Number(await readFile(counterFile, 'utf8').catch(() => ''))
  let next = read >= range.first && read <= range.last ? read : range.first + Math.trunc(Math.random() * size)
  const delegated = await delegatedRanges()
  let turn: Promise<unknown> = Promise.resolve()

  const claimFile = (uid: number): string => join(claimsDir, String(uid))

  const claim = async (uid: number, sessionDir: string): Promise<boolean> => {
    const path = claimFile(uid)
    for (let attempt = 0; attempt < 2; attempt += 1) {
      try {
        const file = await open(path, 'wx', 0o600)
        await file.writeFile(sessionDir).finally(() => file.close())
        return true
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
      }
      const holder = await readFile(path, 'utf8').catch(() => '')
      if (holder === sessionDir) return true
      if (holder === '' || (await stillThere(holder))) return false
      // Its session is gone without having given it back.
      if (!(await takeAway(path, holder))) return false
    }
    return false
  }

  const allocateOne = async (sessionDir: string): Promise<number> => {
    const inUse = new Set((await readProcessTable()).map(realUidOf))
    for (let tried = 0; tried < size; tried += 1) {
      const uid = next
      next = next === range.last ? range.first : next + 1
      if (inUse.has(uid) || delegated.some(({ first, last }) => uid >= first && uid <= last)) continue
      if (!(await claim(uid, sessionDir))) continue
      await writeWhole(counterFile, `${next}\n`)
      return uid
    }
    throw new Error(`no uid from ${range.first} to ${range.last} is free; STREAMSPACE_PROCESS_UIDS chooses other ones`)
  }

  return {
    allocate: (sessionDir) => {
      const allocated = turn.then(() => allocateOne(sessionDir))
      turn = allocated.catch(() => {})
      return allocated
    },
    claim,
    release: (uid) => rm(claimFile(uid), { force: true }),
  }
}

/** A claim that nobody holds any more. False: somebody else was quicker, and it is theirs; it is put back. */
const takeAway = async (path: string, stale: string): Promise<boolean> => {
  const aside = `${path}.${randomUUID()}`
  try {
    await rename(path, aside)
    if ((await readFile(aside, 'utf8')) === stale) return true
    // The same file, as its owner may still be writing it.
    await link(aside, path)
    return false
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') return true
    if (code === 'EEXIST') return false
    throw error
  } finally {
    await rm(aside, { force: true })
  }
}

const stillThere = async (sessionDir: string): Promise<boolean> =>
  readFile(join(sessionDir, 'record.json')).then(
    () => true,
    () => false,
  )

/** Numbers that people's own containers use (subuid(5)): `name:first:count`. */
const delegatedRanges = async (): Promise<readonly UidRange[]> => {
  const texts = await Promise.all(['/etc/subuid', '/etc/subgid'].map((path) => readFile(path, 'utf8').catch(() => '')))
  return texts
    .flatMap((text) => text.split('\n'))
    .flatMap((line) => {
      const [, first, count] = line.split(':').map(Number)
      return first !== undefined && count !== undefined && count > 0 ? [{ first, last: first + count - 1 }] : []
    })
}
