/** Makes one session as it is asked to be: the process platform's `apply`. */
import { randomBytes } from 'node:crypto'
import { lstat } from 'node:fs/promises'
import type { SessionId } from '../../domain/ids.ts'
import type { Applied, ApplyContext, Target } from '../runtime/platform.ts'
import { bringUp } from './bring-up.ts'
import { canRunHere } from './environment.ts'
import type { Exit } from './exit.ts'
import { probeOf } from './probe.ts'
import { filesOf, makeFolders, removeAll } from './session-files.ts'
import {
  type Life,
  lifeOf,
  restingNow,
  runningNow,
  type Surroundings,
  save,
  settle,
  startingNow,
} from './session-life.ts'
import type { SessionRecord } from './session-record.ts'
import { discard } from './take-down.ts'
import type { Terminated } from './terminate.ts'
import { describeTrouble } from './trouble.ts'
import type { Uids } from './uids.ts'
import { adopt } from './workload.ts'

export type Registry = {
  readonly lives: Map<SessionId, Life>
  readonly run: <A>(life: Life, work: (signal: AbortSignal) => Promise<A>) => Promise<A>
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
    around.log.error({ sessionId, generation, err: error }, 'a session could not be made as asked')
    return { kind: 'failed', code: 'platform_error', message: describeTrouble(error), retryable: true }
  }
}

const dispatch = async (
  around: Surroundings,
  registry: Registry,
  target: Target,
  context: ApplyContext,
): Promise<Applied> => {
  const { desired, sessionId } = target
  const life = registry.lives.get(sessionId) ?? null
  const during = (one: Life, work: (one: Life, context: ApplyContext) => Promise<Applied>): Promise<Applied> =>
    registry.run(one, (signal) => work(one, { ...context, signal: AbortSignal.any([signal, context.signal]) }))
  switch (desired.state) {
    case 'running': {
      const refusal = refuse(registry, around, target)
      if (refusal !== null) return refusal
      const begun = life ?? (await create(around, registry, target))
      return during(begun, (one, inTask) => run(around, one, target, inTask))
    }
    case 'stopped':
    case 'hibernated': {
      const { state } = desired
      if (life === null) return { kind: 'applied', observed: { status: state } }
      return during(life, (one, inTask) => rest(around, registry, one, target, state, inTask.signal))
    }
    case 'deleted':
      if (life === null) return { kind: 'applied', observed: null }
      return during(life, (one, inTask) => remove(around, registry, one, target, inTask.signal))
  }
}

const refuse = (registry: Registry, around: Surroundings, { desired }: Target): Applied | null => {
  if (!canRunHere(desired.spec))
    return { kind: 'rejected', code: 'rejected', message: 'the spec has no part for processes (spec.process)' }
  const probe = probeOf(desired.spec)
  if (probe.type === 'invalid') return { kind: 'rejected', code: 'rejected', message: probe.message }
  if (around.uids !== null || around.settings.allowSharedWithoutIsolation === true) return null
  const others = [...registry.lives.values()].some(({ record }) => record.desired.orgId !== desired.orgId)
  if (!others) return null
  const message =
    'this agent does not run as root, so all its sessions share one user, and it holds sessions of another org ' +
    'already: they could read each other. Run it as root, use an agent for each org, or set ' +
    'STREAMSPACE_ALLOW_SHARED_PROCESS_AGENT=true'
  return {
    kind: 'failed',
    code: 'rejected',
    message,
    retryable: false,
    observed: { status: 'failed', reason: 'rejected', message },
  }
}

/** The record first: whatever is made after it can be found and removed. */
const create = async (around: Surroundings, registry: Registry, { sessionId, generation, desired }: Target) => {
  const files = filesOf(around.host, sessionId)
  const uid = around.uids === null ? null : await uidFor(around.uids, files)
  const record: SessionRecord = {
    version: 1,
    sessionId,
    generation,
    desired,
    settled: false,
    phase: 'down',
    uid,
    home: files.home,
    accessToken: randomBytes(32).toString('base64url'),
    ports: {},
    run: null,
    restarts: 0,
    retries: 0,
    observed: { status: 'starting', reason: 'starting' },
  }
  const life = lifeOf(record, files)
  try {
    await makeFolders(around.host, files)
    await save(life, {})
  } catch (error) {
    await removeAll(files).catch(() => {})
    if (uid !== null) await around.uids?.release(uid)
    throw error
  }
  registry.lives.set(sessionId, life)
  await around.step('recorded')
  return life
}

/** A home whose record was lost belongs to somebody already. */
const uidFor = async (uids: Uids, files: { readonly dir: string; readonly home: string }): Promise<number> => {
  const owner = await lstat(files.home).then(
    ({ uid }) => uid,
    () => 0,
  )
  if (owner !== 0 && (await uids.claim(owner, files.dir))) return owner
  return uids.allocate(files.dir)
}

const run = async (around: Surroundings, life: Life, target: Target, context: ApplyContext): Promise<Applied> => {
  const { generation, desired } = target
  const plan = await planFor(around, life, target)
  switch (plan.kind) {
    case 'as_it_is':
      return {
        kind: 'applied',
        observed: await settle(life, runningNow(life, around.settings.advertiseHost), { generation, desired }),
      }
    case 'anew': {
      life.observed = startingNow(life, 'starting', 'starting')
      // Nothing of a new session can run, and what was meant has just been written.
      if (life.record.run === null && life.record.generation === generation && !life.record.settled) break
      const change = { generation, desired, settled: false, phase: 'down', restarts: 0, retries: 0 } as const
      const ended = await discard(around, life, change, { signal: context.signal })
      if (ended.kind !== 'gone') return notGone(ended)
      break
    }
    case 'go_on':
      await save(life, { generation, desired, settled: false })
  }
  const brought = await bringUp(around, life, {
    signal: context.signal,
    patience: 'whole',
    progress: (reason, message) => {
      life.observed = startingNow(life, reason, message)
      context.progress(reason, message)
    },
    ...(plan.kind === 'go_on' && plan.exit !== null ? { exit: plan.exit } : {}),
  })
  if (brought === 'interrupted') return { kind: 'interrupted' }
  const { observed } = life
  if (observed.status !== 'failed') return { kind: 'applied', observed }
  const { reason, message } = observed
  return {
    kind: 'failed',
    code: reason ?? 'exited_early',
    message: message ?? 'the session failed',
    retryable: false,
    observed,
  }
}

type Plan =
  /** It runs and is ready: only the generation is new. */
  | { readonly kind: 'as_it_is' }
  /** It was begun for this very thing and is not finished; `exit`: it has ended since. */
  | { readonly kind: 'go_on'; readonly exit: Exit | null }
  /** Whatever is there has to go first. */
  | { readonly kind: 'anew' }

const planFor = async (around: Surroundings, life: Life, { generation, desired }: Target): Promise<Plan> => {
  const { run: last, generation: begun, settled } = life.record
  if (last === null || last.discarded || last.incarnation !== desired.incarnation) return { kind: 'anew' }
  await life.workload?.check()
  if (life.workload !== null && !life.workload.hasEnded())
    return last.readyAt === null ? { kind: 'go_on', exit: null } : { kind: 'as_it_is' }
  if (settled || begun !== generation || life.record.phase !== 'up') return { kind: 'anew' }
  if (life.workload !== null) return { kind: 'go_on', exit: await life.workload.ended }
  const found = await adopt(around.host, life.files, last)
  // It ran for this generation already, while nobody looked: once is enough.
  return found.kind === 'ended' ? { kind: 'go_on', exit: found.exit } : { kind: 'anew' }
}

const notGone = (ended: Exclude<Terminated, { kind: 'gone' }>): Applied =>
  ended.kind === 'interrupted'
    ? { kind: 'interrupted' }
    : {
        kind: 'failed',
        code: 'platform_error',
        message: `processes of the session cannot be ended: ${ended.pids.join(', ')}`,
        retryable: true,
      }

const rest = async (
  around: Surroundings,
  registry: Registry,
  life: Life,
  { generation, desired }: Target,
  status: 'stopped' | 'hibernated',
  signal: AbortSignal,
): Promise<Applied> => {
  const change = { generation, desired, settled: false }
  const ended = await discard(around, life, change, { signal, evenUnwritten: true })
  if (ended.kind !== 'gone') return notGone(ended)
  if (!desired.persistentHome) {
    await forget(around, registry, life)
    return { kind: 'applied', observed: restingNow(life, status) }
  }
  return { kind: 'applied', observed: await settle(life, restingNow(life, status), { phase: 'down' }) }
}

const remove = async (
  around: Surroundings,
  registry: Registry,
  life: Life,
  { generation, desired }: Target,
  signal: AbortSignal,
): Promise<Applied> => {
  const change = { generation, desired, settled: false }
  const ended = await discard(around, life, change, { signal, evenUnwritten: true })
  if (ended.kind !== 'gone') return notGone(ended)
  await forget(around, registry, life)
  return { kind: 'applied', observed: null }
}

/** Nothing is left of it. */
const forget = async (around: Surroundings, registry: Registry, life: Life): Promise<void> => {
  await life.saving
  await removeAll(life.files)
  await around.step('removed')
  if (life.record.uid !== null) await around.uids?.release(life.record.uid)
  registry.lives.delete(life.record.sessionId)
}
