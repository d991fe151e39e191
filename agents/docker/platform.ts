/** Sessions as containers of a Docker engine: the `Platform` of the Docker agent. */
import type { SessionId } from '../../domain/ids.ts'
import type { WireCapacity } from '../protocol.ts'
import { type Log, messageOf } from '../runtime/log.ts'
import { capacityOf } from '../runtime/measured-capacity.ts'
import type { Held, Platform, PlatformListener } from '../runtime/platform.ts'
import { advance } from './anchors.ts'
import { apply, type Registry } from './apply.ts'
import { connectEngine, isFullDisk, isMissing, isUnreachable } from './engine.ts'
import { createHealth, type Health } from './health.ts'
import { bySession, type Circumstances, holdUnseen, lookAt } from './look.ts'
import { isOwn } from './names.ts'
import { createNetworks } from './networks.ts'
import { createOwnership } from './ownership.ts'
import { generationOf, namesOf, type Session, type Step, type Surroundings } from './session.ts'
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
}

const HOUSEKEEPING_MS = 30_000
/** While the disk is full. */
const LOOK_FOR_ROOM_MS = 5_000
const LOOK_AGAIN_MS = 5_000
const SUSPEND_GRACE_MS = 3_000
/** How long what is under way may take to notice that the agent ends: a hung engine would keep it. */
const END_WITHIN_MS = 4_000

type Task = { readonly controller: AbortController; readonly done: Promise<unknown> }

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
  const tasks = new Map<SessionId, Task>()
  const looks = new Map<SessionId, Promise<void>>()
  const later = new Map<SessionId, NodeJS.Timeout>()
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

  /** How often something was begun or ended with a session: what was listed before is old then. */
  const turns = new Map<SessionId, number>()
  const turn = (id: SessionId): void => void turns.set(id, (turns.get(id) ?? 0) + 1)

  /** Of a session of which nothing is left, unless a look is under way that compares. */
  const forgetGone = (id: SessionId): void => {
    if (!sessions.has(id) && !looks.has(id)) turns.delete(id)
  }

  /** One thing at a time is done with a session, and a look at it is one; what comes later interrupts what is under way. */
  const run: Registry['run'] = async (session, work) => {
    const { id } = session
    for (;;) {
      const busy = tasks.get(id)
      const look = looks.get(id)
      if (busy === undefined && look === undefined) break
      busy?.controller.abort()
      await (busy?.done ?? look)
    }
    return begin(session, work)
  }

  const begin: Registry['run'] = async (session, work) => {
    const { id } = session
    turn(id)
    const controller = new AbortController()
    const result = work(controller.signal)
    const task = { controller, done: result.catch(() => {}) }
    tasks.set(id, task)
    try {
      return await result
    } finally {
      tasks.delete(id)
      turn(id)
      forgetGone(id)
      if (session.lookAgain) lookSoon(id)
    }
  }

  const runUnasked: Registry['runUnasked'] = async (session, judged, work) => {
    // Begun by a look, which is over first.
    await looks.get(session.id)
    if (ending) return
    if (!tasks.has(session.id) && session.anchor === judged) return begin(session, work)
    session.lookAgain = true
    if (!tasks.has(session.id)) lookSoon(session.id)
  }

  const lookLater = (id: SessionId, afterMs = LOOK_AGAIN_MS): void => {
    if (ending || later.has(id)) return
    later.set(
      id,
      setTimeout(() => {
        later.delete(id)
        lookSoon(id)
      }, afterMs),
    )
  }
  const registry: Registry = { networks, turns: createTurns(settings.parallelRestarts), run, runUnasked, lookLater }

  /** Only while nothing is being done with it: else when that is over. */
  const look = async (around: Surroundings, id: SessionId, circumstances: Circumstances = {}): Promise<void> => {
    const again = (): void => {
      const session = sessions.get(id)
      if (session !== undefined) session.lookAgain = true
    }
    if (tasks.has(id) || looks.has(id)) return again()
    const looking = (async () => {
      const before = turns.get(id)
      const session = sessions.get(id)
      if (session !== undefined) session.lookAgain = false
      const listed = await ownership.list(id)
      // Their names are not to be learnt by an agent that is no longer the owner: they are what keeps it out.
      const isRenamed = listed.some(({ name }) => !isOwn(ownership.token(), name))
      if (isRenamed && (await isLost())) return
      if (tasks.has(id) || turns.get(id) !== before) return again()
      const known = session === undefined ? new Map<string, string>() : namesOf(session)
      const found = isRenamed ? await ownership.takeBack(listed, known) : listed
      await lookAt(around, registry, id, found, circumstances)
    })()
    looks.set(
      id,
      looking.catch(() => {}),
    )
    try {
      await looking
    } finally {
      looks.delete(id)
      if (!tasks.has(id)) forgetGone(id)
    }
    if (sessions.get(id)?.lookAgain === true && !tasks.has(id)) lookSoon(id)
  }

  /** One that fails is tried again: nobody else would tell. */
  const lookSoon = (id: SessionId): void => {
    if (around === null || ending) return
    look(around, id).catch((error: unknown) => {
      trouble(error)
      lookLater(id)
    })
  }

  /** Of one that cannot be looked at now the others are not to suffer. */
  const everything = async (): Promise<void> => {
    if (around === null) return
    const engineWasAway = adopted
    await readCapacity()
    const found = bySession(around, engineWasAway ? await ownership.list() : await ownership.take())
    for (const id of new Set([...found.keys(), ...sessions.keys()])) {
      const its = found.get(id) ?? []
      try {
        await look(around, id, { engineWasAway })
      } catch (error) {
        if (isUnreachable(error) && !(await isOnlyThisOne(engine, error))) throw error
        log.warn({ sessionId: id, error: messageOf(error) }, 'a session cannot be looked at, trying again')
        holdUnseen(around, id, its, messageOf(error))
        lookLater(id)
      }
    }
    // Its own container could be made.
    if (!adopted) health?.well('disk')
    adopted = true
  }

  const trouble = (error: unknown): void => {
    const message = messageOf(error)
    if (isFullDisk(error)) health?.unwell('disk', `the engine's disk is full: ${message}`)
    log.debug({ error: message }, 'a call to the engine failed')
    // Something that has to be there is not: perhaps because it is another agent's now.
    if (isMissing(error)) isLost().catch(() => {})
  }

  const isLost = async (): Promise<boolean> => {
    if (ending || !(await ownership.isLost())) return false
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
        void isLost().then(
          (lost) => {
            if (!lost && id !== null) lookSoon(id)
          },
          (error: unknown) => {
            trouble(error)
            if (id !== null) lookLater(id)
          },
        ),
    })
    const timers = [
      setInterval(() => void keepHouse(here), HOUSEKEEPING_MS),
      setInterval(() => void lookForRoom(), LOOK_FOR_ROOM_MS),
    ]
    opened = { around: here, watch, timers }
    try {
      await watch.tried
    } catch (error) {
      await close()
      throw error
    }
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

  const keepHouse = async (around: Surroundings): Promise<void> => {
    const inUse = (): ReadonlySet<string> =>
      new Set(
        [...sessions.values()].flatMap(({ anchor, workload, orgId }) => {
          const atRest = anchor !== null && ['stopped', 'hibernated', 'deleting'].includes(anchor.progress.phase)
          return atRest && workload === null ? [] : (anchor?.desired.orgId ?? orgId ?? [])
        }),
      )
    await networks.removeEmpty(around, inUse).catch((error: unknown) => around.trouble(error))
    await isLost().catch(() => false)
  }

  const end = async (last: (around: Surroundings) => Promise<void>): Promise<void> => {
    if (opened === null || ending) return
    ending = true
    const { around, watch, timers } = opened
    for (const timer of timers) clearInterval(timer)
    for (const one of later.values()) clearTimeout(one)
    const patience = setTimeout(() => engine.giveUp('the agent is ending'), END_WITHIN_MS)
    await watch.stop()
    const busy = [...tasks.values()]
    for (const { controller } of busy) controller.abort()
    await Promise.all(busy.map(({ done }) => done))
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
      if (target.desired.state === 'deleted') void lookForRoom()
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
