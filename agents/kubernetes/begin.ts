/** Makes all that a session's start consists of in the cluster. What runs of it then is waited for elsewhere. */
import { randomBytes } from 'node:crypto'
import type { KubernetesObject, V1Service } from '@kubernetes/client-node'
import { containerEnvironment } from '../container/environment.ts'
import type { ContainerSpec } from '../container/spec.ts'
import { allDone } from '../runtime/all-done.ts'
import type { Applied, ApplyContext, Target } from '../runtime/platform.ts'
import { putHome } from './home.ts'
import { type Kind, kinds } from './kinds.ts'
import { type Blueprint, digestOf, ingressOf, networkPolicyOf, secretOf, serviceOf } from './parts.ts'
import { type Patience, putPart } from './put-part.ts'
import { type SessionRecord, withoutEnvironment } from './record.ts'
import { type Life, nextChange, recordOf, type Step, type Surroundings } from './session-life.ts'
import { addressIn, readToken } from './way.ts'
import { makeDeployment, scaleUp, writeRecord } from './writes.ts'

/** null: it was begun. */
export const begin = async (
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
  const starts = [before, life.deployment, ...life.pods.values()].map((made) => made?.start ?? 0)
  const last = Math.max(...starts)
  const start = last === 0 ? firstStart() : last + 1
  const asked = { sessionId, settings, owner: life.anchor?.seen.uid ?? '', start, generation, desired, container }
  const accessToken = await tokenFor(around, life, last > 0)
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
  const signal = AbortSignal.any([context.signal, failed.signal])
  let told = false
  const waiting = (): void => {
    if (!told) context.progress('starting', 'waiting for what was deleted of it to be gone')
    told = true
  }
  const patience: Patience = { until: deadline, signal, waiting }
  /** None of them goes on for a start that has failed. */
  const orAllFail = <A>(work: Promise<A>): Promise<A> =>
    work.catch((error: unknown) => {
      failed.abort()
      throw error
    })
  const makeHome = async (): Promise<Applied | null> => {
    if (!desired.persistentHome || areThere) return null
    const answer = await putHome(around, life, blueprint, patience)
    await around.step('home_made')
    return answer
  }
  const [answer] = await allDone([
    orAllFail(makeHome()),
    orAllFail(areThere ? Promise.resolve() : makeParts(around, life, blueprint, environment, patience)),
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

/**
 * Milliseconds since the epoch: a session that was deleted and is begun anew has no number twice, so that an agent whose watch
 * of pods is behind takes none of the earlier life for one of this.
 */
const firstStart = (): number => Date.now()

const tokenFor = async (around: Surroundings, life: Life, startedBefore: boolean): Promise<string> =>
  // An empty one would let everybody in.
  life.accessToken ||
  (startedBefore ? await readToken(around, life.sessionId) : null) ||
  randomBytes(24).toString('base64url')

const makeParts = async (
  around: Surroundings,
  life: Life,
  blueprint: Blueprint,
  environment: { readonly [name: string]: string },
  patience: Patience,
): Promise<void> => {
  const put = async (kind: Kind, object: KubernetesObject | null, step: Step): Promise<KubernetesObject | null> => {
    if (object === null) return null
    const made = await putPart(around, blueprint, kind, object, patience)
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
