/**
 * What there is of a session on the engine, compared with what the agent holds. The one place that judges what nobody
 * asked for: a program that ended, a container that somebody removed, what an agent before this one left.
 */
import type { SessionId } from '../../domain/ids.ts'
import { describeExit, type Exit, exitOf } from '../runtime/exit.ts'
import { over } from '../runtime/observed.ts'
import { anchorAt, newestAnchor } from './anchors.ts'
import type { Registry } from './apply.ts'
import { bringUpUnasked, type Death, endingOfDeath, outputOf } from './bring-up.ts'
import { isMissing, isStatus, type Listed } from './engine.ts'
import { type Anchor, incarnationOf, isOwn, isWorkloadName, label, sessionOf } from './names.ts'
import {
  newSession,
  overNow,
  report,
  restingNow,
  runningNow,
  type Session,
  type Surroundings,
  startingNow,
  type Workload,
} from './session.ts'
import { readDockerSpec } from './spec.ts'
import { endWorkload, inspectWorkload } from './workload.ts'

export type Circumstances = { readonly engineWasAway?: boolean }

/** By session; what bears labels that nobody can read is left alone. */
export const bySession = (
  around: Surroundings,
  found: readonly Listed[],
): ReadonlyMap<SessionId, readonly Listed[]> => {
  const sessions = new Map<SessionId, Listed[]>()
  for (const one of found) {
    const known = sessionOf(one.labels)
    if (known === null) around.leaveAlone(one, 'its labels are not ours as they are')
    else sessions.set(known.sessionId, [...(sessions.get(known.sessionId) ?? []), one])
  }
  return sessions
}

type FoundWorkload = { readonly listed: Listed; readonly workload: Workload }

const ownFirst = ({ ownership }: Surroundings, a: FoundWorkload, b: FoundWorkload): number =>
  Number(isOwn(ownership.token(), b.listed.name)) - Number(isOwn(ownership.token(), a.listed.name))

/**
 * Labels go along when somebody makes an image of a session's container and runs it: only what also bears the name that this
 * agent gives is the session's. Where nothing is written down of a session, one with its labels is told as a stray.
 */
const workloadsAmong = (
  around: Surroundings,
  sessionId: SessionId,
  found: readonly Listed[],
  isWrittenDown: boolean,
): readonly FoundWorkload[] => {
  const labelled = found
    .filter(({ labels }) => labels[label.role] === 'workload')
    .map((listed) => ({ listed, workload: workloadOf(listed) }))
    .toSorted((a, b) => b.workload.generation - a.workload.generation || ownFirst(around, a, b))
  const isNamed = ({ listed, workload }: FoundWorkload): boolean =>
    isWorkloadName(listed.name, sessionId, workload.generation)
  const named = labelled.filter(isNamed)
  const others = labelled.filter((one) => !isNamed(one))
  const [stray] = named.length === 0 && !isWrittenDown ? others : []
  for (const { listed } of others.filter((one) => one !== stray))
    around.leaveAlone(listed, 'it has the labels of a session and not the name that this agent gave')
  return stray === undefined ? named : [stray]
}

/** What is on the engine of a session, as far as it can be told apart by labels and names. */
const recognised = (around: Surroundings, sessionId: SessionId, found: readonly Listed[], held: Session | null) => {
  const { anchor, leftovers } = newestAnchor(found.filter(({ labels }) => labels[label.role] === 'session'))
  const isWrittenDown = anchor !== null || (held !== null && held.anchor !== null)
  const [workload, ...older] = workloadsAmong(around, sessionId, found, isWrittenDown)
  return {
    anchor,
    workload: workload?.workload ?? null,
    leftovers: [...leftovers, ...older.map(({ listed }) => listed)],
  }
}

/** Looks at one session; `found` is all that the engine has of it. To be called while nothing is being done with it. */
export const lookAt = async (
  around: Surroundings,
  registry: Registry,
  sessionId: SessionId,
  found: readonly Listed[],
  circumstances: Circumstances = {},
): Promise<void> => {
  const held = around.sessions.get(sessionId) ?? null
  const { anchor, workload, leftovers } = recognised(around, sessionId, found, held)
  if (anchor === null && workload === null && held === null) return
  const session = held ?? newSession(sessionId, found[0]?.labels[label.org] ?? null)
  around.sessions.set(sessionId, session)
  const known = session.anchor
  if (anchor !== null) session.anchor = anchor
  session.workload = workload
  for (const one of leftovers) await clearUp(around, one)
  if (anchor === null && known !== null) await writeAgain(around, session, known)
  if (session.anchor === null) return stray(around, session)
  await judge(around, registry, session, session.anchor, circumstances)
}

/** Of one that cannot be looked at now: that it is there, or the server would take it for removed. */
export const holdUnseen = (around: Surroundings, sessionId: SessionId, found: readonly Listed[], why: string): void => {
  if (around.sessions.has(sessionId)) return
  const { anchor, workload } = recognised(around, sessionId, found, null)
  if (anchor === null) return
  const session = newSession(sessionId, anchor.desired.orgId)
  session.anchor = anchor
  session.workload = workload
  session.observed = startingNow(session, 'starting', `it cannot be looked at yet: ${why}`)
  around.sessions.set(sessionId, session)
}

const workloadOf = (listed: Listed): Workload => ({
  name: listed.name,
  id: listed.id,
  generation: sessionOf(listed.labels)?.generation ?? 0,
  incarnation: incarnationOf(listed.labels),
  running: listed.state === 'running',
  imageDigest: listed.labels[label.imageDigest] ?? null,
})

const clearUp = async (around: Surroundings, { name }: Listed): Promise<void> => {
  await around.engine.remove(name, true).catch((error: unknown) => {
    // 409: somebody removes it already.
    if (!isMissing(error) && !isStatus(error, 409)) throw error
  })
  around.log.info({ container: name }, 'removed what was left of an earlier state')
}

/** Somebody removed the anchor: what is known is written again, before the home can be removed too. */
const writeAgain = async (around: Surroundings, session: Session, known: Anchor): Promise<void> => {
  if (known.progress.phase === 'deleting') {
    around.sessions.delete(session.id)
    return
  }
  const read = readDockerSpec(known.desired, around.settings.allowedMounts)
  session.anchor = known
  await anchorAt(around, session, known, known.progress, read.kind === 'spec' ? read.spec.home.path : '/home/user')
  around.log.warn({ sessionId: session.id }, 'the anchor of a session was removed from outside and is there again')
}

/** A container with our labels of which nothing is written down: the server decides what becomes of it. */
const stray = async (around: Surroundings, session: Session): Promise<void> => {
  if (session.workload === null) {
    around.sessions.delete(session.id)
    return
  }
  session.observed = session.workload.running
    ? { ...runningNow(around, session), message: 'a container that this agent did not make, or whose anchor is gone' }
    : over(
        0,
        { status: 'stopped', reason: 'exited_early', message: 'a container without an anchor has ended' },
        null,
        null,
      )
}

const judge = async (
  around: Surroundings,
  registry: Registry,
  session: Session,
  anchor: Anchor,
  circumstances: Circumstances,
): Promise<void> => {
  const { progress } = anchor
  switch (progress.phase) {
    case 'applying':
    case 'deleting':
      // Cut short: the server asks for it again, and then it goes on from here.
      session.observed = startingNow(session, 'starting', 'waiting to be asked again: an earlier try was cut short')
      return
    case 'stopped':
    case 'hibernated':
      session.observed = restingNow(session, progress.phase)
      // It was hidden when the session was asked to rest.
      if (session.workload !== null) endAtRest(around, registry, session, anchor)
      return
    case 'failed':
    case 'ended':
      await showEnd(around, session, progress.phase, progress.reason)
      return
    case 'waiting':
      return startAgain(around, registry, session, anchor, null)
    case 'up': {
      const inspected = await inspectWorkload(around, session)
      if (inspected?.running === true) {
        const before = session.observed
        session.published = inspected.published
        session.observed = runningNow(around, session)
        if (
          before.status !== 'running' ||
          JSON.stringify(before.endpoint) !== JSON.stringify(session.observed.endpoint)
        )
          report(around, session)
        return
      }
      return startAgain(around, registry, session, anchor, { inspected, ...circumstances })
    }
  }
}

/** Begun here, and not waited for. */
const endAtRest = (around: Surroundings, registry: Registry, session: Session, anchor: Anchor): void => {
  around.log.warn({ sessionId: session.id }, 'a session at rest had a container again, which is ended')
  const end = async (signal: AbortSignal): Promise<void> => void (await endWorkload(around, session, { signal }))
  void registry.runUnasked(session, anchor, end).catch((error: unknown) => {
    around.trouble(error)
    registry.lookLater(session.id)
  })
}

/** Of a session that is over: as it was said then, as far as the engine still knows. */
const showEnd = async (
  around: Surroundings,
  session: Session,
  phase: 'failed' | 'ended',
  reason: string,
): Promise<void> => {
  if (session.observed.status === (phase === 'failed' ? 'failed' : 'stopped')) return
  const inspected = await inspectWorkload(around, session)
  const death: Death = { inspected }
  const exit: Exit | null =
    reason === 'host_restarted' ? { kind: 'host_restarted' } : inspected === null ? null : exitOf(inspected.exitCode)
  const message =
    (inspected === null ? null : endingOfDeath(session, death, exit)?.message) ??
    (exit === null ? 'it is over; its container is gone' : `the command ${describeExit(exit)}`)
  const output = await outputOf(around, session, inspected?.startedAt)
  const status = phase === 'failed' ? 'failed' : 'stopped'
  session.observed = overNow(around, session, { status, reason: reason || 'exited_early', message }, exit, output)
}

/** Begun here, and not waited for: others are looked at meanwhile. */
const startAgain = (
  around: Surroundings,
  registry: Registry,
  session: Session,
  anchor: Anchor,
  death: Death | null,
): void => {
  const read = readDockerSpec(anchor.desired, around.settings.allowedMounts)
  if (read.kind === 'refused') {
    const how = { status: 'failed', reason: 'rejected', message: read.message } as const
    session.observed = overNow(around, session, how, null, null)
    report(around, session)
    return
  }
  session.observed = startingNow(session, 'starting', 'it is started again')
  void registry
    .runUnasked(session, anchor, (signal) =>
      bringUpUnasked(around, registry.networks, session, read.spec, {
        signal,
        turns: registry.turns,
        ...(death === null ? {} : { death }),
        report: () => report(around, session),
      }),
    )
    .catch((error: unknown) => {
      around.trouble(error)
      const message = (error as Error).message
      around.log.error({ sessionId: session.id, error: message }, 'a session could not be started again, trying again')
      session.observed = startingNow(session, 'restarting', `it could not be started again yet: ${message}`)
      report(around, session)
      registry.lookLater(session.id)
    })
}
