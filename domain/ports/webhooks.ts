import type { TooManyWebhooks } from '../errors.ts'
import type { E } from '../fp.ts'
import type { OrgId, WebhookDeliveryId, WebhookId } from '../ids.ts'
import type { Attempt, DeliveryStatus, DisabledReason, Webhook, WebhookDelivery } from '../webhook/webhook.ts'
import type { Guard } from './if-match.ts'
import type { ByCreation, Page, PageRequest } from './page.ts'

export type NewWebhook = Pick<Webhook, 'id' | 'orgId' | 'url' | 'events' | 'labels'> & { readonly secret: string }

export type WebhookChanges = Partial<Pick<Webhook, 'url' | 'events' | 'labels' | 'status'>>

/** Webhooks as their org's admins deal with them. */
export type WebhookStore = {
  readonly list: (orgId: OrgId, page: PageRequest<ByCreation>) => Promise<Page<Webhook>>
  readonly get: (orgId: OrgId, id: WebhookId) => Promise<Webhook | null>
  readonly add: (webhook: NewWebhook) => Promise<E.Either<TooManyWebhooks, Webhook>>
  /** Only at this version; null: it has another one by now, or is gone. */
  readonly change: (orgId: OrgId, id: WebhookId, version: number, changes: WebhookChanges) => Promise<Webhook | null>
  /** The secret before signs for `overlapSeconds` more. */
  /** null: there is none, or none that `guard` allows. */
  readonly rotate: (
    orgId: OrgId,
    id: WebhookId,
    secret: string,
    overlapSeconds: number,
    guard?: Guard,
  ) => Promise<Webhook | null>
  /** False: it has another version by now, or is gone. */
  readonly remove: (orgId: OrgId, id: WebhookId, version: number) => Promise<boolean>
  readonly deliveries: (
    orgId: OrgId,
    id: WebhookId,
    statuses: readonly DeliveryStatus[],
    page: PageRequest<ByCreation>,
  ) => Promise<Page<WebhookDelivery>>
  readonly delivery: (orgId: OrgId, id: WebhookId, deliveryId: WebhookDeliveryId) => Promise<WebhookDelivery | null>
  /** Pending again, with all its attempts; null: it is not dead any more. */
  readonly redrive: (orgId: OrgId, id: WebhookId, deliveryId: WebhookDeliveryId) => Promise<WebhookDelivery | null>
}

/** All that one attempt takes. */
export type DueDelivery = {
  readonly id: WebhookDeliveryId
  readonly webhookId: WebhookId
  readonly orgId: OrgId
  readonly url: string
  readonly body: string
  /** The newest first. */
  readonly secrets: readonly string[]
  /** This one counted. */
  readonly attempts: number
}

/** For nobody in particular: what the server does with deliveries by itself. */
export type DeliveryStore = {
  /** Makes deliveries of the next events of the feed, and moves on in it. */
  readonly readFeed: (
    limit: number,
  ) => Promise<{ readonly events: number; readonly deliveries: number; readonly more: boolean }>
  /** Sends jobs for some of the deliveries that have none, to each org its share; how many. 0: there is none, or no room. */
  readonly queue: () => Promise<number>
  /** All webhooks of these orgs. */
  readonly webhooksOf: (orgs: readonly OrgId[]) => Promise<readonly WebhookId[]>
  /** Counts the attempt that is about to be made; null: there is none to be made. */
  readonly begin: (id: WebhookDeliveryId) => Promise<DueDelivery | null>
  /** What came of it. Tells when it is the last straw for its webhook. */
  readonly end: (
    delivery: DueDelivery,
    attempt: Attempt,
    status: DeliveryStatus,
  ) => Promise<{ readonly disabled: DisabledReason | null }>
}

/** Jobs that carry deliveries, each to all its attempts. */
export type DeliveryJob = {
  readonly deliveryId: WebhookDeliveryId
  readonly webhookId: WebhookId
  readonly orgId: OrgId
}

/** Of a statement in a transaction of somebody's. */
export type RunSql = (text: string, values?: unknown[]) => Promise<{ rows: unknown[] }>

export type DeliveryJobs = {
  /** In the transaction that makes the deliveries. One that has a job already gets no other. */
  readonly send: (jobs: readonly DeliveryJob[], within: RunSql) => Promise<void>
}

/** Private addresses that are sent to all the same: all, or networks in CIDR notation. */
export type AllowedTargets = 'all' | readonly string[]

/** Why an address is not one that is sent to, as far as its URL says; null: it may be. Where it leads is judged at each attempt. */
export type CheckTarget = (url: string) => string | null

export type SendWebhook = (delivery: DueDelivery) => Promise<Attempt>
