/** A session that should run, from whatever there is of it. */
import { randomBytes } from 'node:crypto'
import type { KubernetesObject, V1Service } from '@kubernetes/client-node'
import { seconds } from '../../domain/template/restart.ts'
import { containerEnvironment } from '../container/environment.ts'
import { type ContainerSpec, readContainerSpec } from '../container/spec.ts'
import type { Applied, ApplyContext, Target } from '../runtime/platform.ts'
import { allDone } from './all-done.ts'
import { giveUp } from './give-up.ts'
import { putHome } from './home.ts'
import { type Kind, kinds } from './kinds.ts'
import { type Blueprint, digestOf, ingressOf, networkPolicyOf, secretOf, serviceOf } from './parts.ts'
import { type SessionRecord, withoutEnvironment } from './record.ts'
import { refusalOf } from './refuse.ts'
import { tooSlow } from './rest.ts'
import {
  type Life,
  look,
  nextChange,
  overNow,
  recordOf,
  runningNow,
  type Step,
  type Surroundings,
  startingNow,
  startTimeoutMs,
} from './session-life.ts'
import type { Seen } from './status.ts'
import { keptPods, untilEnded } from './until-ended.ts'
import { addressIn, findWay, readToken } from './way.ts'
import { changeRecord, makeDeployment, putPart, scaleUp, stampDeployment, writeRecord } from './writes.ts'

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
    const answer = await startAnew(around, life, target, read.spec, deadline, context)
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

/** null: it was begun. */
const startAnew = async (
  around: Surroundings,
  life: Life,
  { sessionId, generation, desired }: Target,
  container: ContainerSpec,
  deadline: number,
  context: ApplyContext,
): Promise<Applied | null> => {
  const before = recordOf(life)
  const { settings } = around
  // A record that cannot be read, or is gone, does not say, but what was made by it does.
  const starts = [...life.pods.values()].map((pod) => pod.start)
  const start = Math.max(before?.start ?? 0, life.deployment?.start ?? 0, ...starts) + 1
  const asked = { sessionId, settings, owner: life.anchor?.seen.uid ?? '', start, generation, desired, container }
  const accessToken = await tokenFor(around, life, start)
  const environment = containerEnvironment(sessionId, desired, container, accessToken)
  // Only a start that was finished is believed, and nothing of it when it was for something else.
  const areThere = before?.parts === digestOf(asked, environment)
  const record: SessionRecord = {
    version: 1,
    generation,
    desired: withoutEnvironment(desired),
    settled: false,
    phase: 'up',
    start,
    parts: areThere ? before.parts : null,
    restarts: 0,
    forgiven: 0,
    counted: {},
    address: before?.address ?? null,
    observed: life.observed,
  }
  context.progress('starting', 'making what it needs in the cluster')
  life.parts = null
  await writeRecord(around, life, record)
  life.accessToken = accessToken
  await around.step('anchored')
  const blueprint: Blueprint = { ...asked, owner: life.anchor?.seen.uid ?? '' }
  const failed = new AbortController()
  const inTime = { ...context, signal: AbortSignal.any([context.signal, failed.signal]) }
  /** None of them goes on for a start that has failed. */
  const orAllFail = <A>(work: Promise<A>): Promise<A> =>
    work.catch((error: unknown) => {
      failed.abort()
      throw error
    })
  const makeHome = async (): Promise<Applied | null> => {
    if (!desired.persistentHome || areThere) return null
    const answer = await putHome(around, life, blueprint, deadline, inTime)
    await around.step('home_made')
    return answer
  }
  const { signal } = inTime
  const [answer] = await allDone([
    orAllFail(makeHome()),
    orAllFail(areThere ? Promise.resolve() : makeParts(around, life, blueprint, environment)),
    orAllFail(whenNoneIsThere(around, life, blueprint, signal)),
  ])
  if (answer !== null) return answer
  // Where an earlier home had to go first, its Deployment went with it.
  await whenNoneIsThere(around, life, blueprint, signal)
  if (signal.aborted) return { kind: 'interrupted' }
  life.parts = digestOf(blueprint, environment)
  await around.step('parts_made')
  await scaleUp(around, life, blueprint)
  await around.step('scaled_up')
  return null
}

const tokenFor = async (around: Surroundings, life: Life, start: number): Promise<string> =>
  // An empty one would let everybody in.
  life.accessToken ||
  (start > 1 ? await readToken(around, life.sessionId) : null) ||
  randomBytes(24).toString('base64url')

const makeParts = async (
  around: Surroundings,
  life: Life,
  blueprint: Blueprint,
  environment: { readonly [name: string]: string },
): Promise<void> => {
  const put = async (kind: Kind, object: KubernetesObject | null, step: Step): Promise<KubernetesObject | null> => {
    if (object === null) return null
    const made = await putPart(around, blueprint, kind, object)
    await around.step(step)
    return made
  }
  const [made] = await allDone([
    put(kinds.service, serviceOf(blueprint), 'service_made'),
    put(kinds.secret, secretOf(blueprint, environment), 'secret_made'),
    put(kinds.networkPolicy, networkPolicyOf(blueprint), 'network_policy_made'),
    put(kinds.ingress, ingressOf(blueprint), 'ingress_made'),
  ])
  life.address = addressIn(made as V1Service | null)
}

/** What is going is gone in moments, or the making of another says that it is not. */
const GOING_MS = 10_000

/** Of a record that is gone: the cluster is about to take it, too, though it may not have begun to. */
const isGoing = ({ deployment }: Life, { owner }: Blueprint): boolean =>
  deployment !== null && (deployment.going || (deployment.owner !== null && deployment.owner !== owner))

/** Beside the parts: it has no pods yet, and its controller has seen it by the time they are to come. */
const whenNoneIsThere = async (
  around: Surroundings,
  life: Life,
  blueprint: Blueprint,
  signal: AbortSignal,
): Promise<void> => {
  const until = Date.now() + GOING_MS
  while (isGoing(life, blueprint) && Date.now() < until && !signal.aborted)
    await nextChange(life, until - Date.now(), signal)
  if (life.deployment !== null || signal.aborted) return
  await makeDeployment(around, life, blueprint)
  await around.step('deployment_made')
}

const awaitRunning = async (
  around: Surroundings,
  life: Life,
  deadline: number,
  { signal, progress }: ApplyContext,
): Promise<Applied> => {
  let until = deadline
  let told = ''
  // Of its last start: a Deployment makes no pod before they are gone.
  const kept = keptPods(around, life)
  for (;;) {
    await kept.dismiss()
    const record = recordOf(life)
    if (signal.aborted || record === null) return { kind: 'interrupted' }
    const seen = look(around, life, record)
    switch (seen.kind) {
      case 'running':
        return settle(around, life, seen)
      case 'restarting':
        await changeRecord(around, life, {
          restarts: seen.restarts,
          forgiven: seen.forgiven,
          counted: seen.counted,
        })
        until = Date.now() + startTimeoutMs(record)
        progress('restarting', seen.message)
        continue
      case 'over':
        return failure(around, life, seen)
      case 'missing':
        // Whoever removed it meanwhile is answered by a new start.
        return { kind: 'failed', code: 'removed_outside', message: seen.message, retryable: true }
      case 'starting':
        // Each start has its time, and how long the kubelet waits before it is not of it.
        if (seen.reason === 'restarting') until = Date.now() + startTimeoutMs(record)
        if (Date.now() >= until) return failure(around, life, timedOut(record, seen))
        if (seen.message !== told) {
          progress(seen.reason, seen.message)
          life.observed = startingNow(around, life, record, seen)
        }
        told = seen.message
        await nextChange(life, Math.min(until, kept.next()) - Date.now(), signal)
    }
  }
}

/** Reasons that say more than that the time was up. */
const TELLING = new Set(['unschedulable', 'image_pull_failed', 'platform_error'])

export const timedOut = (
  record: SessionRecord,
  { reason, message, pod }: Extract<Seen, { kind: 'starting' }>,
): Extract<Seen, { kind: 'over' }> => ({
  kind: 'over',
  status: 'failed',
  reason: TELLING.has(reason) ? reason : 'start_timeout',
  message: `waited ${seconds(startTimeoutMs(record))} for it to be ready; last: ${message}`,
  exit: null,
  output: null,
  pod,
})

const settle = async (around: Surroundings, life: Life, seen: Extract<Seen, { kind: 'running' }>): Promise<Applied> => {
  const record = recordOf(life)
  if (record === null) return { kind: 'interrupted' }
  await around.step('ready')
  await around.reach(life.address, record.desired.spec.ports?.[0]?.port)
  life.wasReady = seen.pod.container?.id ?? null
  const observed = runningNow(around, life, record, seen.pod)
  await changeRecord(around, life, { settled: true, address: life.address, parts: life.parts ?? record.parts ?? null })
  life.observed = observed
  await around.step('settled')
  return { kind: 'applied', observed }
}

const failure = async (around: Surroundings, life: Life, seen: Extract<Seen, { kind: 'over' }>): Promise<Applied> => {
  const record = recordOf(life)
  if (record === null) return { kind: 'interrupted' }
  const observed = overNow(around, life, record, seen)
  await giveUp(around, life, observed)
  if (observed.status !== 'failed') return { kind: 'applied', observed }
  return { kind: 'failed', code: seen.reason, message: seen.message, retryable: false, observed }
}
