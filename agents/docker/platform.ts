/** Sessions as containers of a Docker engine: the `Platform` of the Docker agent. */
import type { SessionId } from '../../domain/ids.ts'
import type { WireCapacity } from '../protocol.ts'
import { type Log, messageOf } from '../runtime/log.ts'
import { capacityOf } from '../runtime/measured-capacity.ts'
import type { Held, Platform, PlatformListener } from '../runtime/platform.ts'
import { advance } from './anchors.ts'
import { apply, type Registry } from './apply.ts'
import { connectEngine, isFullDisk, isMissing, isUnreachable, type Listed } from './engine.ts'
import { createHealth, type Health } from './health.ts'
import { bySession, type Circumstances, holdUnseen, lookAt } from './look.ts'
import { isOwn } from './names.ts'
import { createNetworks } from './networks.ts'
import { createOwnership } from './ownership.ts'
import { generationOf, namesOf, type Session, type Step, type Surroundings } from './session.ts'
import { createSessionTasks } from './session-tasks.ts'
import { type DockerSettings, defaults, type Settings } from './settings.ts'
import { isOnlyThisOne } from './silent.ts'
import { createTurns } from './turns.ts'
import { type Watch, watchEngine } from './watch.ts'
import { endWorkload } from './workload.ts'

export type DockerPlatformOptions = {
  /** For tests that end the agent between any two steps. */
  readonly step?: (name: Step) => Promise<void>
  /** For tests: told of each change that was made on the engine. */
  readonly wrote?: (what: string) => void
  /** Another agent of the same id works on this engine now: nothing can be done here any more. */
  readonly lost?: () => void
  readonly housekeepingMs?: number
}

const HOUSEKEEPING_MS = 30_000
/** While the disk is full. */
const LOOK_FOR_ROOM_MS = 5_000
const SUSPEND_GRACE_MS = 3_000
/** How long what is under way may take to notice that the agent ends: a hung engine would keep it. */
const END_WITHIN_MS = 4_000

export const createDockerPlatform = (
  given: DockerSettings,
  log: Log,
  options: DockerPlatformOptions = {},
): Platform => {
  const settings: Settings = { ...defaults, ...given }
  const engine = connectEngine(settings.dockerHost, options.wrote)
  const ownership = createOwnership(engine, settings.agentId, log)
  const networks = createNetworks()
  const sessions = new Map<SessionId, Session>()
  let node: string | null = null
  let cores = Number.POSITIVE_INFINITY
  const leftAlone = new Set<string>()
  let ending = false
  let around: Surroundings | null = null
  let opened: {
    readonly around: Surroundings
    readonly watch: Watch
    readonly timers: readonly NodeJS.Timeout[]
  } | null = null
  /** Taken over and looked at once: before that nobody knows what there is. */
  let adopted = false
  let health: Health | null = null
  let capacity: WireCapacity | null = null
  /** What is done for no session and with nobody waiting for it. */
  const chores = new Set<Promise<unknown>>()

  const tasks = createSessionTasks<readonly Listed[], Circumstances>({
    session: (id) => sessions.get(id),
    list: async (id) => {
      const listed = await ownership.list(id)
      // Their names are not to be learnt by an agent that is no longer the owner: they are what keeps it out.
      return listed.some(isRenamed) && (await isLost()) ? null : listed
    },
    judge: async (id, listed, circumstances) => {
      if (around === null) return
      const session = sessions.get(id)
      const known = session === undefined ? new Map<string, string>() : namesOf(session)
      const found = listed.some(isRenamed) ? await ownership.takeBack(listed, known) : listed
      await lookAt(around, registry, id, found, circumstances)
    },
    failed: (error) => trouble(error),
  })
  const { look, lookSoon, lookLater } = tasks
  const isRenamed = ({ name }: Listed): boolean => !isOwn(ownership.token(), name)
  const registry: Registry = { networks, turns: createTurns(settings.parallelRestarts), ...tasks }

  /** Of one that cannot be looked at now the others are not to suffer. */
  const everything = async (): Promise<void> => {
    if (around === null) return
    const engineWasAway = adopted
    await readCapacity()
    const listed = engineWasAway ? await ownership.list() : await ownership.take()
    for (const id of leftAlone) if (!listed.some((one) => one.id === id)) leftAlone.delete(id)
    const found = bySession(around, listed)
    for (const id of new Set([...found.keys(), ...sessions.keys()])) {
      if (ending) return
      const its = found.get(id) ?? []
      try {
        await look(id, { engineWasAway })
      } catch (error) {
        if (isUnreachable(error) && !(await isOnlyThisOne(engine, error))) throw error
        log.warn({ sessionId: id, error: messageOf(error) }, 'a session cannot be looked at, trying again')
        holdUnseen(around, id, its, messageOf(error))
        lookLater(id)
      }
    }
    const isFirst = !adopted
    // First: who hears that it is well asks for what there is.
    adopted = true
    // Its own container could be made.
    if (isFirst) health?.well('disk')
  }

  const trouble = (error: unknown): void => {
    const message = messageOf(error)
    if (isFullDisk(error)) health?.unwell('disk', `the engine's disk is full: ${message}`)
    log.debug({ error: message }, 'a call to the engine failed')
    // Something that has to be there is not: perhaps because it is another agent's now.
    if (isMissing(error)) chore(isLost().catch(() => {}))
  }

  const isLost = async (): Promise<boolean> => {
    if (!(await ownership.isLost())) return false
    if (ending) return true
    log.error(
      { agentId: settings.agentId },
      'another agent of this id has taken over on this engine: this one can do nothing any more',
    )
    health?.unwell('owner', 'another agent of the same id has taken over on this engine')
    options.lost?.()
    return true
  }

  const readCapacity = async (): Promise<WireCapacity> => {
    const { NCPU, MemTotal, Name } = (await engine.info()) as { NCPU: number; MemTotal: number; Name: string }
    node = Name
    cores = NCPU
    capacity = capacityOf({ cores: NCPU, memoryBytes: MemTotal }, settings)
    return capacity
  }

  const open = async (listener: PlatformListener): Promise<void> => {
    const told = createHealth(listener)
    health = told
    const here: Surroundings = {
      settings,
      health: told,
      engine,
      node: () => node,
      cores: () => cores,
      leaveAlone: ({ id, name }, why) => {
        if (leftAlone.has(id)) return
        leftAlone.add(id)
        log.warn({ container: name, why }, 'a container with our labels was left alone')
      },
      ownership,
      log,
      listener,
      sessions,
      trouble,
      step: options.step ?? (() => Promise.resolve()),
    }
    around = here
    const watch = watchEngine(here, {
      everything,
      session: async (id) => lookSoon(id),
      takenOver: (id) =>
        chore(
          isLost().then(
            (lost) => {
              if (!lost && id !== null) lookSoon(id)
            },
            (error: unknown) => {
              trouble(error)
              if (id !== null) lookLater(id)
            },
          ),
        ),
    })
    const timers = [
      setInterval(() => chore(keepHouse(here)), options.housekeepingMs ?? HOUSEKEEPING_MS),
      setInterval(() => chore(lookForRoom()), LOOK_FOR_ROOM_MS),
    ]
    opened = { around: here, watch, timers }
    try {
      await watch.tried
    } catch (error) {
      await close()
      throw error
    }
  }

  const chore = (work: Promise<unknown>): void => {
    const done = work.catch(trouble).finally(() => chores.delete(done))
    chores.add(done)
  }

  /** Whether something can be made again. */
  const lookForRoom = async (): Promise<void> => {
    if (health?.isUnwell('disk') !== true || !adopted || ending) return
    try {
      await ownership.tryCreate()
      health.well('disk')
    } catch (error) {
      log.debug({ error: messageOf(error) }, 'the disk is still full')
    }
  }

  /**
   * Only by the owner, and once it knows what there is: a container that is to start again keeps the id of its network, and
   * would have to be made anew.
   */
  const keepHouse = async (around: Surroundings): Promise<void> => {
    if (!adopted || ending || (await isLost())) return
    const inUse = (): ReadonlySet<string> =>
      new Set(
        [...sessions.values()].flatMap(({ anchor, workload, orgId }) => {
          const atRest = anchor !== null && ['stopped', 'hibernated', 'deleting'].includes(anchor.progress.phase)
          return atRest && workload === null ? [] : (anchor?.desired.orgId ?? orgId ?? [])
        }),
      )
    await networks.removeEmpty(around, inUse)
  }

  const end = async (last: (around: Surroundings) => Promise<void>): Promise<void> => {
    if (opened === null || ending) return
    ending = true
    const { around, watch, timers } = opened
    for (const timer of timers) clearInterval(timer)
    tasks.stop()
    const patience = setTimeout(() => engine.giveUp('the agent is ending'), END_WITHIN_MS)
    await watch.stop()
    await tasks.end()
    while (chores.size > 0) await Promise.all(chores)
    clearTimeout(patience)
    await last(around)
  }
  const close = (): Promise<void> => end(() => Promise.resolve())

  const suspendOne = async (around: Surroundings, session: Session): Promise<void> => {
    const { phase } = session.anchor?.progress ?? {}
    if (phase !== 'up' && phase !== 'waiting') return
    await advance(around, session, { phase: 'waiting' })
    await endWorkload(around, session, { graceMs: SUSPEND_GRACE_MS })
  }

  const held = (sessionId: SessionId): Held | null => {
    const session = sessions.get(sessionId)
    if (session === undefined || (session.anchor === null && session.workload === null)) return null
    return { generation: generationOf(session), observed: session.observed }
  }

  return {
    name: 'docker',
    capacity: async () => {
      // Read anew whenever everything is looked at: an engine that got more was started again.
      if (capacity !== null) return capacity
      return readCapacity().catch((error: unknown) => {
        // Never reached: it is connected, says why, and can take nothing.
        if (capacity === null) return { maxSessions: 0, cpuMillis: 0, memoryMib: 0 }
        throw error
      })
    },
    open,
    adopted: () => adopted,
    held,
    apply: async (target, context) => {
      if (opened === null || ending) return { kind: 'interrupted' }
      if (!adopted)
        return {
          kind: 'failed',
          code: 'agent_degraded',
          message: health?.why() ?? 'the engine has not been looked at yet',
          retryable: true,
        }
      const applied = await apply(opened.around, registry, target, context)
      // Its network may go when housekeeping comes by: making one takes the engine longer than all else before a start.
      if (target.desired.state === 'deleted') chore(lookForRoom())
      return applied
    },
    inventory: () =>
      [...sessions.values()]
        .filter(({ anchor, workload }) => anchor !== null || workload !== null)
        .map((session) => ({ sessionId: session.id, generation: generationOf(session), ...session.observed })),
    close,
    suspend: () =>
      end(async (around) => {
        const suspended = [...sessions.values()].map((session) =>
          suspendOne(around, session).catch((error: unknown) =>
            log.error({ sessionId: session.id, error: messageOf(error) }, 'a session could not be suspended'),
          ),
        )
        await Promise.all(suspended)
      }),
  }
}
