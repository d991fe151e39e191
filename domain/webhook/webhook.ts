/** Webhooks: which events of an org's sessions go to which address, and what becomes of each delivery. */
import type { OrgId, SessionId, WebhookDeliveryId, WebhookId } from '../ids.ts'
import { type SessionEventType, sessionEventTypes } from '../session/words.ts'

export const ANY_EVENT = '*'
export const webhookEvents = [ANY_EVENT, ...sessionEventTypes] as const
export type WebhookEvent = typeof ANY_EVENT | SessionEventType

export const webhookStatuses = ['active', 'disabled'] as const
export type WebhookStatus = (typeof webhookStatuses)[number]

/** Why one is disabled: somebody said so, nothing arrives there any more, or the receiver has answered that it is gone. */
export const disabledReasons = ['by_request', 'dead_deliveries', 'gone'] as const
export type DisabledReason = (typeof disabledReasons)[number]

export type Webhook = {
  readonly id: WebhookId
  readonly orgId: OrgId
  readonly url: string
  readonly events: readonly WebhookEvent[]
  /** Of sessions; all have to be equal. */
  readonly labels: { readonly [name: string]: string }
  readonly status: WebhookStatus
  readonly statusReason: DisabledReason | null
  /** While a rotation lasts, the secret before signs too. */
  readonly previousSecretUntil: Date | null
  readonly createdAt: Date
  readonly updatedAt: Date
  readonly version: number
}

export const deliveryStatuses = ['pending', 'delivered', 'dead'] as const
export type DeliveryStatus = (typeof deliveryStatuses)[number]

export type WebhookDelivery = {
  readonly id: WebhookDeliveryId
  readonly webhookId: WebhookId
  readonly eventId: number
  readonly sessionId: SessionId
  readonly type: string
  readonly status: DeliveryStatus
  readonly attempts: number
  readonly lastAttemptAt: Date | null
  /** What the receiver answered last; null: nothing. */
  readonly responseStatus: number | null
  readonly lastError: string | null
  readonly createdAt: Date
  readonly finishedAt: Date | null
}

/** So many deliveries that died one after another, with none that arrived between them, and nothing more is sent. */
export const DISABLED_AFTER_DEAD = 20

/** What came of one attempt. */
export type Attempt =
  | { readonly kind: 'delivered'; readonly responseStatus: number }
  | { readonly kind: 'failed'; readonly responseStatus: number | null; readonly error: string }
  /** The receiver says that it is gone for good (410). */
  | { readonly kind: 'gone'; readonly responseStatus: number; readonly error: string }

/** What a delivery is after its attempt number `attempts`, of at most `attemptsAtMost`. */
export const afterAttempt = (attempt: Attempt, attempts: number, attemptsAtMost: number): DeliveryStatus => {
  switch (attempt.kind) {
    case 'delivered':
      return 'delivered'
    case 'gone':
      return 'dead'
    case 'failed':
      return attempts >= attemptsAtMost ? 'dead' : 'pending'
  }
}
