/**
 * Branded identifiers: a session's id cannot be passed where an agent's is meant.
 * The brand exists for the compiler only; at run time each of them is a plain string.
 */
declare const brand: unique symbol
type Branded<Name extends string> = string & { readonly [brand]: Name }

export type OrgId = Branded<'OrgId'>
export type UserId = Branded<'UserId'>
export type SessionId = Branded<'SessionId'>
export type AgentId = Branded<'AgentId'>
export type TemplateId = Branded<'TemplateId'>
export type CommandId = Branded<'CommandId'>
export type ReplicaId = Branded<'ReplicaId'>
export type ApiKeyId = Branded<'ApiKeyId'>
export type WebhookId = Branded<'WebhookId'>
export type WebhookDeliveryId = Branded<'WebhookDeliveryId'>

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i

/** Whether `text` is a UUID in its usual spelling (any version, either case). */
export const isUuid = (text: string): boolean => UUID.test(text)

/** DNS label of RFC 1123: what templates and orgs are named. */
export const DNS_LABEL = '^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$'
export const DNS_LABEL_IN_WORDS = '1–63 lower-case letters, digits and hyphens, with a letter or digit at both ends'

/** What an agent may be called: it appears in paths, labels and file names. */
export const AGENT_ID = '^[a-zA-Z0-9]([-_.a-zA-Z0-9]{0,61}[a-zA-Z0-9])?$'
export const AGENT_ID_IN_WORDS =
  '1–63 letters, digits, hyphens, underscores and dots, with a letter or digit at both ends'
