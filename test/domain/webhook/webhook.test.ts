import { expect } from 'chai'
import type { OrgId, WebhookId } from '../../../domain/ids.ts'
import { type Subscription, wants } from '../../../domain/webhook/wants.ts'
import { afterAttempt } from '../../../domain/webhook/webhook.ts'

const subscription = (about: Partial<Subscription>): Subscription => ({
  webhookId: 'w' as WebhookId,
  orgId: 'acme' as OrgId,
  events: ['*'],
  labels: {},
  ...about,
})
const event = (type: string, labels: { [name: string]: string } | null = {}, orgId = 'acme') =>
  ({ orgId, event: { type }, subject: labels === null ? null : { labels } }) as never

describe('a webhook', () => {
  it('wants events of its org, of its types, of sessions with all of its labels', () => {
    expect(wants(subscription({}), event('running'))).to.equal(true)
    expect(wants(subscription({}), event('running', {}, 'globex'))).to.equal(false)
    expect(wants(subscription({ events: ['failed', 'running'] }), event('running'))).to.equal(true)
    expect(wants(subscription({ events: ['failed'] }), event('running'))).to.equal(false)
    const web = subscription({ labels: { team: 'web', tier: '1' } })
    expect(wants(web, event('running', { team: 'web', tier: '1', more: '' }))).to.equal(true)
    expect(wants(web, event('running', { team: 'web' }))).to.equal(false)
    expect(wants(web, event('running', { team: 'web', tier: '2' }))).to.equal(false)
  })

  it('wants nothing of a session whose labels nobody knows any more, nor of names that every object has', () => {
    expect(wants(subscription({ labels: { team: 'web' } }), event('deleted', null))).to.equal(false)
    expect(wants(subscription({}), event('deleted', null))).to.equal(true)
    expect(wants(subscription({ labels: { constructor: 'x' } }), event('running'))).to.equal(false)
  })

  it('is tried as often as it may be, or until the receiver has it or wants no more', () => {
    const failed = { kind: 'failed', responseStatus: 500, error: 'answered 500' } as const
    expect([1, 2, 3, 4].map((attempts) => afterAttempt(failed, attempts, 3))).to.deep.equal([
      'pending',
      'pending',
      'dead',
      'dead',
    ])
    expect(afterAttempt({ kind: 'delivered', responseStatus: 200 }, 9, 3)).to.equal('delivered')
    expect(afterAttempt({ kind: 'gone', responseStatus: 410, error: '' }, 1, 3)).to.equal('dead')
  })
})
