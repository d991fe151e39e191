/** Receivers that never answer, of many webhooks of one org: what another org is sent arrives meanwhile. */
import { randomUUID } from 'node:crypto'
import { expect } from 'chai'
import { receiver } from '../support/webhook-receiver.ts'
import { eventually } from './support/eventually.ts'
import { keyOf } from './support/keys.ts'
import { type Rest, rest } from './support/rest.ts'
import { scene } from './support/scene.ts'
import { migratedDatabase, server } from './support/streamspace.ts'

const WEBHOOKS = 20
/** Of 64 places; the last three only when they become free together. */
const PLACES_OF_AN_ORG = 16

describe('webhooks of which no receiver answers', function () {
  this.timeout(120_000)
  const here = scene('suite')

  it('hold back none of another org, while all that were begun are still open', async () => {
    const databaseUrl = await migratedDatabase(here)
    const control = await server(here, databaseUrl, {
      STREAMSPACE_WEBHOOK_ALLOW_PRIVATE: '127.0.0.0/8',
      // Nothing of this test lasts as long.
      STREAMSPACE_WEBHOOK_TIMEOUT_MS: '30000',
    })
    // Sessions wait for it, and it never comes.
    await control.rest.post('/agents', { id: 'never-1', platform: 'process', orgId: null })
    const admin = async (): Promise<Rest> =>
      rest(control.url, await keyOf(databaseUrl, 'admin', `o-${randomUUID().slice(0, 8)}`))
    const [theirs, ours] = [await admin(), await admin()]
    const [silent, there] = [await receiver(() => null), await receiver()]
    here.finally(silent.close)
    here.finally(there.close)
    const hook = async (api: Rest, url: string): Promise<void> => {
      expect((await api.post('/webhooks', { url, events: ['created'] })).status).to.equal(201)
    }

    for (let n = 0; n < WEBHOOKS; n += 1) await hook(theirs, silent.url)
    await hook(ours, there.url)
    for (let n = 0; n < 5; n += 1) await theirs.create({ template: 'hello-web' })
    await eventually(() => expect(silent.open().now).to.be.at.least(PLACES_OF_AN_ORG - 3), { within: 20_000 })
    for (let n = 0; n < 5; n += 1) await ours.create({ template: 'hello-web' })
    await eventually(() => expect(there.messages).to.have.length(5), { within: 20_000 })
    // None of them was given up meanwhile: they would have been waited for.
    expect(silent.open().now).to.equal(silent.messages.length)
    expect(silent.open().most).to.be.within(PLACES_OF_AN_ORG - 3, PLACES_OF_AN_ORG)
  })
})
