/**
 * Sessions as processes of this machine, without containers: the `Platform` of the process agent. Here is
 * what is held, who may do something with a session at a moment, and how the platform opens and ends; what
 * is done with one session is in `apply.ts`.
 */
import { rmdir } from 'node:fs/promises'
import type { SessionId } from '../../domain/ids.ts'
import type { Exit } from '../runtime/exit.ts'
import type { Log } from '../runtime/log.ts'
import type { Held, Platform, PlatformListener } from '../runtime/platform.ts'
import { apply } from './apply.ts'
import { bringUpUnasked } from './bring-up.ts'
import { measuredCapacity } from './capacity.ts'
import { type Host, surveyHost } from './host.ts'
import { type MarkOf, markByEnvironment, markByUid, membersBySession } from './membership.ts'
import { lookForMissingFiles } from './missing-files.ts'
import { readProcessTable } from './process-table.ts'
import type { Registry } from './registry.ts'
import { reopen } from './reopen.ts'
import { generationOf, type Life, report, type Settings, type Surroundings } from './session-life.ts'
import { defaults, type ProcessSettings } from './settings.ts'
import { lockStateDir, type StateLock } from './state-lock.ts'
import { suspendSession } from './suspend.ts'
import { canWrite, describeTrouble, isFullDisk } from './trouble.ts'
import { openUids } from './uids.ts'
import { claimOf, isAgent, type Watch, watchSessions } from './watch.ts'

export type ProcessPlatformOptions = {
  /** For tests that end the agent between any two steps. */
  readonly step?: (name: string) => Promise<void>
}

/** How often it is tried whether a full disk has room again. */
const ROOM_EVERY_MS = 5_000

type Opened = {
  readonly around: Surroundings
  readonly registry: Registry
  readonly lock: StateLock
  readonly watch: Watch
}

export const createProcessPlatform = (
  given: ProcessSettings,
  log: Log,
  options: ProcessPlatformOptions = {},
): Platform => {
  const settings: Settings = { ...defaults, ...given }
  const lives = new Map<SessionId, Life>()
  let opened: Opened | null = null
  let ending = false

  const open = async (listener: PlatformListener): Promise<void> => {
    const host = await surveyHost(settings, log)
    const lock = await lockStateDir(host.stateDir)
    try {
      opened = await openWith(host, listener, lock)
    } catch (error) {
      await lock.release()
      throw error
    }
  }

  const openWith = async (host: Host, listener: PlatformListener, lock: StateLock): Promise<Opened> => {
    const markOf = marks(host, lives)
    const disk = watchDisk(host, listener)
    const around: Surroundings = {
      settings,
      host,
      log,
      listener,
      step: options.step ?? (() => Promise.resolve()),
      members: async (life) => {
        const found = membersBySession(await readProcessTable(), [claimOf(life)], markOf, isAgent)
        return found.get(life.record.sessionId) ?? []
      },
      trouble: disk.trouble,
      uids: host.isRoot ? await openUids(host.stateDir, settings.uidClaimsDir, settings.uidRange) : null,
      portsTaken: (life) =>
        new Set([...lives.values()].flatMap((other) => (other === life ? [] : Object.values(other.record.ports)))),
    }
    const registry: Registry = {
      lives,
      run: (life, work) => runTask(around, life, work),
    }
    const toStart = await reopen(around, registry)
    const lookForMissing = lookForMissingFiles(around, lives)
    const watch = watchSessions(
      around,
      () => lives.values(),
      markOf,
      async () => {
        await disk.look()
        await lookForMissing()
      },
    )
    for (const life of lives.values()) whenEnded(around, life)
    void startInTurn(around, toStart)
    return { around, registry, lock, watch }
  }

  /** One thing at a time is done with a session; what comes later interrupts what is under way. */
  const runTask = async <A>(
    around: Surroundings,
    life: Life,
    work: (signal: AbortSignal) => Promise<A>,
  ): Promise<A> => {
    while (life.task !== null) {
      life.task.controller.abort()
      await life.task.done
    }
    const controller = new AbortController()
    // It has waited for another that was interrupted, and is not to do anything either.
    if (ending) controller.abort()
    const result = work(controller.signal)
    const task = { controller, done: result.catch(() => {}) }
    life.task = task
    try {
      return await result
    } finally {
      if (life.task === task) life.task = null
      whenEnded(around, life)
    }
  }

  /** The command ends by itself while nobody is doing anything with the session. */
  const whenEnded = (around: Surroundings, life: Life): void => {
    const { workload } = life
    if (workload === null || life.task !== null) return
    void workload.ended.then((exit) => {
      const { settled, desired, phase } = life.record
      if (ending || life.task !== null || life.workload !== workload) return
      if (settled && phase === 'up' && desired.state === 'running') void startUnasked(around, life, exit)
    })
  }

  const startUnasked = (around: Surroundings, life: Life, exit: Exit | null): Promise<void> =>
    runTask(around, life, (signal) => bringUpUnasked(around, life, signal, exit)).catch((error: unknown) => {
      around.trouble(error)
      log.error({ sessionId: life.record.sessionId, error: describeTrouble(error) }, 'a session could not be started')
      life.observed = {
        ...life.observed,
        status: 'failed',
        reason: 'platform_error',
        message: describeTrouble(error),
        endpoint: null,
      }
      report(around, life)
    })

  const startInTurn = async (
    around: Surroundings,
    waiting: readonly { readonly life: Life; readonly exit: Exit | null }[],
  ): Promise<void> => {
    const queue = [...waiting]
    const worker = async (): Promise<void> => {
      for (let next = queue.shift(); next !== undefined && !ending; next = queue.shift())
        if (stillToStart(next.life)) await startUnasked(around, next.life, next.exit)
    }
    await Promise.all(Array.from({ length: settings.parallelRestarts }, worker))
  }

  const watchDisk = (host: Host, listener: PlatformListener) => {
    let full = false
    let lastTried = 0
    return {
      trouble: (error: unknown): void => {
        if (!isFullDisk(error)) return
        full = true
        listener.degraded(describeTrouble(error))
      },
      look: async (): Promise<void> => {
        if (!full || Date.now() - lastTried < ROOM_EVERY_MS) return
        lastTried = Date.now()
        if (!(await canWrite(host.stateDir))) return
        full = false
        listener.degraded(null)
      },
    }
  }

  const endTasks = async (): Promise<void> => {
    for (;;) {
      const tasks = [...lives.values()].flatMap(({ task }) => task ?? [])
      if (tasks.length === 0) return
      for (const { controller } of tasks) controller.abort()
      await Promise.all(tasks.map(({ done }) => done))
    }
  }

  const end = async (last: (opened: Opened) => Promise<void>): Promise<void> => {
    if (opened === null || ending) return
    ending = true
    const { around, watch, lock } = opened
    await endTasks()
    await last(opened)
    await watch.stop()
    await Promise.all([...lives.values()].map(({ saving }) => saving))
    // Goes when nothing is in it.
    if (around.host.outsideHomesDir !== null) await rmdir(around.host.outsideHomesDir).catch(() => {})
    await lock.release()
  }

  const held = (sessionId: SessionId): Held | null => {
    const life = lives.get(sessionId)
    return life === undefined ? null : { generation: generationOf(life.record), observed: life.observed }
  }

  return {
    name: 'process',
    capacity: () => Promise.resolve(measuredCapacity(settings)),
    open,
    held,
    apply: async (target, context) =>
      opened === null || ending ? { kind: 'interrupted' } : apply(opened.around, opened.registry, target, context),
    inventory: () =>
      [...lives.values()].map(({ record, observed }) => ({
        sessionId: record.sessionId,
        generation: generationOf(record),
        ...observed,
      })),
    close: () => end(() => Promise.resolve()),
    suspend: () =>
      end(async ({ around }) => {
        await Promise.all([...lives.values()].map((life) => suspendSession(around, life)))
      }),
  }
}

/** Someone may have asked something of it meanwhile, or it may have ended. */
const stillToStart = ({ task, workload, record }: Life): boolean =>
  task === null &&
  record.settled &&
  record.desired.state === 'running' &&
  record.phase !== 'down' &&
  (workload === null || record.run?.readyAt === null)

const marks = (host: Host, lives: ReadonlyMap<SessionId, Life>): MarkOf => {
  if (!host.isRoot) return markByEnvironment()
  return markByUid((uid) => {
    for (const { record } of lives.values()) if (record.uid === uid) return record.sessionId
    return null
  })
}
