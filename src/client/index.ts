/** What the package `@streamspace/client` gives: `npm run pack:client` makes it of this file and of what it imports. */
export type { Agent, AgentWithToken, EnrolAgentRequest, RemovedAgent } from '../api/agent.ts'
export type { ApiKey, ApiKeyWithSecret } from '../api/api-key.ts'
export type { Command } from '../api/command.ts'
export type { SessionEvent } from '../api/event.ts'
export type { Job, Queue } from '../api/job.ts'
export type { Org } from '../api/org.ts'
export type { AgentEvent, OrgOrphanRemoval, Orphan, OrphanRemoval } from '../api/orphan.ts'
export type { Problem, ProblemCode } from '../api/problem.ts'
export type { OperationId } from '../api/routes.ts'
export type { AdoptOrphanRequest, CreateSessionRequest, Session, SessionSummary } from '../api/session.ts'
export type { PutTemplateRequest, Template } from '../api/template.ts'
export type { Answered, Call, Caller } from './call.ts'
export {
  type CallOptions,
  type Client,
  type ClientOptions,
  createClient,
  type FiltersOf,
  type Listed,
  type Listing,
  type Readiness,
  type SessionIntent,
  type WatchedEvent,
  type WatchFilters,
  type WatchOptions,
} from './client.ts'
export type { AnswerOf, BodyOf, ItemOf, ListOperation, ParamsOf, QueryOf } from './contract.ts'
export { isProblem, ProblemError, UnexpectedAnswerError, UnreachableError } from './errors.ts'
