/** Makes one session as it is asked to be: the Docker platform's `apply`. */

import type { SessionId } from '../../domain/ids.ts'
import type { ContainerSpec } from '../container/spec.ts'
import { settledAs } from '../runtime/observed.ts'
import type { Applied, ApplyContext, Target } from '../runtime/platform.ts'
import { advance, anchorAt, removeAnchor } from './anchors.ts'
import { bringUp, type Death } from './bring-up.ts'
import { isFullDisk, isMissing, isStatus, isUnreachable } from './engine.ts'
import { type Anchor, homeVolume } from './names.ts'
import type { Networks } from './networks.ts'
import { newSession, restingNow, runningNow, type Session, type Surroundings, startingNow } from './session.ts'
import { refuseAnotherOrg } from './sharing.ts'
import { readDockerSpec } from './spec.ts'
import type { Turns } from './turns.ts'
import { endWorkload, inspectWorkload } from './workload.ts'

/** One thing at a time is done with a session. */
export type Registry = {
  readonly networks: Networks
  /** Of what is started although nobody asked for it. */
  readonly turns: Turns
  readonly run: <A>(session: Session, work: (signal: AbortSignal) => Promise<A>) => Promise<A>
  /** Only if nothing else has begun with it, and its anchor is still the one that was judged: else it is looked at again. */
  readonly runUnasked: (session: Session, judged: Anchor, work: (signal: AbortSignal) => Promise<void>) => Promise<void>
  /** Something failed that may succeed later. */
  readonly lookLater: (sessionId: SessionId) => void
}

export const apply = async (
  around: Surroundings,
  registry: Registry,
  target: Target,
  context: ApplyContext,
): Promise<Applied> => {
  try {
    return await dispatch(around, registry, target, context)
  } catch (error) {
    around.trouble(error)
    const { sessionId, generation } = target
    const message = (error as Error).message
    around.log.error({ sessionId, generation, error: message }, 'a session could not be made as asked')
    return {
      kind: 'failed',
      code: isUnreachable(error) || isFullDisk(error) ? 'agent_degraded' : 'platform_error',
      message,
      retryable: true,
    }
  }
}

const dispatch = async (
  around: Surroundings,
  registry: Registry,
  target: Target,
  context: ApplyContext,
): Promise<Applied> => {
  const { desired, sessionId } = target
  const session = around.sessions.get(sessionId) ?? null
  const during = (one: Session, work: (signal: AbortSignal) => Promise<Applied>): Promise<Applied> =>
    registry.run(one, (signal) => work(AbortSignal.any([signal, context.signal])))
  await around.step('begun')
  switch (desired.state) {
    case 'running': {
      const read = readDockerSpec(desired, around.settings.allowedMounts)
      if (read.kind === 'refused') return { kind: 'rejected', code: 'rejected', message: read.message }
      const one = session ?? newSession(sessionId, desired.orgId)
      return during(one, async (signal) => {
        const refusal = refuseAnotherOrg(around, one, desired.orgId)
        if (refusal !== null) return refusal
        around.sessions.set(sessionId, one)
        return makeRunning(around, registry, one, target, read.spec, { ...context, signal })
      })
    }
    case 'stopped':
    case 'hibernated': {
      const { state } = desired
      if (session !== null) return during(session, (signal) => rest(around, session, target, state, signal))
      if (!desired.persistentHome) await removeUnknownHome(around, sessionId)
      return { kind: 'applied', observed: { status: state } }
    }
    case 'deleted':
      if (session !== null) return during(session, (signal) => remove(around, session, target, signal))
      // Somebody may have removed all that told of it, and left its home.
      await removeUnknownHome(around, sessionId)
      return { kind: 'applied', observed: null }
  }
}

const removeHome = (around: Surroundings, sessionId: SessionId): Promise<void> =>
  around.engine.removeVolume(homeVolume(sessionId)).catch((error: unknown) => {
    if (!isMissing(error)) throw error
  })

/** One that is in use belongs to another agent on this engine. */
const removeUnknownHome = (around: Surroundings, sessionId: SessionId): Promise<void> =>
  removeHome(around, sessionId).catch((error: unknown) => {
    if (!isStatus(error, 409)) throw error
  })

type Plan =
  /** It runs and is ready: only the generation is new. */
  | { readonly kind: 'as_it_is' }
  /** It was begun for this very thing and is not finished. */
  | { readonly kind: 'go_on'; readonly death: Death | null }
  /** Whatever is there has to go first. */
  | { readonly kind: 'anew' }

const planFor = async (around: Surroundings, session: Session, target: Target): Promise<Plan> => {
  const { anchor, workload } = session
  if (anchor === null || workload === null || workload.incarnation !== target.desired.incarnation)
    return { kind: 'anew' }
  const inspected = await inspectWorkload(around, session)
  if (inspected === null) return { kind: 'anew' }
  if (anchor.progress.phase === 'up' && inspected.running) return { kind: 'as_it_is' }
  if (anchor.progress.phase !== 'applying' || anchor.generation !== target.generation) return { kind: 'anew' }
  if (workload.generation !== target.generation) return { kind: 'anew' }
  // Never started: whether its home was given to its user is not known.
  if (inspected.state === 'created') return { kind: 'anew' }
  // It may have run for this generation already, while nobody looked: once is enough.
  return { kind: 'go_on', death: inspected.running ? null : { inspected } }
}

const makeRunning = async (
  around: Surroundings,
  registry: Registry,
  session: Session,
  target: Target,
  spec: ContainerSpec,
  context: ApplyContext,
): Promise<Applied> => {
  const plan = await planFor(around, session, target)
  const { anchor } = session
  const home = spec.home.path
  if (plan.kind === 'as_it_is') {
    const progress = anchor?.progress ?? { phase: 'up', reason: '', restarts: 0, retries: 0 }
    await anchorAt(around, session, target, progress, home)
    session.observed = runningNow(around, session)
    return { kind: 'applied', observed: session.observed }
  }
  session.observed = startingNow(session, 'starting', 'starting')
  if (anchor === null || anchor.generation !== target.generation || anchor.progress.phase !== 'applying')
    await anchorAt(around, session, target, { phase: 'applying', reason: '', restarts: 0, retries: 0 }, home)
  if (plan.kind === 'anew') {
    if ((await endWorkload(around, session, { signal: context.signal })) === 'interrupted')
      return { kind: 'interrupted' }
    await around.step('old_workload_ended')
  }
  const brought = await bringUp(around, registry.networks, session, spec, {
    signal: context.signal,
    patience: 'whole',
    progress: (reason, message) => {
      session.observed = startingNow(session, reason, message)
      context.progress(reason, message)
    },
    ...(plan.kind === 'go_on' && plan.death !== null ? { death: plan.death } : {}),
  })
  if (brought === 'interrupted') return { kind: 'interrupted' }
  return settledAs(session.observed)
}

const rest = async (
  around: Surroundings,
  session: Session,
  target: Target,
  status: 'stopped' | 'hibernated',
  signal: AbortSignal,
): Promise<Applied> => {
  const { desired } = target
  if (!desired.persistentHome) {
    const removed = await remove(around, session, target, signal)
    return removed.kind === 'applied' ? { kind: 'applied', observed: { status, reason: 'by_request' } } : removed
  }
  const home = homeOf(session, around, target)
  // Not yet so: until the program has ended the phase says that it is being made so.
  await anchorAt(around, session, target, { phase: 'applying', reason: '', restarts: 0, retries: 0 }, home)
  if ((await endWorkload(around, session, { signal })) === 'interrupted') return { kind: 'interrupted' }
  await advance(around, session, { phase: status })
  await around.step('settled')
  session.observed = restingNow(session, status)
  return { kind: 'applied', observed: session.observed }
}

/** Where the home was mounted stays where it was when a spec cannot be read any more. */
const homeOf = ({ anchor }: Session, around: Surroundings, { desired }: Target): string => {
  for (const one of [desired, anchor?.desired]) {
    if (one === undefined) continue
    const read = readDockerSpec(one, around.settings.allowedMounts)
    if (read.kind === 'spec') return read.spec.home.path
  }
  return '/home/user'
}

/**
 * By an anchor without the home, which could not be removed otherwise. False: there is no room for it. What is deleted makes room, so it is not
 * kept from that; cut short, the session is looked at as one that was not asked to go, until that is asked again.
 */
const writeDownDeletion = async (around: Surroundings, session: Session, target: Target): Promise<boolean> => {
  try {
    await anchorAt(around, session, target, { phase: 'deleting', reason: '', restarts: 0, retries: 0 }, null)
    return true
  } catch (error) {
    if (!isFullDisk(error)) throw error
    around.trouble(error)
    return false
  }
}

const remove = async (
  around: Surroundings,
  session: Session,
  target: Target,
  signal: AbortSignal,
): Promise<Applied> => {
  const isWrittenDown = await writeDownDeletion(around, session, target)
  if ((await endWorkload(around, session, { signal })) === 'interrupted') return { kind: 'interrupted' }
  if (!isWrittenDown && session.anchor !== null) await removeAnchor(around, session.anchor)
  await removeHome(around, session.id)
  await around.step('home_removed')
  if (session.anchor !== null) await removeAnchor(around, session.anchor)
  await around.step('anchor_removed')
  session.anchor = null
  around.sessions.delete(session.id)
  return { kind: 'applied', observed: null }
}
