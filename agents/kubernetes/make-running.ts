/** A session that should run, from whatever there is of it. */
import { readContainerSpec } from '../container/spec.ts'
import type { Applied, ApplyContext, Target } from '../runtime/platform.ts'
import { awaitRunning } from './await-running.ts'
import { begin } from './begin.ts'
import { withoutEnvironment } from './record.ts'
import { refusalOf } from './refuse.ts'
import { tooSlow } from './rest.ts'
import { type Life, look, recordOf, type Surroundings } from './session-life.ts'
import { untilEnded } from './until-ended.ts'
import { findWay } from './way.ts'
import { changeRecord, stampDeployment } from './writes.ts'

export const makeRunning = async (
  around: Surroundings,
  life: Life,
  target: Target,
  context: ApplyContext,
): Promise<Applied> => {
  const read = readContainerSpec(target.desired, around.settings.allowedMounts)
  if (read.kind === 'refused') return { kind: 'rejected', code: 'rejected', message: read.message }
  const refusal = refusalOf(target.desired, read.spec)
  if (refusal !== null) return { kind: 'rejected', code: 'rejected', message: refusal }

  const deadline = Date.now() + (target.desired.spec.startTimeoutSeconds ?? 300) * 1_000
  const { anchor } = life
  if (anchor?.going === true) {
    const answer = await whenGone(around, life, anchor.seen.uid, deadline, context)
    if (answer !== null) return answer
  }
  const plan = planFor(around, life, target)
  if (plan === 'as_it_is') {
    await stampDeployment(around, life, target.generation)
    const change = { generation: target.generation, desired: withoutEnvironment(target.desired), settled: true }
    await changeRecord(around, life, change)
    await around.step('settled')
    return { kind: 'applied', observed: life.observed }
  }
  if (plan === 'anew') {
    const answer = await begin(around, life, target, read.spec, deadline, context)
    if (answer !== null) return answer
  }
  await findWay(around, life)
  return awaitRunning(around, life, deadline, context)
}

/** A record that is being deleted takes all that is made for it along: what begins anew waits for its end. */
const whenGone = async (
  around: Surroundings,
  life: Life,
  uid: string,
  deadline: number,
  { signal, progress }: ApplyContext,
): Promise<Applied | null> => {
  progress('starting', 'waiting for what was deleted of it to be gone')
  const isSo = (): boolean => life.anchor?.seen.uid !== uid
  const ended = await untilEnded(around, life, { isSo, withinMs: deadline - Date.now(), signal })
  if (ended === 'interrupted') return { kind: 'interrupted' }
  if (ended === 'too_slow') return tooSlow('its ConfigMap waits for what it owns')
  // Not what is there now: another agent may have made that while this one waited.
  life.basis = { anchor: null, deployment: null }
  return null
}

/** `go_on`: it was begun for this very thing, and is not finished. */
type Plan = 'as_it_is' | 'go_on' | 'anew'

const planFor = (around: Surroundings, life: Life, { generation, desired }: Target): Plan => {
  const record = recordOf(life)
  const { deployment } = life
  if (record === null || deployment === null || deployment.going || deployment.start !== record.start) return 'anew'
  if (record.phase !== 'up' || record.desired.incarnation !== desired.incarnation || deployment.replicas === 0)
    return 'anew'
  if (!record.settled) return record.generation === generation ? 'go_on' : 'anew'
  return look(around, life, record).kind === 'running' ? 'as_it_is' : 'anew'
}
