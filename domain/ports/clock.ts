import type { ApiKeyId, CommandId, ReplicaId, SessionId, TemplateId, WebhookDeliveryId, WebhookId } from '../ids.ts'

/** The time that all replicas agree on: the database's. */
export type Clock = { readonly now: () => Date }

/** Fresh UUIDv7: they sort by the time they were made. */
export type Ids = {
  readonly session: () => SessionId
  readonly command: () => CommandId
  readonly template: () => TemplateId
  readonly replica: () => ReplicaId
  readonly apiKey: () => ApiKeyId
  readonly webhook: () => WebhookId
  readonly webhookDelivery: () => WebhookDeliveryId
}
