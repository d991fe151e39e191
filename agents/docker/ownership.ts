/**
 * Whose sessions these are: one agent process at a time may write. Every container is made with `VolumesFrom` of a
 * container of the agent's own, which does nothing else, and is called by a name that begins with the agent's
 * token. Whoever takes over makes such a container, removes those of agents before it, and renames everything: then
 * an older agent of the same id can make nothing any more, and finds nothing under the names that it knows. That
 * has to hold for one that is stopped while it takes over, too: it renames what it saw by the name that it saw.
 */
import type { SessionId } from '../../domain/ids.ts'
import type { Log } from '../runtime/log.ts'
import { type Engine, EngineError, isMissing, isStatus, type Listed } from './engine.ts'
import { hiddenWorkloads } from './hidden.ts'
import { agentName, isAnothers, isOwn, label, nameFor, newToken } from './names.ts'
import { isOnlyThisOne, unlessSilent } from './silent.ts'

export type Ownership = {
  readonly token: () => string
  /** To be in every create: the engine refuses it when this agent is no longer the owner. */
  readonly volumesFrom: () => string
  /**
   * What there is of this agent, under this owner's names; what could not be renamed keeps another's. Rejects when another agent
   * takes over meanwhile.
   */
  readonly take: () => Promise<readonly Listed[]>
  /**
   * The same of one session, whose containers somebody else may have renamed: `known` says by id how those are called that
   * this agent holds. To be asked by the owner only.
   */
  readonly takeBack: (found: readonly Listed[], known: ReadonlyMap<string, string>) => Promise<readonly Listed[]>
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

/** With the status of what is not there: whoever hears of it asks whether this agent is still the owner. */
const takenOver = (): EngineError => new EngineError('another agent of this id has taken over on this engine', 404)

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

  /**
   * By the name that was seen: whoever took over since has changed it, and then nothing is found. null: it is not called so any more.
   * Of two of one name the second keeps its own, and is cleared up as a leftover.
   */
  const rename = async (found: Listed, name: string): Promise<Listed | null> => {
    try {
      await engine.rename(found.name, name)
      return { ...found, name }
    } catch (error) {
      if (isMissing(error)) return null
      if (!isStatus(error, 409)) throw error
      log.warn({ container: found.name }, 'a container could not be taken over under its name')
      return found
    }
  }

  /** After a list of names, and before they are used: they are another's when this agent's own container is gone. */
  const owners = async (): Promise<readonly Listed[]> => {
    const found = await engine.list(ofAgent('agent'))
    if (!found.some(({ id }) => id === own)) throw takenOver()
    return found
  }

  const removeOlder = async (): Promise<void> => {
    for (const other of await owners())
      if (other.id !== own) {
        await removeUnlessGone(other.id)
        log.info({ container: other.name }, 'took over from an earlier agent of this id')
      }
    for (const room of await engine.list(ofAgent('room'))) await removeUnlessGone(room.id)
  }

  const renameAll = async (foreign: readonly Listed[], setAside: Set<string>, missed: Set<string>): Promise<void> => {
    const queue = [...foreign]
    const worker = async (): Promise<void> => {
      for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
        const { id, name } = next
        try {
          const renamed = await rename(next, nameFor(token, name))
          if (renamed?.name === name || (renamed === null && missed.has(id))) setAside.add(id)
          missed.add(id)
        } catch (error) {
          if (!(await isOnlyThisOne(engine, error))) throw error
          setAside.add(id)
          log.warn({ container: name, error: (error as Error).message }, 'a container cannot be taken over yet')
        }
      }
    }
    await Promise.all(Array.from({ length: RENAMES_AT_ONCE }, worker))
  }

  const takeBack: Ownership['takeBack'] = async (found, known) => {
    const taken: Listed[] = []
    for (const one of found) {
      const name = isAnothers(token, one.name) ? one.name : known.get(one.id)
      const renamed = isOwn(token, one.name) || name === undefined ? one : await rename(one, nameFor(token, name))
      if (renamed !== null) taken.push(renamed)
      if (renamed !== null && renamed.name !== one.name)
        log.warn({ container: renamed.name, was: one.name }, 'a container that was renamed has its name again')
    }
    return taken
  }

  const nameHidden = async (found: readonly Listed[]): Promise<readonly Listed[]> => {
    const names = await hiddenWorkloads(engine, token, found)
    const taken: Listed[] = []
    for (const one of found) {
      const name = names.get(one.id)
      const renamed = name === undefined ? one : await unlessSilent(engine, rename(one, name), one)
      if (renamed !== null) taken.push(renamed)
    }
    return taken
  }

  const take = async (): Promise<readonly Listed[]> => {
    if (own === null) own = await makeOwn()
    else if (await isLost()) throw takenOver()
    await removeOlder()
    const [setAside, missed] = [new Set<string>(), new Set<string>()]
    for (;;) {
      const found = await list()
      await owners()
      const foreign = found.filter(({ id, name }) => isAnothers(token, name) && !setAside.has(id))
      if (foreign.length === 0) return nameHidden(found)
      // What an older agent was just making has come since.
      await renameAll(foreign, setAside, missed)
    }
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
    const options = {
      Image: ANCHOR_IMAGE,
      Cmd: ['/none'],
      // By which the next agent finds it, should this one be killed now.
      Labels: { [label.agent]: agentId, [label.role]: 'room' },
      HostConfig: { NetworkMode: 'none' },
    }
    await engine.create(name, options).catch((error: unknown) => {
      // Of a try before this one, whose answer was lost.
      if (!isStatus(error, 409)) throw error
    })
    await removeUnlessGone(name)
  }

  return {
    token: () => token,
    tryCreate,
    volumesFrom: () => {
      if (own === null) throw new EngineError('what is on the engine has not been taken over yet', null)
      return own
    },
    take,
    takeBack,
    list,
    isLost,
  }
}
