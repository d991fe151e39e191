/** A session's home belongs to the user that its program runs as. A new volume belongs to root. */
import { basename, dirname } from 'node:path/posix'
import type { ContainerSpec } from '../container/spec.ts'
import { isMissing } from './engine.ts'
import type { Session, Surroundings } from './session.ts'
import { firstFile, folderArchive } from './tar.ts'

/** Numbers, from the template, the image, or the image's own list of users when it names one. */
const userOf = async (
  around: Surroundings,
  session: Session,
  spec: ContainerSpec,
  imageUser: string,
): Promise<{ readonly uid: number; readonly gid: number }> => {
  if (spec.user !== null) return { uid: spec.user, gid: spec.user }
  const [user = '', group = ''] = imageUser.split(':')
  if (user === '') return { uid: 0, gid: 0 }
  if (/^\d+$/.test(user)) return { uid: Number(user), gid: /^\d+$/.test(group) ? Number(group) : 0 }
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
  session: Session,
  spec: ContainerSpec,
  imageUser: string,
): Promise<void> => {
  const { anchor } = session
  if (anchor === null) return
  const owner = await userOf(around, session, spec, imageUser)
  if (owner.uid === 0 && owner.gid === 0) return
  const { path } = spec.home
  await around.engine.putArchive(anchor.name, folderArchive(basename(path), { ...owner, mode: 0o755 }), dirname(path))
}
