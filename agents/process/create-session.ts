/** The beginning of a session: who it runs as, where it is kept, and a record that says so. */
import { randomBytes } from 'node:crypto'
import { lstat } from 'node:fs/promises'
import type { Target } from '../runtime/platform.ts'
import type { Registry } from './registry.ts'
import { filesOf, makeFolders, removeAll } from './session-files.ts'
import { type Life, lifeOf, type Surroundings, save } from './session-life.ts'
import type { SessionRecord } from './session-record.ts'
import type { Uids } from './uids.ts'

/** The record first: whatever is made after it can be found and removed. */
export const createSession = async (
  around: Surroundings,
  registry: Registry,
  { sessionId, generation, desired }: Target,
): Promise<Life> => {
  const files = filesOf(around.host, sessionId)
  const uid = around.uids === null ? null : await uidFor(around.uids, files)
  const record: SessionRecord = {
    version: 1,
    sessionId,
    generation,
    desired,
    settled: false,
    phase: 'down',
    uid,
    home: files.home,
    accessToken: randomBytes(32).toString('base64url'),
    ports: {},
    run: null,
    restarts: 0,
    retries: 0,
    observed: { status: 'starting', reason: 'starting' },
  }
  const life = lifeOf(record, files)
  try {
    await makeFolders(around.host, files)
    await save(life, {})
  } catch (error) {
    await removeAll(files).catch(() => {})
    if (uid !== null) await around.uids?.release(uid)
    throw error
  }
  registry.lives.set(sessionId, life)
  await around.step('recorded')
  return life
}

/** A home whose record was lost belongs to somebody already. */
const uidFor = async (uids: Uids, files: { readonly dir: string; readonly home: string }): Promise<number> => {
  const owner = await lstat(files.home).then(
    ({ uid }) => uid,
    () => 0,
  )
  if (owner !== 0 && (await uids.claim(owner, files.dir))) return owner
  return uids.allocate(files.dir)
}
