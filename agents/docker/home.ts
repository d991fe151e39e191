/** A session's home belongs to the user that its program runs as. A new volume belongs to root. */
import { basename, dirname } from 'node:path/posix'
import type { ContainerSpec } from '../container/spec.ts'
import { isMissing } from './engine.ts'
import type { Session, Surroundings } from './session.ts'
import { firstFile, folderArchive } from './tar.ts'

type Owner = { readonly uid: number; readonly gid: number }

/** Numbers, from the template or the image; null: the image has a name, and its own list of users says whose. */
export const ownerOf = (spec: ContainerSpec, imageUser: string): Owner | null => {
  if (spec.user !== null) return { uid: spec.user, gid: spec.user }
  const [user = '', group = ''] = imageUser.split(':')
  if (user === '') return { uid: 0, gid: 0 }
  return /^\d+$/.test(user) ? { uid: Number(user), gid: /^\d+$/.test(group) ? Number(group) : 0 } : null
}

/** The session's container has to be there: the list is read from it. */
export const ownerByName = async (around: Surroundings, session: Session, imageUser: string): Promise<Owner> => {
  const [user = ''] = imageUser.split(':')
  const entry = (await passwd(around, session)).split('\n').find((line) => line.startsWith(`${user}:`))
  const [, , uid = '0', gid = '0'] = entry?.split(':') ?? []
  return { uid: Number(uid), gid: Number(gid) }
}

const passwd = async (around: Surroundings, { workload }: Session): Promise<string> => {
  try {
    const archive = await around.engine.getArchive(workload?.name ?? '', '/etc/passwd')
    return firstFile(archive)?.toString('utf8') ?? ''
  } catch (error) {
    if (isMissing(error)) return ''
    throw error
  }
}

/** Through the anchor, which has the home mounted too, and whose own files nobody made read-only. */
export const giveHome = async (
  around: Surroundings,
  { anchor }: Session,
  spec: ContainerSpec,
  owner: Owner,
): Promise<void> => {
  if (anchor === null) return
  if (owner.uid === 0 && owner.gid === 0) return
  const { path } = spec.home
  await around.engine.putArchive(anchor.name, folderArchive(basename(path), { ...owner, mode: 0o755 }), dirname(path))
}
