/** Makes one session as it is asked to be: the process platform's `apply`. */
import type { Applied, ApplyContext, Target } from '../runtime/platform.ts'
import { probeOf } from '../runtime/probe.ts'
import { createSession } from './create-session.ts'
import { canRunHere } from './environment.ts'
import { makeRunning, notGone } from './make-running.ts'
import type { Registry } from './registry.ts'
import { removeAll } from './session-files.ts'
import { type Life, restingNow, type Surroundings, settle } from './session-life.ts'
import { discard } from './take-down.ts'
import { describeTrouble } from './trouble.ts'

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
      const begun = life ?? (await createSession(around, registry, target))
      return during(begun, (one, inTask) => makeRunning(around, one, target, inTask))
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
