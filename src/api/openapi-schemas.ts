/** The schemas that have a name of their own in the OpenAPI document, and references to them. */
import type { JsonSchema } from '../../domain/codec/codec.ts'
import {
  agentCodec,
  agentDrainCodec,
  agentPageCodec,
  agentWithTokenCodec,
  enrolAgentCodec,
  removedAgentCodec,
} from './agent.ts'
import { apiKeyCodec, apiKeyPageCodec, apiKeyWithSecretCodec, createApiKeyCodec, rotateApiKeyCodec } from './api-key.ts'
import { auditEventCodec, auditPageCodec } from './audit.ts'
import { commandCodec, commandPageCodec } from './command.ts'
import { sessionEventCodec, sessionEventPageCodec } from './event.ts'
import { jobCodec, jobPageCodec, queueCodec, queuePageCodec } from './job.ts'
import { createOrgCodec, orgCodec, orgPageCodec } from './org.ts'
import {
  agentEventCodec,
  agentEventPageCodec,
  approvedCodec,
  approveOrphansCodec,
  orgOrphanRemovalCodec,
  orphanCodec,
  orphanPageCodec,
  orphanRemovalCodec,
} from './orphan.ts'
import { problemCodec } from './problem.ts'
import { quotaCodec, setQuotaCodec, usageCodec } from './quota.ts'
import {
  adoptOrphanCodec,
  changeSessionCodec,
  createSessionCodec,
  refusalCodec,
  sessionCodec,
  sessionPageCodec,
  sessionSummaryCodec,
  slimSessionSchema,
} from './session.ts'
import { batchCodec, batchResultCodec, planCodec } from './session-batch.ts'
import { putTemplateCodec, templateCodec, templatePageCodec } from './template.ts'

export const named: { readonly [name: string]: JsonSchema } = {
  Session: sessionCodec.schema,
  SlimSession: slimSessionSchema,
  SessionPage: sessionPageCodec.schema,
  SessionSummary: sessionSummaryCodec.schema,
  Refusal: refusalCodec.schema,
  SessionPlan: planCodec.schema,
  SessionBatch: batchCodec.schema,
  SessionBatchResult: batchResultCodec.schema,
  CreateSession: createSessionCodec.schema,
  ChangeSession: changeSessionCodec.schema,
  Event: sessionEventCodec.schema,
  EventPage: sessionEventPageCodec.schema,
  Command: commandCodec.schema,
  CommandPage: commandPageCodec.schema,
  Queue: queueCodec.schema,
  QueuePage: queuePageCodec.schema,
  Job: jobCodec.schema,
  JobPage: jobPageCodec.schema,
  Template: templateCodec.schema,
  TemplatePage: templatePageCodec.schema,
  PutTemplate: putTemplateCodec.schema,
  Agent: agentCodec.schema,
  AgentPage: agentPageCodec.schema,
  AgentWithToken: agentWithTokenCodec.schema,
  AgentDrain: agentDrainCodec.schema,
  EnrolAgent: enrolAgentCodec.schema,
  RemovedAgent: removedAgentCodec.schema,
  Org: orgCodec.schema,
  OrgPage: orgPageCodec.schema,
  CreateOrg: createOrgCodec.schema,
  Quota: quotaCodec.schema,
  SetQuota: setQuotaCodec.schema,
  Usage: usageCodec.schema,
  ApiKey: apiKeyCodec.schema,
  ApiKeyPage: apiKeyPageCodec.schema,
  ApiKeyWithSecret: apiKeyWithSecretCodec.schema,
  CreateApiKey: createApiKeyCodec.schema,
  RotateApiKey: rotateApiKeyCodec.schema,
  Orphan: orphanCodec.schema,
  OrphanPage: orphanPageCodec.schema,
  AdoptOrphan: adoptOrphanCodec.schema,
  ApproveOrphans: approveOrphansCodec.schema,
  ApprovedOrphans: approvedCodec.schema,
  OrphanRemoval: orphanRemovalCodec.schema,
  OrgOrphanRemoval: orgOrphanRemovalCodec.schema,
  AgentEvent: agentEventCodec.schema,
  AgentEventPage: agentEventPageCodec.schema,
  AuditEvent: auditEventCodec.schema,
  AuditPage: auditPageCodec.schema,
  Problem: problemCodec.schema,
}

export const nameOf = new Map<unknown, string>(Object.entries(named).map(([name, schema]) => [schema, name]))

/** The schema with every named one inside replaced by a reference to it. Schemas are compared by identity. */
export const referenced = (schema: unknown, isDefinition = false): unknown => {
  const name = nameOf.get(schema)
  if (name !== undefined && !isDefinition) return { $ref: `#/components/schemas/${name}` }
  if (Array.isArray(schema)) return schema.map((item) => referenced(item))
  return typeof schema === 'object' && schema !== null
    ? Object.fromEntries(Object.entries(schema).map(([key, inner]) => [key, referenced(inner)]))
    : schema
}
