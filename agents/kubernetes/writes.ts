/**
 * Writes of a session's objects, each refused when somebody else has written since it was read. Whoever is refused
 * does not read again and try once more: an agent that was stopped, and goes on after another has worked in its
 * place, must change nothing (docs/decisions/0080). Only what the cluster itself writes (a Deployment's status) is
 * read again; the stamp tells the difference.
 */
import { randomUUID } from 'node:crypto'
import type { KubernetesObject, V1ConfigMap, V1Deployment } from '@kubernetes/client-node'
import { isConflict, isGone } from './api.ts'
import { deploymentOf } from './deployment.ts'
import { type Kind, kinds } from './kinds.ts'
import { GENERATION, labelsOf, nameOf, STAMP, START } from './names.ts'
import { seenOf } from './objects-client.ts'
import { type Blueprint, ownedBy } from './parts.ts'
import { anchorOf, ownerIn, type SessionRecord } from './record.ts'
import type { Life, Surroundings } from './session-life.ts'
import { type DeploymentView, deploymentView, isMade } from './views.ts'

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

const orOvertaken = (error: unknown, what: string): unknown =>
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
const TRIES = 5

/** Makes a part, or makes it as it should be now; what belongs to a later start is somebody else's. */
export const putPart = async (
  around: Surroundings,
  blueprint: Blueprint,
  kind: Kind,
  object: KubernetesObject,
): Promise<KubernetesObject> => {
  try {
    return await around.objects.create(kind, object)
  } catch (error) {
    if (!isConflict(error)) throw error
  }
  for (let tries = 1; ; tries += 1)
    try {
      return await changePart(around, blueprint, kind, object)
    } catch (error) {
      // Each time it is read anew whose it is: only one start of a session has this number.
      if (!isConflict(error) || tries === TRIES) throw orOvertaken(error, `the ${kind.kind}`)
    }
}

const changePart = async (
  around: Surroundings,
  blueprint: Blueprint,
  kind: Kind,
  object: KubernetesObject,
): Promise<KubernetesObject> => {
  const { objects } = around
  const there = await objects.get(kind, nameOf(blueprint.sessionId))
  const start = Number(there.metadata?.annotations?.[START] ?? 0)
  switch (whoseIs(there, blueprint)) {
    case 'ours':
      if (start > blueprint.start) throw new Overtaken(`the ${kind.kind}`)
      break
    case 'earlier':
      await checkStillOurs(around, blueprint)
      break
    case 'foreign':
      throw new NameTaken(kind, nameOf(blueprint.sessionId))
  }
  return objects.apply(kind, object, seenOf(there))
}

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
  life.basis = { ...life.basis, deployment: { uid: seen.uid, stamp } }
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

/** A write of the Deployment that was seen, again and again while only the cluster itself has touched it. */
const onDeployment = async (
  around: Surroundings,
  life: Life,
  stamp: string,
  write: (seen: DeploymentView['seen']) => Promise<V1Deployment>,
): Promise<void> => {
  const { deployment: basis } = life.basis
  let base = life.deployment
  if (base === null || base.stamp !== basis?.stamp || base.seen.uid !== basis.uid) throw new Overtaken('the Deployment')
  for (;;)
    try {
      standOnDeployment(around, life, await write(base.seen))
      return
    } catch (error) {
      if (!isConflict(error)) throw orOvertaken(error, 'the Deployment')
      const there = await around.objects
        .get<V1Deployment>(kinds.deployment, nameOf(life.sessionId))
        .catch((gone: unknown) => {
          throw orOvertaken(gone, 'the Deployment')
        })
      const now = deploymentView(there)
      if (now.stamp === stamp) {
        standOnDeployment(around, life, there)
        return
      }
      around.learn.deployment(there)
      if (now.stamp !== base.stamp || now.seen.uid !== base.seen.uid) throw new Overtaken('the Deployment')
      base = now
    }
}

export const scaleUp = (around: Surroundings, life: Life, blueprint: Blueprint): Promise<void> => {
  const stamp = randomUUID()
  return onDeployment(around, life, stamp, (seen) =>
    around.objects.apply(kinds.deployment, deploymentOf(blueprint, 1, stamp), seen),
  )
}

/** Nothing of it changes but whose generation it is: its pods go on. */
export const stampDeployment = (around: Surroundings, life: Life, generation: number): Promise<void> =>
  mergeDeployment(around, life, generation, {})

export const scaleDown = (around: Surroundings, life: Life, generation: number): Promise<void> =>
  scaleTo(around, life, generation, 0)

export const scaleTo = (around: Surroundings, life: Life, generation: number, replicas: 0 | 1): Promise<void> =>
  mergeDeployment(around, life, generation, { spec: { replicas } })

/** Found again, and gone with its record. */
export const mendDeployment = (around: Surroundings, life: Life, owner: string): Promise<void> => {
  const stamp = randomUUID()
  const name = nameOf(life.sessionId)
  const metadata = {
    labels: labelsOf(life.sessionId, around.settings.agentId),
    annotations: { [STAMP]: stamp },
    ownerReferences: [ownedBy(name, owner)],
  }
  return onDeployment(around, life, stamp, (seen) => around.objects.merge(kinds.deployment, name, { metadata }, seen))
}

const mergeDeployment = (around: Surroundings, life: Life, generation: number, change: object): Promise<void> => {
  const stamp = randomUUID()
  const metadata = { annotations: { [GENERATION]: String(generation), [STAMP]: stamp } }
  return onDeployment(around, life, stamp, (seen) =>
    around.objects.merge(kinds.deployment, nameOf(life.sessionId), { ...change, metadata }, seen),
  )
}
