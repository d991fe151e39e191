/**
 * From what there is of a session to one that answers, or to a reason why not. Whoever is cut short anywhere in
 * here finds the same names again and goes on.
 */
import { setTimeout as wait } from 'node:timers/promises'
import type { ContainerSpec } from '../container/spec.ts'
import { allDone } from '../runtime/all-done.ts'
import { type Ending, type Exit, exitOf, outOfMemory, succeeded } from '../runtime/exit.ts'
import { LAST_OUTPUT_BYTES, presentable } from '../runtime/observed.ts'
import { afterExit } from '../runtime/restart-policy.ts'
import { advance } from './anchors.ts'
import { awaitReady } from './await-ready.ts'
import { cannotStart, isNetworkGone } from './cannot-start.ts'
import { EngineError, type Inspected, isFullDisk, isStatus } from './engine.ts'
import { endedWithEngine } from './engine-start.ts'
import { giveHome, ownerByName, ownerOf } from './home.ts'
import { ensureImage, otherArchitecture } from './image.ts'
import type { Networks } from './networks.ts'
import { overNow, runningNow, type Session, type Surroundings, startingNow, startTimeoutMs } from './session.ts'
import type { Turns } from './turns.ts'
import { createWorkload, endWorkload, inspectWorkload, workloadOptions } from './workload.ts'

/** How a program ended. */
export type Death = {
  /** null: its container is gone. */
  readonly inspected: Inspected | null
  /** Found when the engine was back after it had been away from an agent that watched it. */
  readonly engineWasAway?: boolean
}

export type Effort = {
  readonly signal: AbortSignal
  readonly progress: (reason: string, message: string) => void
  /** `whole`: all of it within the time of one start. `each`: each try has that time. */
  readonly patience: 'whole' | 'each'
  /** It has ended already, and that is to be judged first. */
  readonly death?: Death
  /** How a delay is waited for; it ends with the signal. */
  readonly pause?: (ms: number) => Promise<void>
}

const PING_WITHIN_MS = 5_000
/** Then something else is wrong, and it is tried again later. */
const MOST_REMADE = 2

export type BroughtUp = 'settled' | 'interrupted'

export const bringUp = async (
  around: Surroundings,
  networks: Networks,
  session: Session,
  spec: ContainerSpec,
  effort: Effort,
): Promise<BroughtUp> => {
  const { signal, progress, patience } = effort
  const timeoutMs = session.anchor === null ? 0 : startTimeoutMs(session.anchor.desired)
  let deadline = Date.now() + timeoutMs
  let death = effort.death ?? null
  let remade = 0

  for (;;) {
    if (death !== null) {
      const next = await weigh(around, session, death, effort, deadline)
      if (next === 'over') return 'settled'
      if (signal.aborted) return 'interrupted'
      death = null
      if (patience === 'each') deadline = Date.now() + timeoutMs
    }
    if (session.workload === null) {
      const advanced = (): void => {
        deadline = Date.now() + timeoutMs
      }
      const made = await make(around, networks, session, spec, { ...effort, advanced })
      if (made !== 'made') return made
    }
    if (signal.aborted) return 'interrupted'
    const started = await start(around, networks, session, patience)
    if (started === 'without_network') {
      remade += 1
      if (remade > MOST_REMADE) throw new EngineError('the network of its org is lost whenever it is made', 404)
      if ((await endWorkload(around, session, { signal })) === 'interrupted') return 'interrupted'
      continue
    }
    if (started !== 'started') return started
    const readiness = await awaitReady(around, session, { signal, deadline, progress })
    switch (readiness.kind) {
      case 'interrupted':
        return 'interrupted'
      case 'ready':
        await around.step('ready')
        await advance(around, session, { phase: 'up', reason: '' })
        await around.step('settled')
        session.observed = runningNow(around, session)
        return 'settled'
      case 'ended':
        death = { inspected: readiness.inspected }
        break
      case 'timeout': {
        const output = await outputOf(around, session)
        if ((await endWorkload(around, session, { signal })) === 'interrupted') return 'interrupted'
        return giveUp(around, session, 'start_timeout', readiness.message, null, output)
      }
    }
  }
}

const make = async (
  around: Surroundings,
  networks: Networks,
  session: Session,
  spec: ContainerSpec,
  { signal, progress, advanced }: Effort & { readonly advanced: () => void },
): Promise<'made' | BroughtUp> => {
  const { engine, settings } = around
  const { anchor } = session
  if (anchor === null) throw new Error('a session without an anchor cannot be started')
  const image = await ensureImage(engine, spec.image, settings.registryAuthFile, {
    signal,
    progress,
    advanced,
    withinMs: startTimeoutMs(anchor.desired),
  })
  await around.step('image_there')
  if (image.kind === 'interrupted') return 'interrupted'
  if (image.kind === 'failed') return giveUp(around, session, image.reason, image.message, null, null)
  const network = await networks.ensure(around, anchor.desired.orgId)
  await around.step('network_there')
  /** What the engine says when it will never make such a container; null: it is made. */
  const create = async (): Promise<string | null> => {
    const options = workloadOptions(around, session, spec, { network, imageDigest: image.digest ?? image.id })
    try {
      session.workload = await createWorkload(around, session, options)
    } catch (error) {
      if (!isStatus(error, 400) || isFullDisk(error)) throw error
      return (error as Error).message
    }
    await around.step('workload_created')
    return null
  }
  const owner = ownerOf(spec, image.user)
  // Side by side where it can be: giving the home takes the engine longer than making the container.
  const [refused] =
    owner === null ? [await create()] : await allDone([create(), giveHome(around, session, spec, owner)])
  if (refused !== null)
    return giveUp(around, session, 'rejected', `the engine does not make such a container: ${refused}`, null, null)
  if (owner === null) await giveHome(around, session, spec, await ownerByName(around, session, image.user))
  await around.step('home_given')
  return 'made'
}

const startMended = async (
  around: Surroundings,
  networks: Networks,
  { anchor }: Session,
  name: string,
): Promise<void> => {
  try {
    await around.engine.start(name)
  } catch (error) {
    if (!isNetworkGone(error) || anchor === null) throw error
    await networks.mend(around, anchor.desired.orgId)
    await around.step('network_there')
    await around.engine.start(name)
  }
}

const start = async (
  around: Surroundings,
  networks: Networks,
  session: Session,
  patience: Effort['patience'],
): Promise<'started' | 'without_network' | BroughtUp> => {
  const { workload } = session
  if (workload === null) throw new Error('a session was made and is not there')
  try {
    await startMended(around, networks, session, workload.name)
  } catch (error) {
    // One that has run keeps the id of its network, and asks for that, whatever has its name by now. It is made anew.
    if (isNetworkGone(error)) return 'without_network'
    const why = cannotStart(error)
    if (why === null) throw error
    // Nobody asks again for what nobody asked for: an address may come up later than its machine, and another may become free.
    if (why.mayPass && patience === 'each') throw new EngineError(why.message, (error as EngineError).status)
    return giveUp(around, session, why.reason, why.message, why.exit, null)
  }
  session.workload = { ...workload, running: true }
  await around.step('started')
  return 'started'
}

const giveUp = async (
  around: Surroundings,
  session: Session,
  reason: string,
  message: string,
  exit: Exit | null,
  output: string | null,
): Promise<'settled'> => {
  await advance(around, session, { phase: 'failed', reason })
  await around.step('settled')
  session.observed = overNow(around, session, { status: 'failed', reason, message }, exit, output)
  around.log.warn({ sessionId: session.id, reason, detail: message }, 'a session failed')
  return 'settled'
}

/** Rejects when the engine is going down, which may be why it ended: that is judged when it is back. */
const exitOfDeath = async ({ engine }: Surroundings, death: Death): Promise<Exit> => {
  const { inspected, engineWasAway = false } = death
  await engine.ping(PING_WITHIN_MS)
  if (endedWithEngine(await engine.startedAt(), inspected, engineWasAway)) return { kind: 'host_restarted' }
  return inspected === null ? { kind: 'unknown' } : exitOf(inspected.exitCode)
}

/**
 * What the exit alone does not tell. That the kernel ended something in it for want of memory says nothing of a program that
 * went on, and ended well or with its machine later.
 */
export const endingOfDeath = (session: Session, { inspected }: Death, exit: Exit | null): Ending | null => {
  if (inspected === null) return { reason: 'removed_outside', message: 'its container was removed from outside' }
  const memoryMib = session.anchor?.desired.spec.resources.memoryMib
  const failed = exit !== null && exit.kind !== 'host_restarted' && !succeeded(exit)
  return inspected.oomKilled && failed && memoryMib !== undefined ? outOfMemory(memoryMib) : null
}

export const outputOf = async (
  around: Surroundings,
  { workload }: Session,
  startedAt?: string,
): Promise<string | null> => {
  if (workload === null) return null
  const since = startedAt === undefined ? 0 : Math.floor(Date.parse(startedAt) / 1_000)
  const output = await around.engine.lastOutput(workload.name, Math.max(0, since)).catch(() => Buffer.alloc(0))
  return presentable(output.subarray(-LAST_OUTPUT_BYTES))
}

/** A program has ended. Either settles that it is over, or waits until it may start again. */
const weigh = async (
  around: Surroundings,
  session: Session,
  death: Death,
  { signal, progress, patience, pause }: Effort,
  deadline: number,
): Promise<'again' | 'over'> => {
  const { settings, log } = around
  const { anchor } = session
  if (anchor === null) return 'over'
  const inspected = await stillThere(around, session, death)
  // It was renamed from outside, and runs.
  if (inspected?.running === true) return 'again'
  const output = await outputOf(around, session, inspected?.startedAt)
  if (inspected === null) session.workload = null
  else if (session.workload !== null) session.workload = { ...session.workload, running: false }
  const asFound = { ...death, inspected }
  const exit = await exitOfDeath(around, asFound)
  const { restarts } = anchor.progress
  const retries = wasHealthy(inspected, settings.healthyAfterMs) ? 0 : anchor.progress.retries
  const ending = endingOfDeath(session, asFound, exit)
  const next = afterExit(anchor.desired.spec.restart, { exit, ending, retries, backoff: settings.backoff })
  const over = async (status: 'stopped' | 'failed', ...said: [string, string]): Promise<'over'> => {
    const foreign = status === 'failed' ? await foreignArchitecture(around, session, inspected) : null
    const [reason, message] = foreign === null ? said : ['image_pull_failed', `${said[1]}; ${foreign}`]
    await advance(around, session, { phase: status === 'failed' ? 'failed' : 'ended', reason, retries })
    await around.step('settled')
    session.observed = overNow(around, session, { status, reason, message }, exit, output)
    log.info({ sessionId: session.id, status, reason, exit }, 'a session has ended by itself')
    return 'over'
  }
  if (next.kind !== 'restart') return over(next.kind, next.reason, next.message)
  if (patience === 'whole' && deadline - Date.now() <= next.delayMs)
    return over(
      'failed',
      'start_timeout',
      `${next.message.split('; starting it again')[0]}, and there is no time left to start it again`,
    )
  await advance(around, session, {
    // Of an apply that is under way it stays open whether this generation is so.
    ...(anchor.progress.phase === 'applying' ? {} : { phase: 'waiting' as const }),
    restarts: restarts + 1,
    retries: retries + 1,
  })
  await around.step('waiting_to_restart')
  log.info({ sessionId: session.id, exit, restarts: restarts + 1 }, 'a session has ended and is started again')
  progress('restarting', next.message)
  await (pause?.(next.delayMs) ?? wait(next.delayMs, undefined, { signal }).catch(() => {}))
  return 'again'
}

const REMOVED_AFTER_KILL_MS = 150
const REMOVAL_TAKES_MS = 10_000
const LOOK_AGAIN_MS = 50

/**
 * Who removes a running container by force kills it first: the engine says that it is being removed before it does that, which can take
 * it longer the busier its disk is. Of one that says nothing of it, it is known a moment later.
 */
const stillThere = async (around: Surroundings, session: Session, { inspected }: Death): Promise<Inspected | null> => {
  if (inspected === null) return inspectWorkload(around, session)
  if (session.workload === null || inspected.exitCode !== 137 || inspected.oomKilled) return inspected
  await wait(REMOVED_AFTER_KILL_MS)
  const until = Date.now() + REMOVAL_TAKES_MS
  for (;;) {
    const now = await inspectWorkload(around, session)
    if (now?.state !== 'removing' || Date.now() >= until) return now
    await wait(LOOK_AGAIN_MS)
  }
}

/** Of a program that never answered: an engine runs what is made for another machine if somebody has taught it to. */
const foreignArchitecture = async (
  { engine }: Surroundings,
  { anchor }: Session,
  inspected: Inspected | null,
): Promise<string | null> => {
  if (inspected === null || anchor?.progress.phase !== 'applying') return null
  const { image, imageName } = inspected
  return otherArchitecture(imageName, (await engine.hasImage(image))?.Architecture, await engine.architecture())
}

const wasHealthy = (inspected: Inspected | null, healthyAfterMs: number): boolean =>
  inspected !== null && Date.parse(inspected.finishedAt) - Date.parse(inspected.startedAt) >= healthyAfterMs

/** Nobody waits for an answer: told as it happens. */
export const bringUpUnasked = async (
  around: Surroundings,
  networks: Networks,
  session: Session,
  spec: ContainerSpec,
  effort: {
    readonly signal: AbortSignal
    readonly turns: Turns
    readonly death?: Death
    readonly report: () => void
  },
): Promise<void> => {
  const progress = (reason: string, message: string): void => {
    session.observed = startingNow(session, reason, message)
    effort.report()
  }
  const brought = await effort.turns.during(effort.signal, ({ pause }) =>
    bringUp(around, networks, session, spec, { ...effort, progress, pause, patience: 'each' }),
  )
  if (brought === 'settled') effort.report()
}
