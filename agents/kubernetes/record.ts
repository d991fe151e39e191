/**
 * What was applied of a session, on its ConfigMap: a new agent learns everything from here. Environment and access
 * token are not in it; they are in the session's Secret, which has the same name.
 */
import type { V1ConfigMap } from '@kubernetes/client-node'
import * as c from '../../domain/codec/codec.ts'
import { E } from '../../domain/fp.ts'
import type { SessionId } from '../../domain/ids.ts'
import { type Desired, desiredCodec, generation, observedCodec, type WireObserved } from '../protocol.ts'
import { labelsOf, nameOf } from './names.ts'

/** `up`: a pod runs, or is to. `down`: none does. */
export type Phase = 'up' | 'down'

export type SessionRecord = {
  readonly version: 1
  readonly generation: number
  /** Without its environment. */
  readonly desired: Desired
  /** It is so. False while an apply is under way, or was cut short and will be asked for again. */
  readonly settled: boolean
  readonly phase: Phase
  /** Raised by every start: which pods are of the present one. */
  readonly start: number
  /** How often its command was started again, in all. */
  readonly restarts: number
  /** Restarts that no longer count, as it was well for long in between. */
  readonly forgiven: number
  /** The start that was made again, and is among the restarts: one that comes to nothing is not counted twice. */
  readonly again?: number | null
  /** By the uid of each pod that is there: how many of its endings are among the restarts. */
  readonly counted: { readonly [pod: string]: number }
  /** The address of its Service. */
  readonly address: string | null
  /** What its parts were made from by a start that was finished (`digestOf`); null: they are to be made, or made anew. */
  readonly parts?: string | null
  readonly observed: WireObserved
}

/** Far below what a number can hold: what was read is raised by one. */
const count = c.integer({ minimum: 0, maximum: 2 ** 48 })

/**
 * Anybody may edit a record, and everything here counts on its types. One that is not as an agent writes it is as one
 * that cannot be read: put back by whoever remembers it (`mend.ts`).
 */
const recordCodec: c.Codec<SessionRecord> = c.openObject(
  {
    version: c.oneOf([1]),
    generation,
    desired: desiredCodec,
    settled: c.boolean,
    phase: c.oneOf(['up', 'down']),
    start: count,
    restarts: count,
    forgiven: count,
    counted: c.record(count),
    address: c.nullable(c.string()),
    observed: observedCodec,
  },
  { parts: c.nullable(c.string()), again: c.nullable(count) },
)

const KEY = 'record'
/** Labels are for finding and anybody edits them; this is what counts. */
const OWNER = 'agent'

export const withoutEnvironment = (desired: Desired): Desired => {
  const { container, process: _process, ...spec } = desired.spec
  const { env: _env, ...rest } = (container ?? {}) as Record<string, unknown>
  return { ...desired, spec: { ...spec, env: {}, ...(container === undefined ? {} : { container: rest }) } }
}

/** A ConfigMap is read by more people than a Secret, and the links of an endpoint have the access token in them. */
const withoutEndpoint = (observed: WireObserved): WireObserved => ({ ...observed, endpoint: null })

export const anchorOf = (sessionId: SessionId, agentId: string, record: SessionRecord): V1ConfigMap => ({
  metadata: {
    name: nameOf(sessionId),
    labels: labelsOf(sessionId, agentId),
    // For people who look with kubectl; what counts is in the record.
    annotations: { 'streamspace.io/name': record.desired.name, 'streamspace.io/user': record.desired.userId },
  },
  data: { [OWNER]: agentId, [KEY]: JSON.stringify({ ...record, observed: withoutEndpoint(record.observed) }) },
})

/** Which agent has made it; null: it does not say. */
export const ownerIn = (anchor: V1ConfigMap): string | null => anchor.data?.[OWNER] ?? null

/** null: not one that this version understands. */
export const recordIn = (anchor: V1ConfigMap): SessionRecord | null => {
  try {
    const read: unknown = JSON.parse(anchor.data?.[KEY] ?? '')
    // As it was written and not as decoded: whether it is another is told by its text, in which fields keep their order.
    return E.isRight(recordCodec.decode(read)) ? (read as SessionRecord) : null
  } catch {
    return null
  }
}

/** The generation that is so; of one that is not yet, the one below it. */
export const generationOf = ({ settled, generation }: SessionRecord): number =>
  settled ? generation : Math.max(0, generation - 1)
