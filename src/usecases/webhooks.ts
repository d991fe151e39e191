/** Webhooks of an org, for its admins. A secret is shown once, to whoever makes it. */
import { type Forbidden, forbidden, notFound } from '../../domain/errors.ts'
import { E } from '../../domain/fp.ts'
import { type Caller, may } from '../../domain/identity/caller.ts'
import type { Ids } from '../../domain/ports/clock.ts'
import { mismatch } from '../../domain/ports/if-match.ts'
import type { Tokens } from '../../domain/ports/tokens.ts'
import type { CheckTarget, WebhookStore } from '../../domain/ports/webhooks.ts'
import { deliveryStatuses } from '../../domain/webhook/webhook.ts'
import type { Answer, Application } from './application.ts'

export type WebhookDeps = {
  readonly webhooks: WebhookStore
  readonly tokens: Pick<Tokens, 'webhookSecret'>
  readonly ids: Pick<Ids, 'webhook'>
}

const refused: E.Either<Forbidden, never> = E.left(forbidden('administer'))
/** Whoever is in the way has gone on by then. */
const TRIES = 10
const isAdmin = (caller: Caller): boolean => may(caller, 'administer')

export const webhookUseCases = ({ webhooks, tokens, ids }: WebhookDeps): Application['webhooks'] => ({
  list: (caller, page) => async () => (isAdmin(caller) ? E.right(await webhooks.list(caller.orgId, page)) : refused),

  get: (caller, id) => async () => {
    const webhook = await webhooks.get(caller.orgId, id)
    if (webhook === null) return E.left(notFound('webhook', id))
    return isAdmin(caller) ? E.right(webhook) : refused
  },

  create:
    (caller, { url, events, labels = {} }) =>
    async () => {
      if (!isAdmin(caller)) return refused
      const secret = tokens.webhookSecret()
      const added = await webhooks.add({ id: ids.webhook(), orgId: caller.orgId, url, events, labels, secret })
      return E.isLeft(added) ? added : E.right({ webhook: added.right, secret })
    },

  change: (caller, id, changes, ifMatch) => async () => {
    for (let attempt = 0; attempt < TRIES; attempt += 1) {
      const webhook = await webhooks.get(caller.orgId, id)
      if (webhook === null) return E.left(notFound('webhook', id))
      if (!isAdmin(caller)) return refused
      const { version } = webhook
      if (ifMatch !== null && !ifMatch.includes(version)) return E.left({ _tag: 'VersionMismatch', current: version })
      const changed = await webhooks.change(caller.orgId, id, version, changes)
      if (changed !== null) return E.right(changed)
    }
    return E.left({ _tag: 'Contended', what: `webhook ${id}` })
  },

  remove: (caller, id, ifMatch) => async () => {
    for (let attempt = 0; attempt < TRIES; attempt += 1) {
      const webhook = await webhooks.get(caller.orgId, id)
      if (webhook === null) return E.left(notFound('webhook', id))
      if (!isAdmin(caller)) return refused
      const { version } = webhook
      if (ifMatch !== null && !ifMatch.includes(version)) return E.left({ _tag: 'VersionMismatch', current: version })
      if (await webhooks.remove(caller.orgId, id, version)) return E.right(undefined)
    }
    return E.left({ _tag: 'Contended', what: `webhook ${id}` })
  },

  rotate: (caller, id, overlapSeconds, ifMatch) => async () => {
    if (!isAdmin(caller))
      return (await webhooks.get(caller.orgId, id)) === null ? E.left(notFound('webhook', id)) : refused
    const secret = tokens.webhookSecret()
    const webhook = await webhooks.rotate(caller.orgId, id, secret, overlapSeconds, ifMatch)
    if (webhook !== null) return E.right({ webhook, secret })
    const now = await webhooks.get(caller.orgId, id)
    return E.left(now === null ? notFound('webhook', id) : mismatch(now.version))
  },

  deliveries: (caller, id, statuses, page) => async () => {
    if ((await webhooks.get(caller.orgId, id)) === null) return E.left(notFound('webhook', id))
    if (!isAdmin(caller)) return refused
    return E.right(await webhooks.deliveries(caller.orgId, id, statuses ?? deliveryStatuses, page))
  },

  redrive: (caller, id, deliveryId) => async () => {
    const webhook = await webhooks.get(caller.orgId, id)
    if (webhook === null) return E.left(notFound('webhook', id))
    if (!isAdmin(caller)) return refused
    const delivery = await webhooks.delivery(caller.orgId, id, deliveryId)
    if (delivery === null) return E.left(notFound('delivery', deliveryId))
    if (webhook.status === 'disabled') return E.left({ _tag: 'WebhookDisabled', webhookId: id })
    const redriven = await webhooks.redrive(caller.orgId, id, deliveryId)
    if (redriven !== null) return E.right(redriven)
    const { status } = (await webhooks.delivery(caller.orgId, id, deliveryId)) ?? delivery
    return E.left({ _tag: 'DeliveryNotRedrivable', deliveryId, status })
  },
})

/** The same, and addresses that nothing is sent to are refused. */
export const withCheckedTargets = (webhooks: Application['webhooks'], check: CheckTarget): Application['webhooks'] => {
  const checked = <A>(caller: Caller, url: string | undefined, next: Answer<A>): Answer<A> => {
    const why = url === undefined || !isAdmin(caller) ? null : check(url)
    return why === null ? next : async () => E.left({ _tag: 'TargetRefused', why })
  }
  return {
    ...webhooks,
    create: (caller, request, keep) => checked(caller, request.url, webhooks.create(caller, request, keep)),
    change: (caller, id, changes, ifMatch, keep) =>
      checked(caller, changes.url, webhooks.change(caller, id, changes, ifMatch, keep)),
  }
}
