/** Which events a webhook asks for. */
import type { OrgId, WebhookId } from '../ids.ts'
import type { FeedEvent } from '../ports/feed.ts'
import { ANY_EVENT } from './webhook.ts'

export type Subscription = {
  readonly webhookId: WebhookId
  readonly orgId: OrgId
  readonly events: readonly string[]
  readonly labels: { readonly [name: string]: string }
}

/** Labels are those that the session has when its event is read; of one that has left the database none are known. */
export const wants = (
  { orgId, events, labels }: Subscription,
  { orgId: ofOrg, event, subject }: Pick<FeedEvent, 'orgId' | 'event' | 'subject'>,
): boolean =>
  orgId === ofOrg &&
  (events.includes(ANY_EVENT) || events.includes(event.type)) &&
  Object.entries(labels).every(
    ([name, value]) => subject !== null && Object.hasOwn(subject.labels, name) && subject.labels[name] === value,
  )
