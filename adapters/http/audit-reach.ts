/**
 * Whose things an operation changes: those of the org in which its caller acts, or of another one, which finds it in its own trail, too.
 * An operation that is not here does not compile.
 */
import type { OrgId } from '../../domain/ids.ts'
import type { OperationId, Routes } from '../../src/api/routes.ts'
import type { Reply } from './exchange.ts'

/** One that changes something, or could. */
export type Change = { [O in OperationId]: Routes[O]['method'] extends 'get' ? never : O }[OperationId]

export type Reach =
  /** Of the org in which the caller acts; or of no org in particular, as what is shared or public. */
  | 'own'
  /** Of the org that the path names as `id`. */
  | 'named'
  /** Of the org whose `id` the answer tells. */
  | 'made'
  /** Of the org that the answer tells as `orgId`; null is every org, and none in particular. */
  | 'owned'
  /** Of whoever had something there: the answer says to whom what was done (`Reply.elsewhere`). */
  | 'several'

export const reach: { readonly [O in Change]: Reach } = {
  createSession: 'own',
  planSession: 'own',
  batchSessions: 'own',
  changeSession: 'own',
  deleteSession: 'own',
  startSession: 'own',
  stopSession: 'own',
  hibernateSession: 'own',
  wakeSession: 'own',
  restartSession: 'own',
  touchSession: 'own',
  putTemplate: 'owned',
  archiveTemplate: 'own',
  enrolAgent: 'owned',
  removeAgent: 'several',
  rotateAgentToken: 'own',
  cordonAgent: 'own',
  uncordonAgent: 'own',
  drainAgent: 'own',
  approveOrphans: 'own',
  adoptOrphan: 'owned',
  haltOrphanRemoval: 'own',
  resumeOrphanRemoval: 'several',
  haltOrgOrphanRemoval: 'named',
  resumeOrgOrphanRemoval: 'named',
  redriveCommand: 'own',
  cancelCommand: 'own',
  retryJob: 'own',
  createOrg: 'made',
  deleteOrg: 'named',
  setQuota: 'named',
  createApiKey: 'owned',
  rotateApiKey: 'own',
  revokeApiKey: 'own',
  createWebhook: 'own',
  changeWebhook: 'own',
  deleteWebhook: 'own',
  rotateWebhookSecret: 'own',
  redriveWebhookDelivery: 'own',
}

type Reached = {
  readonly orgId: OrgId
  readonly before?: object
  /** Left out: what the caller's own trail tells is all about this org. */
  readonly after?: object
}

type Done = { readonly params: { readonly [name: string]: unknown }; readonly reply: Reply }

const one = (orgId: unknown): readonly Reached[] => (typeof orgId === 'string' ? [{ orgId: orgId as OrgId }] : [])
const told = ({ body }: Reply): { readonly id?: unknown; readonly orgId?: unknown } => body ?? {}

const ways: { readonly [R in Reach]: (done: Done) => readonly Reached[] } = {
  own: () => [],
  named: ({ params }) => one(params.id),
  made: ({ reply }) => one(told(reply).id),
  owned: ({ reply }) => one(told(reply).orgId),
  several: ({ reply }) => reply.elsewhere ?? [],
}

/** To whose things it was done, so far as that is said by what it was asked and how it was answered. */
export const reachedBy = (operationId: string, done: Done): readonly Reached[] =>
  Object.hasOwn(reach, operationId) ? ways[reach[operationId as Change]](done) : []
