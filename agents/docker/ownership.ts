/**
 * Whose sessions these are: one agent process at a time may write. Every container is made with `VolumesFrom` of a
 * container of the agent's own, which does nothing else, and is called by a name that begins with the agent's
 * token. Whoever takes over makes such a container, removes those of agents before it, and renames everything: then
 * an older agent of the same id can make nothing any more, and finds nothing under the names that it knows.
 */
import type { SessionId } from '../../domain/ids.ts'
import type { Log } from '../runtime/log.ts'
import { type Engine, isMissing, isStatus, type Listed } from './engine.ts'
import { agentName, isAnothers, label, nameFor, newToken } from './names.ts'

export type Ownership = {
  readonly token: () => string
  /** To be in every create: the engine refuses it when this agent is no longer the owner. */
  readonly volumesFrom: () => string
  /** What there is of this agent, under this owner's names. */
  readonly take: () => Promise<readonly Listed[]>
  /** What there is now, without taking anything. */
  readonly list: (sessionId?: SessionId) => Promise<readonly Listed[]>
  /** Whether a container can be made. Rejects with why not. */
  readonly tryCreate: () => Promise<void>
  /** True when another agent has taken over. Asked when something that has to be there is not. */
  readonly isLost: () => Promise<boolean>
}

const ANCHOR_REPO = 'docker.io/streamspace/anchor'
const ANCHOR_TAG = '1'
export const ANCHOR_IMAGE = `${ANCHOR_REPO}:${ANCHOR_TAG}`

/** A tar archive without entries: two empty blocks (POSIX ustar). It is never run. */
const emptyArchive = Buffer.alloc(1_024)

export const ensureAnchorImage = async (engine: Engine): Promise<void> => {
  if ((await engine.hasImage(ANCHOR_IMAGE)) === null) await engine.importImage(emptyArchive, ANCHOR_REPO, ANCHOR_TAG)
}

const RENAMES_AT_ONCE = 8

export const createOwnership = (engine: Engine, agentId: string, log: Log): Ownership => {
  const token = newToken()
  const ofAgent = (role: string) => ({ label: [`${label.agent}=${agentId}`, `${label.role}=${role}`] })
  let own: string | null = null

  const makeOwn = async (): Promise<string> => {
    await ensureAnchorImage(engine)
    const name = agentName(token)
    try {
      return await engine.create(name, {
        Image: ANCHOR_IMAGE,
        Cmd: ['/none'],
        Labels: { [label.agent]: agentId, [label.role]: 'agent' },
        HostConfig: { NetworkMode: 'none' },
      })
    } catch (error) {
      // Made by an attempt whose answer was lost: nobody else knows this token.
      if (!isStatus(error, 409)) throw error
      return (await engine.inspect(name)).id
    }
  }

  const list = async (sessionId?: SessionId): Promise<readonly Listed[]> => {
    const session = sessionId === undefined ? label.session : `${label.session}=${sessionId}`
    const found = await engine.list({ label: [`${label.agent}=${agentId}`, session] })
    return found.filter(({ state }) => state !== 'removing')
  }

  const rename = async (found: Listed): Promise<Listed | null> => {
    const name = nameFor(token, found.name)
    if (name === found.name) return found
    try {
      await engine.rename(found.id, name)
      return { ...found, name }
    } catch (error) {
      if (isMissing(error)) return null
      // Two of one name: what is found second keeps a name of its own, and is cleared up as a leftover.
      if (!isStatus(error, 409)) throw error
      log.warn({ container: found.name }, 'a container could not be taken over under its name')
      return found
    }
  }

  const take = async (): Promise<readonly Listed[]> => {
    if (own === null || (await engine.list({ id: [own] })).length === 0) own = await makeOwn()
    for (const other of await engine.list(ofAgent('agent')))
      if (other.id !== own) {
        await removeUnlessGone(other.id)
        log.info({ container: other.name }, 'took over from an earlier agent of this id')
      }
    const queue = [...(await list())]
    const taken: Listed[] = []
    const worker = async (): Promise<void> => {
      for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
        const renamed = await rename(next)
        if (renamed !== null) taken.push(renamed)
      }
    }
    await Promise.all(Array.from({ length: RENAMES_AT_ONCE }, worker))
    return taken
  }

  const isLost = async (): Promise<boolean> => {
    if (own === null) return false
    const owners = await engine.list(ofAgent('agent'))
    if (owners.some(({ id }) => id === own)) return false
    return owners.length > 0 || !(await ownAgain())
  }

  /**
   * Removed by hand, with nobody else's there: it is made again. Not where another agent has named things since: that one's was
   * removed, too. Two that make theirs at once, with nothing there that bears a name, see it at least once, as each looks after it
   * has made its own: whoever sees another gives up. False: somebody else is the owner.
   */
  const ownAgain = async (): Promise<boolean> => {
    if ((await list()).some(({ name }) => isAnothers(token, name))) return false
    const made = await makeOwn()
    if ((await engine.list(ofAgent('agent'))).some(({ id }) => id !== made)) {
      await removeUnlessGone(made)
      return false
    }
    own = made
    return true
  }

  const removeUnlessGone = (ref: string): Promise<void> =>
    engine.remove(ref, true).catch((error: unknown) => {
      if (!isMissing(error)) throw error
    })

  const tryCreate = async (): Promise<void> => {
    const name = `${agentName(token)}-room`
    const options = { Image: ANCHOR_IMAGE, Cmd: ['/none'], HostConfig: { NetworkMode: 'none' } }
    await engine.create(name, options).catch((error: unknown) => {
      // Of a try before this one, whose answer was lost.
      if (!isStatus(error, 409)) throw error
    })
    await removeUnlessGone(name)
  }

  return {
    token: () => token,
    tryCreate,
    volumesFrom: () => own ?? '',
    take,
    list,
    isLost,
  }
}
