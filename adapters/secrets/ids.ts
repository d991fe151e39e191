import { v7 as uuidv7 } from 'uuid'
import type {
  ApiKeyId,
  CommandId,
  ReplicaId,
  SessionId,
  TemplateId,
  WebhookDeliveryId,
  WebhookId,
} from '../../domain/ids.ts'
import type { Ids } from '../../domain/ports/clock.ts'

export const createIds = (): Ids => ({
  session: () => uuidv7() as SessionId,
  command: () => uuidv7() as CommandId,
  template: () => uuidv7() as TemplateId,
  replica: () => uuidv7() as ReplicaId,
  apiKey: () => uuidv7() as ApiKeyId,
  webhook: () => uuidv7() as WebhookId,
  webhookDelivery: () => uuidv7() as WebhookDeliveryId,
})
