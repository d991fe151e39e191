/**
 * Sessions as Deployments of a cluster: the `Platform` of the Kubernetes agent. Here is who may do something with
 * a session at a moment, and how the platform opens and ends; what is known of the cluster is in `cluster.ts`,
 * what is done with one session in `make-running.ts`, `rest.ts` and `react.ts`.
 */
import { setTimeout as wait } from 'node:timers/promises'
import type { Log } from '../runtime/log.ts'
import { messageOf } from '../runtime/log.ts'
import type { Applied, ApplyContext, Platform, PlatformListener, Target } from '../runtime/platform.ts'
import { apiLimits, createApi } from './api.ts'
import { capacityOf, isSet } from './capacity.ts'
import { createCluster } from './cluster.ts'
import { createHealth, type Health } from './health.ts'
import { makeRunning } from './make-running.ts'
import { seekAnchor, seekDeployment } from './mend.ts'
import { objectsIn } from './objects-client.ts'
import { openProjection, type Projection } from './projection/projection.ts'
import { createQuotas } from './quotas.ts'
import { createReach } from './reach.ts'
import { afterTrouble, react } from './react.ts'
import { explained, refusedWith } from './refused.ts'
import { remove, rest } from './rest.ts'
import {
  basisOf,
  generationHeld,
  type Life,
  lifeOf,
  type Step,
  type Surroundings,
  startTimeoutMs,
} from './session-life.ts'
import { defaults, type KubernetesSettings, type Settings } from './settings.ts'
import { connect, type Transport } from './transport.ts'
import { type WatchTimes, watchTimes } from './watch.ts'
import { Overtaken } from './writes.ts'

/** What an API server that does not answer is given, of the ten seconds that an agent has to end. */
const CLOSE_WITHIN_MS = 3_000

/** A deadline that passed so long ago was answered. */
const PASSED_MS = 500

/** A cluster that is slow to answer about a thousand sessions must not keep the agent from its server. */
const KNOWN_WITHIN_MS = 5_000

export type KubernetesPlatformOptions = {
  /** For tests that end the agent between any two steps. */
  readonly step?: (name: Step) => Promise<void>
  readonly transport?: Transport
  readonly watchTimes?: WatchTimes
}

export type KubernetesPlatform = Platform & {
  /** How many requests were sent so far, watches not counted. */
  readonly calls: () => number
}

export const createKubernetesPlatform = (
  given: KubernetesSettings,
  log: Log,
  options: KubernetesPlatformOptions = {},
): KubernetesPlatform => {
  const settings: Settings = { ...defaults, ...given }
  const { namespace } = settings
  const transport = options.transport ?? connect(settings.kubeconfig ?? null)
  const ending = new AbortController()
  const hurry = new AbortController()
  const api = createApi(transport, apiLimits, { retries: ending.signal, calls: hurry.signal })
  const tasks = new Set<Promise<unknown>>()
  let around: Surroundings | null = null
  let health: Health | null = null

  const quotas = createQuotas()
  const times = options.watchTimes ?? watchTimes
  const cluster = createCluster(
    { api, namespace, agentId: settings.agentId, log, times, beside: isSet(settings) ? [] : [quotas.watched] },
    { well: (kind) => health?.well(kind), unwell: (kind, why) => health?.unwell(kind, why) },
    (life) => void answer(life),
  )
  let projection: Projection | null = null

  const open = async (listener: PlatformListener): Promise<void> => {
    health = createHealth(listener, settings.degradedAfterMs)
    const opened: Surroundings = {
      settings,
      namespace,
      objects: objectsIn(api, namespace),
      log,
      listener,
      lives: cluster.lives,
      learn: cluster.learn,
      reach: createReach(),
      step: options.step ?? (() => Promise.resolve()),
    }
    try {
      await cluster.open()
      const without = [...cluster.lives.values()].filter(({ anchor }) => anchor === null)
      await Promise.all(without.map((life) => seekAnchor(opened, life)))
    } catch (error) {
      await close()
      throw new Error(explained(error, namespace), { cause: error })
    }
    around = opened
    // What the server is told first is what is so: until a session's way is read it would be one that starts, without an endpoint.
    const known = Promise.all([...cluster.lives.values()].map(adopt))
    await Promise.race([known, wait(KNOWN_WITHIN_MS, undefined, { signal: ending.signal, ref: false }).catch(() => {})])
    if (settings.projection)
      projection = openProjection({
        transport,
        namespace,
        agentId: settings.agentId,
        lives: cluster.lives,
        listener,
        log,
      })
  }

  /** Whether it answers is not asked again: a session that is busy for a moment must not be ended for it. */
  const adopt = (life: Life): Promise<void> => {
    const record = life.anchor?.record
    if (record?.settled && record.phase === 'up')
      for (const { container, start } of life.pods.values())
        if (start === record.start && container?.state === 'running') life.wasReady = container.id
    return answer(life)
  }

  /**
   * Something of it has changed in the cluster, and nobody is doing anything with it. Resolves when it is shown as it is;
   * never rejects: nobody waits for it, and no single session may end the agent with all others.
   */
  const answer = async (life: Life): Promise<void> => {
    try {
      projection?.changed(life.sessionId)
      if (around === null || life.task !== null || ending.signal.aborted) return
      const work = react(around, life)
      scheduleTimeout(life)
      if (work === null) return
      await during(life, (signal) => work(life, signal))
    } catch (error) {
      troubled(life, error)
      return
    }
    await answer(life)
  }

  const troubled = (life: Life, error: unknown): void => {
    if (around === null) return
    const againMs = afterTrouble(around, life, error)
    if (troubledLives.has(life)) return
    troubledLives.add(life)
    void wait(againMs, undefined, { signal: ending.signal }).then(
      () => {
        troubledLives.delete(life)
        return answer(life)
      },
      () => {},
    )
  }
  /** Those that are looked at again in a while. */
  const troubledLives = new Set<Life>()

  /** A start that nobody waits for is given up in time too, though nothing is heard of it. */
  const scheduleTimeout = (life: Life): void => {
    const record = life.anchor?.record
    clearTimeout(timeouts.get(life))
    timeouts.delete(life)
    if (record === null || record === undefined || life.startingSince === null) return
    const ms = life.startingSince + startTimeoutMs(record) - Date.now()
    // It was answered; what went wrong with that is tried again as any trouble.
    if (ms < -PASSED_MS) return
    const timer = setTimeout(() => void answer(life), Math.min(Math.max(0, ms) + 50, 2 ** 31 - 1))
    timer.unref()
    timeouts.set(life, timer)
  }
  const timeouts = new Map<Life, NodeJS.Timeout>()

  /** One thing at a time is done with a session; what comes later interrupts what is under way. */
  const during = async <A>(life: Life, work: (signal: AbortSignal) => Promise<A>): Promise<A> => {
    while (life.task !== null) {
      life.task.controller.abort()
      await life.task.done
    }
    // Meanwhile the last of it may have gone, and the life with it.
    if (!cluster.lives.has(life.sessionId)) cluster.lives.set(life.sessionId, life)
    const controller = new AbortController()
    life.basis = basisOf(life)
    const result = work(AbortSignal.any([controller.signal, ending.signal]))
    const task = { controller, done: result.catch(() => {}) }
    life.task = task
    tasks.add(task.done)
    try {
      return await result
    } finally {
      tasks.delete(task.done)
      if (life.task === task) life.task = null
      const isEmpty = life.anchor === null && life.deployment === null && life.pods.size === 0
      if (isEmpty && cluster.lives.get(life.sessionId) === life) cluster.lives.delete(life.sessionId)
    }
  }

  const apply = async (target: Target, context: ApplyContext): Promise<Applied> => {
    if (around === null || ending.signal.aborted) return { kind: 'interrupted' }
    const opened = around
    let life = cluster.lives.get(target.sessionId)
    if (life === undefined) {
      if (target.desired.state !== 'running') return nothingThere(target)
      life = lifeOf(target.sessionId)
      cluster.lives.set(target.sessionId, life)
    }
    const held = life
    try {
      return await during(held, async (signal) => {
        await opened.step('begun')
        const inTask = { ...context, signal: AbortSignal.any([signal, context.signal]) }
        return dispatch(opened, held, target, inTask)
      })
    } catch (error) {
      return ending.signal.aborted ? { kind: 'interrupted' } : refused(target, error)
    } finally {
      void answer(held)
    }
  }

  const refused = ({ sessionId, generation }: Target, error: unknown): Applied => {
    log.warn({ sessionId, generation, error: messageOf(error) }, 'a session could not be made as asked')
    return refusedWith(error, namespace)
  }

  const close = async (): Promise<void> => {
    ending.abort()
    const hurried = setTimeout(() => hurry.abort(), CLOSE_WITHIN_MS)
    await cluster.close()
    // One that waited for another begins when that one ends.
    while (tasks.size > 0) await Promise.all(tasks)
    clearTimeout(hurried)
    health?.stop()
    for (const timer of timeouts.values()) clearTimeout(timer)
    await projection?.close()
    transport.close()
  }

  return {
    name: 'kubernetes',
    calls: () => api.calls() + (projection?.calls() ?? 0),
    capacity: async () => capacityOf(quotas.all(), settings),
    open,
    held: (sessionId) => {
      const life = cluster.lives.get(sessionId)
      return life === undefined || life.anchor === null
        ? null
        : { generation: generationHeld(life), observed: life.observed }
    },
    apply,
    inventory: () =>
      [...cluster.lives.values()].flatMap((life) =>
        life.anchor === null ? [] : [{ sessionId: life.sessionId, generation: generationHeld(life), ...life.observed }],
      ),
    close,
    // A cluster goes on without this machine: there is nothing that would end with it.
    suspend: close,
  }
}

const nothingThere = ({ desired }: Target): Applied =>
  desired.state === 'deleted'
    ? { kind: 'applied', observed: null }
    : { kind: 'applied', observed: { status: desired.state as 'stopped' | 'hibernated' } }

const dispatch = async (around: Surroundings, life: Life, target: Target, context: ApplyContext): Promise<Applied> => {
  const { state } = target.desired
  // Judged before it waited for its turn; another agent may have worked meanwhile.
  if ((life.anchor?.record?.generation ?? 0) > target.generation) throw new Overtaken('the record')
  switch (state) {
    case 'running':
      await seekFirst(around, life)
      return makeRunning(around, life, target, context)
    case 'stopped':
    case 'hibernated':
      await seekFirst(around, life)
      return rest(around, life, target, state, context)
    case 'deleted':
      return remove(around, life, target, context)
  }
}

/** What stands on it has not begun yet: what is found is what it begins with. */
const seekFirst = async (around: Surroundings, life: Life): Promise<void> => {
  if (life.deployment === null && (await seekDeployment(around, life))) life.basis = basisOf(life)
}
