/**
 * What is written on the engine's objects, and how they are called. Labels never change after an object was made;
 * names do: what changes in a session's life (phase, restarts) is in the name of its anchor, and the first part of
 * each name is the agent's own token, so that whoever takes over renames everything and an older agent of the
 * same id finds nothing any more (docs/decisions/0070-docker-names-are-the-fence.md).
 */
import { randomBytes } from 'node:crypto'
import { isUuid, type SessionId } from '../../domain/ids.ts'
import type { Desired } from '../protocol.ts'
import type { Labels } from './engine.ts'

const PREFIX = 'streamspace.io/'
export const label = {
  agent: `${PREFIX}agent`,
  /** `agent`, `room` (of a moment, see `ownership.ts`), `session`, `workload`, `network`. */
  role: `${PREFIX}role`,
  session: `${PREFIX}session`,
  generation: `${PREFIX}generation`,
  incarnation: `${PREFIX}incarnation`,
  org: `${PREFIX}org`,
  user: `${PREFIX}user`,
  name: `${PREFIX}name`,
  desired: `${PREFIX}desired`,
  token: `${PREFIX}access-token`,
  imageDigest: `${PREFIX}image-digest`,
} as const

export const newToken = (): string => randomBytes(5).toString('hex')

/**
 * `applying`: an apply is under way, or was cut short. `up`: it runs, or is started again. `waiting`: it ended and
 * will be started again. `failed`, `ended`: it is over. The rest is as asked.
 */
export const phases = ['applying', 'up', 'waiting', 'failed', 'ended', 'stopped', 'hibernated', 'deleting'] as const
export type Phase = (typeof phases)[number]

export type Progress = {
  readonly phase: Phase
  /** Why it failed, in one word; empty otherwise. */
  readonly reason: string
  /** How often the restart policy started it again, in all, and since it was last healthy for long. */
  readonly restarts: number
  readonly retries: number
}

export type Anchor = {
  readonly sessionId: SessionId
  readonly generation: number
  readonly desired: Desired
  readonly accessToken: string
  readonly progress: Progress
  readonly name: string
  readonly id: string
}

const NAME = /^streamspace-[0-9a-f]{10}-[0-9a-f-]{36}-anchor-\d+-([a-z]+)-([a-z_]*)-(\d+)-(\d+)$/

export const agentName = (token: string): string => `streamspace-${token}-agent`
export const workloadName = (token: string, sessionId: SessionId, generation: number): string =>
  `streamspace-${token}-${sessionId}-workload-${generation}`
export const anchorName = (token: string, sessionId: SessionId, generation: number, progress: Progress): string =>
  `streamspace-${token}-${sessionId}-anchor-${generation}-${progress.phase}-${progress.reason}-${progress.restarts}-${progress.retries}`

/** The same, for another owner. */
export const nameFor = (token: string, name: string): string =>
  name.replace(/^streamspace-[0-9a-f]{10}-/, `streamspace-${token}-`)

/** Whichever agent's, of this id. */
export const isWorkloadName = (name: string, sessionId: SessionId, generation: number): boolean =>
  name.replace(/^streamspace-[0-9a-f]{10}-/, '') === `${sessionId}-workload-${generation}`

export const isOwn = (token: string, name: string): boolean => name.startsWith(`streamspace-${token}-`)

/** Whether it bears the name that another owner gave it. */
export const isAnothers = (token: string, name: string): boolean => {
  const [, owner] = /^streamspace-([0-9a-f]{10})-/.exec(name) ?? []
  return owner !== undefined && owner !== token
}

export const homeVolume = (sessionId: SessionId): string => `streamspace-${sessionId}-home`

export const anchorLabels = (
  agentId: string,
  sessionId: SessionId,
  generation: number,
  desired: Desired,
  accessToken: string,
): Labels => ({
  ...sessionLabels(agentId, sessionId, generation, desired),
  [label.role]: 'session',
  [label.desired]: JSON.stringify(desired),
  [label.token]: accessToken,
})

export const workloadLabels = (
  agentId: string,
  { sessionId, generation, desired }: Anchor,
  imageDigest: string,
): Labels => ({
  ...sessionLabels(agentId, sessionId, generation, desired),
  [label.role]: 'workload',
  [label.imageDigest]: imageDigest,
})

const sessionLabels = (agentId: string, sessionId: SessionId, generation: number, desired: Desired): Labels => ({
  [label.agent]: agentId,
  [label.session]: sessionId,
  [label.generation]: String(generation),
  [label.incarnation]: String(desired.incarnation),
  [label.org]: desired.orgId,
  [label.user]: desired.userId,
  [label.name]: desired.name,
})

/** Whose an object is, or null when its labels do not say (somebody made or changed it by hand). */
export const sessionOf = (labels: Labels): { readonly sessionId: SessionId; readonly generation: number } | null => {
  const sessionId = labels[label.session] ?? ''
  const generation = labels[label.generation] ?? ''
  return isUuid(sessionId) && /^\d{1,15}$/.test(generation)
    ? { sessionId: sessionId as SessionId, generation: Number(generation) }
    : null
}

export const incarnationOf = (labels: Labels): number => Number(labels[label.incarnation] ?? Number.NaN)

const isPhase = (word: string): word is Phase => (phases as readonly string[]).includes(word)

/** null: it is no anchor that this version understands. */
export const anchorOf = (listed: {
  readonly id: string
  readonly name: string
  readonly labels: Labels
}): Anchor | null => {
  const known = sessionOf(listed.labels)
  const [, phase = '', reason = '', restarts = '', retries = ''] = NAME.exec(listed.name) ?? []
  const text = listed.labels[label.desired]
  if (known === null || !isPhase(phase) || text === undefined) return null
  try {
    const desired = JSON.parse(text) as Desired
    if (typeof desired !== 'object' || desired === null || typeof desired.spec !== 'object') return null
    return {
      ...known,
      desired,
      accessToken: listed.labels[label.token] ?? '',
      progress: { phase, reason, restarts: Number(restarts), retries: Number(retries) },
      name: listed.name,
      id: listed.id,
    }
  } catch {
    return null
  }
}
