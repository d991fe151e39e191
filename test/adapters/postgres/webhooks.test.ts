/** Deliveries made of the feed of events: each event once for each webhook that wants it, whenever its transaction commits. */
import { expect } from 'chai'
import { E } from '../../../domain/fp.ts'
import type { WebhookDeliveryId } from '../../../domain/ids.ts'
import type { RetentionStep } from '../../../domain/ports/retention.ts'
import type { DueDelivery } from '../../../domain/ports/webhooks.ts'
import { DISABLED_AFTER_DEAD, type Webhook } from '../../../domain/webhook/webhook.ts'
import { holding, letGo, lockWaits } from '../../support/locks.ts'
import { everything } from '../../support/orphans.ts'
import { quickestOf, timed } from '../../support/quickest.ts'
import {
  ACME,
  anAgent,
  aSessionOn,
  GLOBEX,
  ids,
  openStores,
  right,
  type Stores,
  storesOver,
  WEBHOOKS_AN_ORG,
} from '../../support/rows.ts'

const EVENT = `INSERT INTO session_events (org_id, session_id, type, generation, data, actor, at)
               VALUES ($1, $2, $3, 1, '{}', 'test', now())`

describe('deliveries of webhooks', () => {
  let stores: Stores
  let webhook: Webhook

  beforeEach(async () => {
    stores = await openStores()
    // The reader begins where the feed is when it is asked for the first time.
    await stores.deliveries.readFeed(100)
    webhook = await hook({})
  })
  afterEach(async () => {
    await letGo()
    await stores.close()
  })

  const hook = async (about: Partial<Webhook>): Promise<Webhook> => right(await adding(about))
  const adding = (about: Partial<Webhook>, within: Pick<Stores, 'webhooks'> = stores) =>
    within.webhooks.add({
      id: ids.webhook(),
      orgId: ACME,
      url: 'https://example.com/',
      events: ['*'],
      labels: {},
      secret: 'whsec_c2VjcmV0',
      ...about,
    })
  const happens = (type: string, org = ACME, sessionId: string = ids.session()) =>
    stores.ask(EVENT, org, sessionId, type)
  /** Until there is nothing more to read. */
  const readAll = async (limit = 100): Promise<void> => {
    while ((await stores.deliveries.readFeed(limit)).events > 0);
  }
  const typesOf = async (of: Webhook = webhook): Promise<readonly string[]> =>
    (await stores.webhooks.deliveries(of.orgId, of.id, ['pending', 'delivered', 'dead'], everything)).items
      .map(({ type }) => type)
      .toReversed()

  it('are of no more webhooks than an org may have, also of two that are made at once; each that is deleted makes room', async () => {
    for (let n = 2; n < WEBHOOKS_AN_ORG; n += 1) await hook({})
    const [last, late] = await stores.database.together(async (bound) => {
      const first = right(await adding({}, storesOver(bound)))
      const second = adding({})
      await lockWaits(stores.ask, 1)
      return [first, [second]] as const
    })
    const refused = { _tag: 'TooManyWebhooks', orgId: ACME, limit: WEBHOOKS_AN_ORG, used: WEBHOOKS_AN_ORG }
    expect(await late[0]).to.deep.equal(E.left(refused))
    // Another org has its own.
    await hook({ orgId: GLOBEX })
    await stores.webhooks.remove(ACME, last.id, 1)
    await hook({})
    expect(await adding({})).to.deep.equal(E.left(refused))
  })

  it('are one for each event, in order, with what /events shows', async () => {
    const agent = await anAgent(stores, { id: 'agent' })
    const session = await aSessionOn(stores, agent.agentId)
    await readAll(1)
    const items = (await stores.queries.events({ orgId: ACME, ownerId: null }, session.id, everything))?.items ?? []
    const types = items.map(({ type }) => type)
    expect((await typesOf()).toSorted()).to.deep.equal(types.toSorted())
    const bodies = await stores.ask('SELECT body FROM webhook_deliveries ORDER BY event_id')
    expect(bodies.map(({ body }) => JSON.parse(body))).to.deep.equal(
      JSON.parse(JSON.stringify([...items].sort((a, b) => a.id - b.id))),
    )
  })

  it('are made of an event whose transaction commits late, and of none that is undone', async () => {
    const late = await holding(stores.url, [EVENT, ACME, ids.session(), 'failed'])
    await happens('running')
    await readAll()
    // What came after it waits with it: nothing may appear before what was read already.
    expect(await typesOf()).to.deep.equal([])
    await late.release()
    await readAll()
    expect(await typesOf()).to.deep.equal(['failed', 'running'])
  })

  it('whose job comes while the webhook is disabled have another when it is enabled again', async () => {
    await happens('running')
    await readAll()
    const first = (await stores.webhooks.deliveries(ACME, webhook.id, ['pending'], everything)).items[0]
    if (first === undefined) throw new Error('no delivery')
    // Its job was made with it.
    expect(await stores.deliveries.queue()).to.equal(0)
    const disabled = await stores.webhooks.change(ACME, webhook.id, webhook.version, { status: 'disabled' })
    // The job is over by that: what believed in it for hours must not.
    expect(await stores.deliveries.begin(first.id)).to.equal(null)
    await stores.webhooks.change(ACME, webhook.id, disabled?.version ?? 0, { status: 'active' })
    const [row] = await stores.ask(
      `SELECT job_until < now() + interval '3 minutes' AS soon FROM webhook_deliveries WHERE id = $1`,
      first.id,
    )
    expect(row.soon).to.equal(true)
    await stores.ask('UPDATE webhook_deliveries SET job_until = now() WHERE id = $1', first.id)
    expect(await stores.deliveries.queue()).to.equal(1)
  })

  it('have a secret that is replaced only at a version that the caller accepts', async () => {
    expect(await stores.webhooks.rotate(ACME, webhook.id, 'whsec_b3RoZXI=', 60, [webhook.version + 1])).to.equal(null)
    const rotated = await stores.webhooks.rotate(ACME, webhook.id, 'whsec_b3RoZXI=', 60, [webhook.version])
    expect(rotated?.version).to.equal(webhook.version + 1)
  })

  it('are made once by replicas that read the same at the same time', async () => {
    for (let n = 0; n < 40; n += 1) await happens('running')
    const others = [1, 2, 3].map(() => storesOver(stores.database).deliveries)
    const reads = async (one: Stores['deliveries']): Promise<void> => {
      for (let n = 0; n < 40; n += 1) await one.readFeed(3)
    }
    await Promise.all([stores.deliveries, ...others].map(reads))
    await readAll()
    expect(await typesOf()).to.have.length(40)
  })

  it('are of those events and sessions that are asked for, and of one’s own org', async () => {
    const failed = await hook({ events: ['failed'] })
    const theirs = await hook({ orgId: GLOBEX })
    const web = await hook({ labels: { team: 'web' } })
    const agent = await anAgent(stores, { id: 'agent' })
    const session = await aSessionOn(stores, agent.agentId, { labels: { team: 'web' } })
    await happens('failed', ACME, session.id)
    await happens('failed')
    await happens('running', GLOBEX)
    await readAll()
    expect(await typesOf(failed)).to.deep.equal(['failed', 'failed'])
    expect(await typesOf(theirs)).to.deep.equal(['running'])
    expect((await typesOf(web)).filter((type) => type === 'failed')).to.have.length(1)
  })

  it('of very many webhooks of one org are made some thousands at a time, and those of others after them', async () => {
    const theirs = await hook({ orgId: GLOBEX })
    await stores.ask(
      `INSERT INTO webhooks (id, org_id, url, events, labels, secret)
       SELECT gen_random_uuid(), org_id, url, events, labels, secret FROM webhooks, generate_series(1, 599)
        WHERE id = $1`,
      webhook.id,
    )
    for (let n = 0; n < 20; n += 1) await happens('failed')
    await happens('running', GLOBEX)
    expect(await stores.deliveries.readFeed(500)).to.deep.equal({ events: 8, deliveries: 4_800, more: true })
    await readAll(500)
    expect(await typesOf(theirs)).to.deep.equal(['running'])
    const [made] = await stores.ask(
      'SELECT count(*)::int AS n, count(DISTINCT (webhook_id, event_id))::int AS each FROM webhook_deliveries',
    )
    expect(made).to.deep.equal({ n: 12_001, each: 12_001 })
  })

  it('begin with the webhook: what happened while there was none is not told', async () => {
    await stores.webhooks.remove(ACME, webhook.id, 1)
    await happens('failed')
    await readAll()
    const later = await hook({})
    await happens('running')
    await readAll()
    expect(await typesOf(later)).to.deep.equal(['running'])
  })

  it('get jobs in the transaction that makes them; those of one webhook as far as there is room', async () => {
    for (let n = 0; n < 230; n += 1) await happens('running')
    await readAll()
    expect(stores.sent).to.have.length(200)
    // Nothing is sent a second job while it may have one.
    expect(await stores.deliveries.queue()).to.equal(0)
    await stores.ask(
      `UPDATE webhook_deliveries SET status = 'delivered' WHERE id IN (SELECT id FROM webhook_deliveries WHERE job_until IS NOT NULL LIMIT 50)`,
    )
    expect(await stores.deliveries.queue()).to.equal(30)
    await stores.ask(`UPDATE webhook_deliveries SET job_until = now() - interval '1 second' WHERE status = 'pending'`)
    expect(await stores.deliveries.queue()).to.equal(180)
  })

  const begun = async (id: string): Promise<DueDelivery> => {
    const due = await stores.deliveries.begin(id as WebhookDeliveryId)
    if (due === null) throw new Error('nothing to begin')
    return due
  }
  const oneDelivery = async (): Promise<string> => {
    const before = stores.sent.length
    await happens('running')
    await readAll()
    return stores.sent[before]?.deliveryId ?? ''
  }

  it('count an attempt before it is made, with the secrets that sign now', async () => {
    const id = await oneDelivery()
    expect(await begun(id)).to.deep.include({ attempts: 1, secrets: ['whsec_c2VjcmV0'], url: 'https://example.com/' })
    await stores.webhooks.rotate(ACME, webhook.id, 'whsec_bmV3', 60)
    expect(await begun(id)).to.deep.include({ attempts: 2, secrets: ['whsec_bmV3', 'whsec_c2VjcmV0'] })
    await stores.ask(`UPDATE webhooks SET previous_until = now() - interval '1 second'`)
    expect(await begun(id)).to.deep.include({ attempts: 3, secrets: ['whsec_bmV3'] })
    await stores.webhooks.rotate(ACME, webhook.id, 'whsec_bGFzdA==', 0)
    const last = await begun(id)
    expect(last.secrets).to.deep.equal(['whsec_bGFzdA=='])
    await stores.deliveries.end(last, { kind: 'delivered', responseStatus: 200 }, 'delivered')
    expect(await stores.deliveries.begin(id as WebhookDeliveryId)).to.equal(null)
  })

  it('are not made for a webhook that is disabled, deleted, or of an org that is gone', async () => {
    const id = (await oneDelivery()) as WebhookDeliveryId
    await stores.webhooks.change(ACME, webhook.id, 1, { status: 'disabled' })
    expect(await stores.deliveries.begin(id)).to.equal(null)
    await stores.webhooks.change(ACME, webhook.id, 2, { status: 'active' })
    await stores.ask(`UPDATE orgs SET deleted_at = now() WHERE id = 'acme'`)
    expect(await stores.deliveries.begin(id)).to.equal(null)
    await happens('failed')
    await readAll()
    expect(await typesOf()).to.deep.equal(['running'])
  })

  it('that die one after another disable their webhook; one that arrives begins the count anew', async () => {
    const failed = { kind: 'failed', responseStatus: 500, error: 'answered 500' } as const
    const dies = async () => stores.deliveries.end(await begun(await oneDelivery()), failed, 'dead')
    for (let n = 1; n < DISABLED_AFTER_DEAD; n += 1) expect(await dies()).to.deep.equal({ disabled: null })
    const arrives = await begun(await oneDelivery())
    await stores.deliveries.end(arrives, { kind: 'delivered', responseStatus: 200 }, 'delivered')
    for (let n = 1; n < DISABLED_AFTER_DEAD; n += 1) expect(await dies()).to.deep.equal({ disabled: null })
    expect(await dies()).to.deep.equal({ disabled: 'dead_deliveries' })
    expect(await stores.webhooks.get(ACME, webhook.id)).to.include({
      status: 'disabled',
      statusReason: 'dead_deliveries',
    })
  })

  it('keep no secret in clear text', async () => {
    const [row] = await stores.ask('SELECT secret FROM webhooks')
    expect(row.secret.toString('latin1')).not.to.contain('whsec_')
  })

  it('leave when they are over for long enough, or their webhook is no more; what waits stays', async () => {
    const removed = async (): Promise<number> => {
      let sum = 0
      let from: readonly string[] | null = null
      do {
        const step: RetentionStep = await stores.retention.deliveries(86_400_000, from, 2)
        sum += step.removed
        from = step.next
      } while (from !== null)
      return sum
    }
    for (let n = 0; n < 5; n += 1) await happens('running')
    await readAll()
    await stores.ask(`
      UPDATE webhook_deliveries SET status = 'delivered', finished_at = now() - interval '2 days'
       WHERE id IN (SELECT id FROM webhook_deliveries ORDER BY id LIMIT 2)`)
    expect(await removed()).to.equal(2)
    expect(await typesOf()).to.have.length(3)
    await stores.webhooks.remove(ACME, webhook.id, 1)
    expect(await removed()).to.equal(3)
  })

  it('are read, and listed, along indexes, among very many', async () => {
    await stores.ask(`
      INSERT INTO webhook_deliveries (id, org_id, webhook_id, event_id, session_id, type, body, status, job_until)
      SELECT gen_random_uuid(), 'acme', '${webhook.id}', n, gen_random_uuid(), 'running', '{}',
             CASE WHEN n % 1000 = 0 THEN 'dead' WHEN n % 3 = 0 THEN 'pending' ELSE 'delivered' END,
             CASE WHEN n % 2 = 0 THEN now() + interval '1 hour' END
        FROM generate_series(1, 100000) n`)
    await stores.ask('ANALYZE webhook_deliveries')
    await quickestOf(5, 2_000, () =>
      timed(async () => {
        const page = await stores.webhooks.deliveries(ACME, webhook.id, ['dead'], { limit: 50, cursor: null })
        expect(page.items).to.have.length(50)
        await stores.deliveries.queue()
      }),
    )
  })
})
