/**
 * A session's anchor: a container that is never started. Its labels say what was asked, its name how far it came, and
 * it holds the session's home, which cannot be removed while it is there.
 */
import { randomBytes } from 'node:crypto'
import type { Target } from '../runtime/platform.ts'
import { isMissing, isStatus } from './engine.ts'
import { type Anchor, anchorLabels, anchorName, anchorOf, homeVolume, label, type Progress } from './names.ts'
import { ANCHOR_IMAGE } from './ownership.ts'
import type { Session, Surroundings } from './session.ts'

const newAccessToken = (): string => randomBytes(32).toString('base64url')

const optionsOf = (
  around: Surroundings,
  { id }: Session,
  target: Omit<Target, 'sessionId'>,
  accessToken: string,
  home: string | null,
) => {
  const { agentId } = around.settings
  const { generation, desired } = target
  return {
    Image: ANCHOR_IMAGE,
    Cmd: ['/none'],
    Labels: anchorLabels(agentId, id, generation, desired, accessToken) as Record<string, string>,
    HostConfig: {
      NetworkMode: 'none',
      VolumesFrom: [around.ownership.volumesFrom()],
      Mounts:
        home === null
          ? []
          : [
              {
                Type: 'volume' as const,
                Source: homeVolume(id),
                Target: home,
                VolumeOptions: {
                  NoCopy: true,
                  Labels: { [label.agent]: agentId, [label.session]: id },
                  DriverConfig: { Name: 'local', Options: {} },
                },
              },
            ],
    },
  }
}

/** Creates it, or finds the one that an attempt before made whose answer was lost. */
const createAnchor = async (
  around: Surroundings,
  name: string,
  options: ReturnType<typeof optionsOf>,
): Promise<string> => {
  try {
    return await around.engine.create(name, options)
  } catch (error) {
    if (!isStatus(error, 409)) throw error
    return (await around.engine.inspect(name)).id
  }
}

/** Writes down what is asked for, and takes the place of what was written before. `home`: where it is mounted; null: not at all. */
export const anchorAt = async (
  around: Surroundings,
  session: Session,
  target: Omit<Target, 'sessionId'>,
  progress: Progress,
  home: string | null,
): Promise<Anchor> => {
  const { generation, desired } = target
  const before = session.anchor
  const accessToken = before?.accessToken || newAccessToken()
  const name = anchorName(around.ownership.token(), session.id, generation, progress)
  const id = await createAnchor(around, name, optionsOf(around, session, target, accessToken, home))
  await around.step('anchored')
  const anchor = { sessionId: session.id, generation, desired, accessToken, progress, name, id }
  session.anchor = anchor
  // Written again under the same name it is the one that was just made.
  if (before !== null && before.name !== name) await removeAnchor(around, before)
  await around.step('old_anchor_removed')
  return anchor
}

/** One step further, in one write. */
export const advance = async (around: Surroundings, session: Session, change: Partial<Progress>): Promise<void> => {
  const { anchor } = session
  if (anchor === null) return
  const progress = { ...anchor.progress, ...change }
  const name = anchorName(around.ownership.token(), session.id, anchor.generation, progress)
  if (name !== anchor.name) await renameTo(around, anchor, name)
  session.anchor = { ...anchor, progress, name }
}

const renameTo = async (around: Surroundings, anchor: Anchor, name: string): Promise<void> => {
  try {
    await around.engine.rename(anchor.name, name)
  } catch (error) {
    if (!isMissing(error)) throw error
    // Done by an attempt whose answer was lost? Only looked at by its id, never written: that would pass by the fence.
    const found = await around.ownership.list(anchor.sessionId)
    if (!found.some((one) => one.id === anchor.id && one.name === name)) throw error
  }
}

export const removeAnchor = async (around: Surroundings, { name }: Anchor): Promise<void> => {
  await around.engine.remove(name, true).catch((error: unknown) => {
    if (!isMissing(error)) throw error
  })
}

/** Of several that a kill in the middle left, the newest; the others are returned as leftovers. */
export const newestAnchor = <
  A extends { readonly id: string; readonly name: string; readonly labels: { readonly [name: string]: string } },
>(
  found: readonly A[],
): { readonly anchor: Anchor | null; readonly leftovers: readonly A[] } => {
  const anchors = found.flatMap((one) => {
    const anchor = anchorOf(one)
    return anchor === null ? [] : [{ one, anchor }]
  })
  anchors.sort((a, b) => b.anchor.generation - a.anchor.generation)
  const [newest, ...older] = anchors
  return { anchor: newest?.anchor ?? null, leftovers: older.map(({ one }) => one) }
}
