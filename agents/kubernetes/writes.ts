/**
 * Writes of a session's objects, each refused when somebody else has written since it was read. Whoever is refused
 * does not read again and try once more: an agent that was stopped, and goes on after another has worked in its
 * place, must change nothing (docs/decisions/0080). A Deployment, which the cluster's own controllers write too, is
 * changed on the condition that no agent has: its stamp tells.
 */
import { randomUUID } from 'node:crypto'
import type { KubernetesObject, V1ConfigMap, V1Deployment } from '@kubernetes/client-node'
import { isConflict, isGone, isInvalid } from './api.ts'
import { deploymentOf } from './deployment.ts'
import { type Kind, kinds } from './kinds.ts'
import { GENERATION, labelsOf, nameOf, STAMP, START } from './names.ts'
import { annotationPath, type Operation, seenOf } from './objects-client.ts'
import { type Blueprint, ownedBy } from './parts.ts'
import { anchorOf, ownerIn, type SessionRecord } from './record.ts'
import type { Life, Surroundings } from './session-life.ts'
import { deploymentView, isMade } from './views.ts'

/** Somebody else works on this session. */
export class Overtaken extends Error {
  override readonly name = 'Overtaken'
  constructor(what: string) {
    super(`somebody else has changed ${what} of this session meanwhile: nothing more was done, ask again`)
  }
}

/** Something of somebody else has the name: it is left as it is. */
export class NameTaken extends Error {
  override readonly name = 'NameTaken'
  constructor({ kind }: Kind, name: string) {
    super(`there is a ${kind} ${name} in the namespace that is not this agent's: remove it, or delete this session`)
  }
}

/** Of what was there when this work began. */
export const orOvertaken = (error: unknown, what: string): unknown =>
  isConflict(error) || isGone(error) ? new Overtaken(what) : error

/** The whole record. In memory and in the cluster when it resolves. */
export const writeRecord = async (around: Surroundings, life: Life, record: SessionRecord): Promise<void> => {
  const { objects, settings, learn } = around
  const anchor = anchorOf(life.sessionId, settings.agentId, record)
  const standOn = (object: KubernetesObject): void => {
    life.basis = { ...life.basis, anchor: seenOf(object) }
    learn.anchor(object)
  }
  try {
    const written =
      life.basis.anchor === null
        ? await objects.create(kinds.configMap, anchor)
        : await objects.apply(kinds.configMap, anchor, life.basis.anchor)
    standOn(written)
  } catch (error) {
    if (!isConflict(error)) throw orOvertaken(error, 'the record')
    // An answer that was lost on the way makes the second try of the very same write a conflict.
    const there = await objects.get<V1ConfigMap>(kinds.configMap, nameOf(life.sessionId)).catch(() => null)
    if (there !== null && ownerIn(there) !== settings.agentId)
      throw new NameTaken(kinds.configMap, nameOf(life.sessionId))
    if (there === null || there.data?.record !== anchor.data?.record) {
      // One that no watch shows, as its label was taken off: known when it is asked for again.
      if (there !== null) learn.anchor(there)
      throw new Overtaken('the record')
    }
    standOn(there)
  }
}

export const changeRecord = async (
  around: Surroundings,
  life: Life,
  change: Partial<SessionRecord>,
): Promise<SessionRecord> => {
  const record = life.anchor?.record
  if (record === null || record === undefined) throw new Overtaken('the record')
  const next = { ...record, ...change }
  await writeRecord(around, life, next)
  return next
}

/** How often an answer may be lost on the way, or the cluster itself be faster. */
export const TRIES = 5

/** `earlier`: of a session of this id whose record is gone; the cluster has not taken it away yet. */
export const whoseIs = (
  { metadata }: KubernetesObject,
  { owner, sessionId }: Blueprint,
): 'ours' | 'earlier' | 'foreign' => {
  const owners = metadata?.ownerReferences ?? []
  if (owners.some(({ uid }) => uid === owner)) return 'ours'
  const isRecord = (one: { kind: string; name: string }) =>
    one.kind === kinds.configMap.kind && one.name === nameOf(sessionId)
  return owners.some(isRecord) ? 'earlier' : 'foreign'
}

/** What is there was left by an earlier session's end, or made by an agent that has begun this one anew. */
export const checkStillOurs = async ({ objects }: Surroundings, { sessionId, owner }: Blueprint): Promise<void> => {
  const anchor = await objects.get<V1ConfigMap>(kinds.configMap, nameOf(sessionId)).catch((error: unknown) => {
    throw orOvertaken(error, 'the record')
  })
  if (anchor.metadata?.uid !== owner) throw new Overtaken('the record')
}

const standOnDeployment = (around: Surroundings, life: Life, object: V1Deployment): void => {
  const { stamp, seen } = deploymentView(object)
  life.basis = { ...life.basis, deployment: { ...seen, stamp } }
  around.learn.deployment(object)
}

/** Made with no pods, so that one made by an agent that was overtaken starts nothing. */
export const makeDeployment = async (around: Surroundings, life: Life, blueprint: Blueprint): Promise<void> => {
  const stamp = randomUUID()
  try {
    standOnDeployment(around, life, await around.objects.create(kinds.deployment, deploymentOf(blueprint, 0, stamp)))
  } catch (error) {
    if (!isConflict(error)) throw error
    const there = await around.objects.get<V1Deployment>(kinds.deployment, nameOf(life.sessionId)).catch(() => null)
    if (there !== null && !isMade(there)) throw new NameTaken(kinds.deployment, nameOf(life.sessionId))
    if (there === null || deploymentView(there).stamp !== stamp) throw new Overtaken('the Deployment')
    standOnDeployment(around, life, there)
  }
}

const annotate = (name: string, value: string): Operation => ({ op: 'add', path: annotationPath(name), value })

/**
 * A change of the Deployment that was seen, in one request: the server itself tests that the stamp is still the one that
 * this work stands on. What the cluster's own controllers write meanwhile is no conflict.
 */
const changeDeployment = async (around: Surroundings, life: Life, change: readonly Operation[]): Promise<void> => {
  const { deployment: basis } = life.basis
  const base = life.deployment
  if (basis === null || base === null || base.stamp !== basis.stamp || base.seen.uid !== basis.uid)
    throw new Overtaken('the Deployment')
  const stamp = randomUUID()
  const name = nameOf(life.sessionId)
  const operations: readonly Operation[] = [
    { op: 'test', path: '/metadata/uid', value: basis.uid },
    basis.stamp === ''
      ? { op: 'test', path: '/metadata/resourceVersion', value: basis.resourceVersion }
      : { op: 'test', path: annotationPath(STAMP), value: basis.stamp },
    ...(base.hasAnnotations ? [] : [{ op: 'add', path: '/metadata/annotations', value: {} } as const]),
    ...(base.start === 0 ? [annotate(START, String(life.anchor?.record?.start ?? 0))] : []),
    ...change,
    { op: 'add', path: annotationPath(STAMP), value: stamp },
  ]
  for (let tries = 1; ; tries += 1)
    try {
      standOnDeployment(around, life, await around.objects.patch(kinds.deployment, name, operations))
      return
    } catch (error) {
      if (!isConflict(error) && !isInvalid(error)) throw orOvertaken(error, 'the Deployment')
      const there = await around.objects.get<V1Deployment>(kinds.deployment, name).catch((gone: unknown) => {
        throw orOvertaken(gone, 'the Deployment')
      })
      const now = deploymentView(there)
      // An answer that was lost on the way: the first try was taken.
      if (now.stamp === stamp) {
        standOnDeployment(around, life, there)
        return
      }
      around.learn.deployment(there)
      if (now.stamp !== basis.stamp || now.seen.uid !== basis.uid) throw new Overtaken('the Deployment')
      if (basis.stamp === '' && now.seen.resourceVersion !== basis.resourceVersion)
        throw new Overtaken('the Deployment')
      // Nobody of ours has written: what it asks for is refused, or the server was too busy to find a moment for it.
      if (isInvalid(error) || tries === TRIES) throw error
    }
}

export const scaleUp = (around: Surroundings, life: Life, blueprint: Blueprint): Promise<void> => {
  const { metadata, spec } = deploymentOf(blueprint, 1, '')
  return changeDeployment(around, life, [
    { op: 'add', path: '/metadata/labels', value: metadata?.labels },
    { op: 'add', path: '/metadata/ownerReferences', value: metadata?.ownerReferences },
    ...Object.entries(metadata?.annotations ?? {}).map(([name, value]) => annotate(name, value)),
    { op: 'replace', path: '/spec', value: spec },
  ])
}

/** Nothing of it changes but whose generation it is: its pods go on. */
export const stampDeployment = (around: Surroundings, life: Life, generation: number): Promise<void> =>
  changeDeployment(around, life, [annotate(GENERATION, String(generation))])

export const scaleDown = (around: Surroundings, life: Life, generation: number): Promise<void> =>
  scaleTo(around, life, generation, 0)

export const scaleTo = (around: Surroundings, life: Life, generation: number, replicas: 0 | 1): Promise<void> =>
  changeDeployment(around, life, [
    annotate(GENERATION, String(generation)),
    { op: 'replace', path: '/spec/replicas', value: replicas },
  ])

/** Found again, and gone with its record. */
export const mendDeployment = (around: Surroundings, life: Life, owner: string): Promise<void> =>
  changeDeployment(around, life, [
    { op: 'add', path: '/metadata/labels', value: labelsOf(life.sessionId, around.settings.agentId) },
    { op: 'add', path: '/metadata/ownerReferences', value: [ownedBy(nameOf(life.sessionId), owner)] },
  ])
