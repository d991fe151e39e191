/**
 * A part of a session (its Service, Secret, NetworkPolicy, Ingress), as it should be now. One that a session of this id has left whose
 * record is gone is not taken over: the cluster has read that its owner is gone, and takes it away by its uid, whoever owns it by
 * then (kubernetes#114603). So its end is waited for, as that of a home is.
 */
import { setTimeout as wait } from 'node:timers/promises'
import type { KubernetesObject } from '@kubernetes/client-node'
import { isConflict, isGone } from './api.ts'
import type { Kind } from './kinds.ts'
import { nameOf, START } from './names.ts'
import { seenOf } from './objects-client.ts'
import type { Blueprint } from './parts.ts'
import type { Surroundings } from './session-life.ts'
import { checkStillOurs, NameTaken, Overtaken, orOvertaken, TRIES, whoseIs } from './writes.ts'

export type Patience = {
  /** Milliseconds since the epoch. */
  readonly until: number
  readonly signal: AbortSignal
  /** Told when something has to go first. */
  readonly waiting: () => void
}

/** Each further one is twice as long. */
const FIRST_PAUSE_MS = 100
const LONGEST_PAUSE_MS = 2_000

/**
 * Makes it, or makes it as it should be now; what belongs to a later start is somebody else's. null: aborted while an earlier one was
 * waited for.
 */
export const putPart = async (
  around: Surroundings,
  blueprint: Blueprint,
  kind: Kind,
  object: KubernetesObject,
  { until, signal, waiting }: Patience,
): Promise<KubernetesObject | null> => {
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(LONGEST_PAUSE_MS, 2 * pauseMs)) {
    const put = (await made(around, kind, object)) ?? (await changed(around, blueprint, kind, object))
    if (put !== null) return put
    if (signal.aborted) return null
    if (Date.now() >= until)
      throw new Error(`its earlier ${kind.kind} was deleted with its record and is still there: see what keeps it`)
    waiting()
    await wait(Math.min(pauseMs, Math.max(0, until - Date.now())), undefined, { signal }).catch(() => {})
  }
}

/** null: there is one. */
const made = async (
  { objects }: Surroundings,
  kind: Kind,
  object: KubernetesObject,
): Promise<KubernetesObject | null> => {
  try {
    return await objects.create(kind, object)
  } catch (error) {
    if (isConflict(error)) return null
    throw error
  }
}

/** null: what is there goes, or is gone. */
const changed = async (
  around: Surroundings,
  blueprint: Blueprint,
  kind: Kind,
  object: KubernetesObject,
): Promise<KubernetesObject | null> => {
  for (let tries = 1; ; tries += 1)
    try {
      return await changeOnce(around, blueprint, kind, object)
    } catch (error) {
      // Each time it is read anew whose it is: only one start of a session has this number.
      if (!isConflict(error) || tries === TRIES) throw orOvertaken(error, `the ${kind.kind}`)
    }
}

const changeOnce = async (
  around: Surroundings,
  blueprint: Blueprint,
  kind: Kind,
  object: KubernetesObject,
): Promise<KubernetesObject | null> => {
  const { objects } = around
  const there = await objects.get(kind, nameOf(blueprint.sessionId)).catch((error: unknown) => {
    if (isGone(error)) return null
    throw error
  })
  if (there === null) return null
  const start = Number(there.metadata?.annotations?.[START] ?? 0)
  switch (whoseIs(there, blueprint)) {
    case 'ours':
      if (start > blueprint.start) throw new Overtaken(`the ${kind.kind}`)
      return objects.apply(kind, object, seenOf(there))
    case 'earlier':
      await checkStillOurs(around, blueprint)
      return null
    case 'foreign':
      throw new NameTaken(kind, nameOf(blueprint.sessionId))
  }
}
