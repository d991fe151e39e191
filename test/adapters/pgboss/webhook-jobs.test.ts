/** Who has the places in which a replica sends webhooks, on a real pg-boss. What is under way ends when the test says so. */
import { expect } from 'chai'
import { createDeliveryJobs, makeWebhookQueue, workDeliveries } from '../../../adapters/pgboss/webhook-jobs.ts'
import type { OrgId, WebhookDeliveryId, WebhookId } from '../../../domain/ids.ts'
import type { DeliveryJob } from '../../../domain/ports/webhooks.ts'
import { eventually } from '../../support/eventually.ts'
import { type Jobs, openJobs } from '../../support/jobs.ts'
import { ids } from '../../support/rows.ts'

const PLACES = 64
const OF_AN_ORG = 16
/** For orgs that have none. */
const LAST = 16
const OF_A_WEBHOOK = 4

describe('places to send webhooks', function () {
  this.timeout(30_000)
  let jobs: Jobs
  /** All that was asked for, by delivery. */
  let asked: Map<WebhookDeliveryId, DeliveryJob>
  let webhooks: Pick<DeliveryJob, 'orgId' | 'webhookId'>[]
  beforeEach(async () => {
    jobs = await openJobs()
    asked = new Map()
    webhooks = []
  })
  afterEach(() => jobs.close())

  const aWebhook = (org: string): Pick<DeliveryJob, 'orgId' | 'webhookId'> => {
    const webhook = { orgId: org as OrgId, webhookId: ids.webhook() }
    webhooks.push(webhook)
    return webhook
  }
  const webhooksOf = async (orgs: readonly OrgId[]): Promise<readonly WebhookId[]> =>
    webhooks.flatMap(({ orgId, webhookId }) => (orgs.includes(orgId) ? [webhookId] : []))

  /** Deliveries that end when they are let go. */
  const aReplica = async () => {
    const boss = await jobs.boss()
    await makeWebhookQueue(boss)
    const underWay = new Map<WebhookDeliveryId, () => void>()
    const most = new Map<string, number>()
    const countOf = (name: string): number =>
      [...underWay.keys()].filter((id) => {
        const { orgId, webhookId } = asked.get(id) as DeliveryJob
        return orgId === name || webhookId === name
      }).length
    const working = workDeliveries({
      boss,
      overhear: jobs.overhear(boss),
      webhooksOf,
      deliver: async (id) => {
        const { orgId, webhookId } = asked.get(id) as DeliveryJob
        await new Promise<void>((end) => {
          underWay.set(id, end)
          for (const name of [orgId, webhookId]) most.set(name, Math.max(most.get(name) ?? 0, countOf(name)))
        })
        underWay.delete(id)
        return 'over'
      },
      onError: jobs.complain,
    })
    return {
      countOf,
      /** The most that it had at once, of an org or a webhook. */
      mostOf: (name: string): number => most.get(name) ?? 0,
      send: async (webhook: Pick<DeliveryJob, 'orgId' | 'webhookId'>, count: number): Promise<void> => {
        const some = Array.from({ length: count }, () => ({ deliveryId: ids.webhookDelivery(), ...webhook }))
        for (const job of some) asked.set(job.deliveryId, job)
        await createDeliveryJobs(boss, { attempts: 3, firstDelaySeconds: 1 }).send(some, async (text, values) => ({
          rows: [...(await jobs.ask(text, ...(values ?? [])))],
        }))
      },
      letGo: (name: string): void => {
        for (const [id, end] of underWay)
          if ([asked.get(id)?.orgId, asked.get(id)?.webhookId].includes(name as never)) end()
      },
      stop: async (): Promise<void> => {
        const stopped = working.stop(5_000)
        for (const end of underWay.values()) end()
        await stopped
      },
    }
  }

  it('are left to other orgs by one whose receivers never answer, however many webhooks it has', async () => {
    const replica = await aReplica()
    const theirs = Array.from({ length: 20 }, () => aWebhook('hangs'))
    for (const webhook of theirs) await replica.send(webhook, 10)
    const hasItsShare = () =>
      // All of what one fetch brings may be its own: the last three places it does not always have.
      eventually(() => expect(replica.countOf('hangs')).to.be.within(OF_AN_ORG - 3, OF_AN_ORG))
    await hasItsShare()
    const ours = aWebhook('works')
    await replica.send(ours, 3)
    await eventually(() => expect(replica.countOf('works')).to.equal(3))
    await hasItsShare()
    // What ends makes room for its own org, and for no more than it may have.
    for (let round = 0; round < 5; round += 1) {
      replica.letGo('hangs')
      await hasItsShare()
    }
    expect(replica.mostOf('hangs')).to.be.at.most(OF_AN_ORG)
    for (const { webhookId } of theirs) expect(replica.mostOf(webhookId)).to.be.at.most(OF_A_WEBHOOK)
    await replica.stop()
  })

  it('are no more than four for one webhook, which takes none of another one’s of the same org', async () => {
    const replica = await aReplica()
    const [hangs, works] = [aWebhook('acme'), aWebhook('acme')]
    await replica.send(hangs, 100)
    await replica.send(works, 2)
    await eventually(() => {
      expect(replica.countOf(hangs.webhookId)).to.equal(OF_A_WEBHOOK)
      expect(replica.countOf(works.webhookId)).to.equal(2)
    })
    await replica.stop()
  })

  it('are left to others by many orgs that hang, too', async () => {
    const replica = await aReplica()
    const orgs = Array.from({ length: 8 }, (_, n) => `hangs-${n}`)
    const theirs = orgs.flatMap((org) => Array.from({ length: 10 }, () => aWebhook(org)))
    for (const webhook of theirs) await replica.send(webhook, 10)
    const taken = (): number => orgs.reduce((sum, org) => sum + replica.countOf(org), 0)
    const all = () => eventually(() => expect(taken()).to.be.at.least(PLACES - LAST))
    await all()
    for (let n = 0; n < 5; n += 1) {
      const name = `works-${n}`
      await replica.send(aWebhook(name), 1)
      await eventually(() => expect(replica.countOf(name)).to.equal(1))
      expect(taken()).to.be.at.most(PLACES - LAST + orgs.length)
      replica.letGo(name)
      replica.letGo(orgs[n] as string)
      await all()
    }
    for (const org of orgs) expect(replica.mostOf(org)).to.be.at.most(OF_AN_ORG)
    await replica.stop()
  })

  it('are taken by jobs of a server that did not yet say whose they are', async () => {
    const replica = await aReplica()
    const webhook = aWebhook('acme')
    const deliveryId = ids.webhookDelivery()
    asked.set(deliveryId, { deliveryId, ...webhook })
    const [boss] = [await jobs.boss()]
    await boss.insert('webhook.deliver', [
      { data: { deliveryId }, singletonKey: deliveryId, group: { id: webhook.webhookId } },
    ])
    await eventually(() => expect(replica.countOf('acme')).to.equal(1))
    await replica.stop()
  })
})
