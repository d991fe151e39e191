/** Sessions as containers of a Docker engine: the `Platform` of the Docker agent. */
import { setTimeout as wait } from 'node:timers/promises'
import type { SessionId } from '../../domain/ids.ts'
import type { WireCapacity } from '../protocol.ts'
import { backoffCeiling } from '../runtime/backoff.ts'
import { type Log, messageOf } from '../runtime/log.ts'
import { capacityOf } from '../runtime/measured-capacity.ts'
import type { Held, Platform, PlatformListener } from '../runtime/platform.ts'
import { advance } from './anchors.ts'
import { apply, type Registry } from './apply.ts'
import { connectEngine, isMissing, isUnreachable } from './engine.ts'
import { bySession, lookAt } from './look.ts'
import { createNetworks } from './networks.ts'
import { createOwnership } from './ownership.ts'
import { generationOf, type Session, type Step, type Surroundings } from './session.ts'
import { type DockerSettings, defaults, type Settings } from './settings.ts'
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

const OPEN_BACKOFF = { baseMs: 200, capMs: 5_000 }
const HOUSEKEEPING_MS = 30_000
const SUSPEND_GRACE_MS = 3_000

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
  const tasks = new Map<Session, Task>()
  let node: string | null = null
  let ending = false
  let opened: { readonly around: Surroundings; readonly watch: Watch; readonly timer: NodeJS.Timeout } | null = null
  let capacity: WireCapacity | null = null

  /** One thing at a time is done with a session; what comes later interrupts what is under way. */
  const run: Registry['run'] = async (session, work) => {
    for (let busy = tasks.get(session); busy !== undefined; busy = tasks.get(session)) {
      busy.controller.abort()
      await busy.done
    }
    const controller = new AbortController()
    const result = work(controller.signal)
    const task = { controller, done: result.catch(() => {}) }
    tasks.set(session, task)
    try {
      return await result
    } finally {
      if (tasks.get(session) === task) tasks.delete(session)
      if (session.lookAgain && opened !== null && !ending) void lookSoon(opened.around, session.id)
    }
  }
  const registry: Registry = { networks, run }

  const looking = new Set<SessionId>()

  /** One look at a session at a time, and only while nothing is being done with it: else again when that is over. */
  const look = async (around: Surroundings, sessionId: SessionId): Promise<void> => {
    const isBusy = (): boolean => {
      const session = sessions.get(sessionId)
      const busy = session !== undefined && (tasks.has(session) || looking.has(sessionId))
      if (busy) session.lookAgain = true
      return busy
    }
    if (isBusy() || looking.has(sessionId)) return
    looking.add(sessionId)
    try {
      do {
        const session = sessions.get(sessionId)
        if (session !== undefined) session.lookAgain = false
        const found = await ownership.list(sessionId)
        if (session !== undefined && tasks.has(session)) {
          session.lookAgain = true
          return
        }
        await lookAt(around, registry, sessionId, found)
      } while (sessions.get(sessionId)?.lookAgain === true && !tasks.has(sessions.get(sessionId) as Session))
    } finally {
      looking.delete(sessionId)
    }
  }

  const lookSoon = (around: Surroundings, sessionId: SessionId): Promise<void> =>
    look(around, sessionId).catch((error: unknown) => around.trouble(error))

  const everything = async (around: Surroundings, engineWasAway: boolean): Promise<void> => {
    const found = bySession(around, engineWasAway ? await ownership.list() : await ownership.take())
    for (const sessionId of new Set([...found.keys(), ...sessions.keys()])) {
      const session = sessions.get(sessionId)
      if (session !== undefined && tasks.has(session)) session.lookAgain = true
      else await lookAt(around, registry, sessionId, found.get(sessionId) ?? [], { engineWasAway })
    }
  }

  const trouble = (error: unknown): void => {
    const message = messageOf(error)
    if (/no space left on device|disk quota exceeded/i.test(message))
      opened?.around.listener.degraded(`the engine's disk is full: ${message}`)
    log.debug({ error: message }, 'a call to the engine failed')
    // Something that has to be there is not: perhaps because it is another agent's now.
    if (isMissing(error)) void tellIfLost()
  }

  const tellIfLost = async (): Promise<void> => {
    if (ending || !(await ownership.isLost().catch(() => false))) return
    log.error(
      { agentId: settings.agentId },
      'another agent of this id has taken over on this engine: this one can do nothing any more',
    )
    opened?.around.listener.degraded('another agent of the same id has taken over on this engine')
    options.lost?.()
  }

  const readCapacity = async (): Promise<WireCapacity> => {
    const { NCPU, MemTotal, Name } = (await engine.info()) as { NCPU: number; MemTotal: number; Name: string }
    node = Name
    capacity = capacityOf({ cores: NCPU, memoryBytes: MemTotal }, settings)
    return capacity
  }

  const open = async (listener: PlatformListener): Promise<void> => {
    const around: Surroundings = {
      settings,
      engine,
      node: () => node,
      ownership,
      log,
      listener,
      sessions,
      trouble,
      step: options.step ?? (() => Promise.resolve()),
    }
    for (let tries = 0; ; tries += 1)
      try {
        await readCapacity()
        await everything(around, false)
        break
      } catch (error) {
        if (!isUnreachable(error)) throw error
        log.warn(
          { engine: settings.dockerHost, error: messageOf(error) },
          'the Docker engine cannot be reached yet, trying again',
        )
        await wait(backoffCeiling(tries, OPEN_BACKOFF))
      }
    const watch = watchEngine(around, {
      everything: (again) => (again ? everything(around, true) : Promise.resolve()),
      session: (sessionId) => look(around, sessionId),
    })
    const timer = setInterval(() => void keepHouse(around), HOUSEKEEPING_MS)
    opened = { around, watch, timer }
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
    await tellIfLost()
  }

  const end = async (last: (around: Surroundings) => Promise<void>): Promise<void> => {
    if (opened === null || ending) return
    ending = true
    const { around, watch, timer } = opened
    clearInterval(timer)
    await watch.stop()
    const busy = [...tasks.values()]
    for (const { controller } of busy) controller.abort()
    await Promise.all(busy.map(({ done }) => done))
    await last(around)
  }

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
    capacity: () => (capacity !== null && ending ? Promise.resolve(capacity) : readCapacity()),
    open,
    held,
    apply: async (target, context) => {
      if (opened === null || ending) return { kind: 'interrupted' }
      const applied = await apply(opened.around, registry, target, context)
      if (target.desired.state === 'deleted') void keepHouse(opened.around)
      return applied
    },
    inventory: () =>
      [...sessions.values()]
        .filter(({ anchor, workload }) => anchor !== null || workload !== null)
        .map((session) => ({ sessionId: session.id, generation: generationOf(session), ...session.observed })),
    close: () => end(() => Promise.resolve()),
    suspend: () =>
      end(async (around) => {
        await Promise.all([...sessions.values()].map((session) => suspendOne(around, session)))
      }),
  }
}
