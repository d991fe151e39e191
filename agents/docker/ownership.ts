/**
 * Whose sessions these are: one agent process at a time may write. Every container is made with `VolumesFrom` of a
 * container of the agent's own, which does nothing else, and is called by a name that begins with the agent's
 * token. Whoever takes over makes such a container, removes those of agents before it, and renames everything: then
 * an older agent of the same id can make nothing any more, and finds nothing under the names that it knows.
 */
import type { SessionId } from '../../domain/ids.ts'
import type { Log } from '../runtime/log.ts'
import { type Engine, isMissing, isStatus, type Listed } from './engine.ts'
import { agentName, label, nameFor, newToken } from './names.ts'

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
    return engine.create(agentName(token), {
      Image: ANCHOR_IMAGE,
      Cmd: ['/none'],
      Labels: { [label.agent]: agentId, [label.role]: 'agent' },
      HostConfig: { NetworkMode: 'none' },
    })
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
        await engine.remove(other.id, true).catch((error: unknown) => {
          if (!isMissing(error)) throw error
        })
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
    const owners = await engine.list(ofAgent('agent'))
    if (owners.some(({ id }) => id === own)) return false
    // Removed by hand, with nobody else there: it is made again.
    if (owners.length === 0) {
      own = await makeOwn()
      return false
    }
    return true
  }

  const tryCreate = async (): Promise<void> => {
    const name = `${agentName(token)}-room`
    await engine.create(name, { Image: ANCHOR_IMAGE, Cmd: ['/none'], HostConfig: { NetworkMode: 'none' } })
    await engine.remove(name, true)
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
