/** What objects of a session are called, and the labels by which they are found again. */
import { isUuid, type SessionId } from '../../domain/ids.ts'

/** A Service's name must begin with a letter, and a pod's has 17 characters more: both fit in 63. */
const PREFIX = 'session-'

export const nameOf = (sessionId: SessionId): string => `${PREFIX}${sessionId}`

export const SESSION_LABEL = 'streamspace.io/session-id'
export const AGENT_LABEL = 'streamspace.io/agent'
export const GENERATION = 'streamspace.io/generation'
export const INCARNATION = 'streamspace.io/incarnation'
/** Which start of the session a pod belongs to: one that is started again without anything new is another pod. */
export const START = 'streamspace.io/start'
/** Another with every write of an agent: whether somebody else has written since is seen from it. */
export const STAMP = 'streamspace.io/stamp'
export const MANAGED_BY = 'app.kubernetes.io/managed-by'
export const FIELD_MANAGER = 'streamspace-agent'

export const labelsOf = (sessionId: SessionId, agentId: string): Record<string, string> => ({
  [SESSION_LABEL]: sessionId,
  [AGENT_LABEL]: agentId,
  [MANAGED_BY]: FIELD_MANAGER,
})

/** null: none of ours, or its label was edited. The name is what counts, as nobody can change it. */
export const sessionOf = (name: string | undefined): SessionId | null => {
  if (name?.startsWith(PREFIX) !== true) return null
  const id = name.slice(PREFIX.length)
  return isUuid(id) ? (id as SessionId) : null
}

/** `session-<id>-<hash>-<suffix>`: which session a pod is of, when all there is is its name. */
export const sessionOfPod = (name: string | undefined): SessionId | null =>
  sessionOf(name?.slice(0, PREFIX.length + 36))
