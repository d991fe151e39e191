/** The secret that all is sealed under, and its replacement by another while things go on. */
import { expect } from 'chai'
import { createCursors } from '../../../adapters/postgres/cursor.ts'
import { createSecretKeyStore } from '../../../adapters/postgres/secret-keys.ts'
import { createWebhookStore } from '../../../adapters/postgres/webhooks.ts'
import { secretKeySettings } from '../../../adapters/secrets/keyring.ts'
import { createTextSealer, type Keyring, sealedPrefixOf, WEBHOOK_SECRETS } from '../../../adapters/secrets/sealer.ts'
import type { SecretKeyStore } from '../../../domain/ports/secret-keys.ts'
import { ACME, ids, openStores, type Stores } from '../../support/rows.ts'

const ring = (current: string, ...previous: string[]): Keyring => ({ current, previous })
const A = 'the key of the beginning'
const B = 'the key that replaces it'
const C = 'somebody else’s key'

describe('the secret key', () => {
  let stores: Stores

  beforeEach(async () => {
    stores = await openStores()
  })
  afterEach(() => stores.close())

  const keysOf = (keyring: Keyring): SecretKeyStore => createSecretKeyStore(stores.database, secretKeySettings(keyring))
  const hooksOf = (keyring: Keyring) =>
    createWebhookStore(stores.database, createCursors(Buffer.alloc(32)), {
      seal: createTextSealer(keyring, WEBHOOK_SECRETS).seal,
      jobs: { send: async () => {} },
      perOrg: 10_000,
    })
  const sealSome = async (keyring: Keyring, count: number): Promise<void> => {
    const hooks = hooksOf(keyring)
    for (let n = 0; n < count; n += 1) {
      const id = ids.webhook()
      await hooks.add({ id, orgId: ACME, url: 'https://example.com/', events: ['*'], labels: {}, secret: `whsec_${n}` })
      if (n % 2 === 0) await hooks.rotate(ACME, id, `whsec_new${n}`, 60)
    }
  }
  const openedWith = async (keyring: Keyring): Promise<readonly string[]> => {
    const { unseal } = createTextSealer(keyring, WEBHOOK_SECRETS)
    const rows = await stores.ask(
      `SELECT secret AS sealed FROM webhooks UNION ALL
       SELECT previous_secret FROM webhooks WHERE previous_secret IS NOT NULL`,
    )
    return rows.map(({ sealed }) => unseal(sealed)).toSorted()
  }
  const notUnder = async (key: string): Promise<number> =>
    (
      await stores.ask(
        `SELECT count(*) AS n FROM webhooks WHERE substring(secret FROM 1 FOR 9) <> $1
             OR substring(previous_secret FROM 1 FOR 9) <> $1`,
        sealedPrefixOf(key),
      )
    )[0].n

  it('is whatever the first server has; another one without it is told so', async () => {
    expect(await keysOf(ring(A)).introduce()).to.equal('current')
    expect(await keysOf(ring(A)).introduce()).to.equal('current')
    expect(await keysOf(ring(C)).introduce()).to.equal('unknown')
    expect(await keysOf(ring(C, B)).introduce()).to.equal('unknown')
    expect(await keysOf(ring(A)).introduce()).to.equal('current')
  })

  it('of several that begin together is one of theirs', async () => {
    const standings = await Promise.all([A, B, C].map((key) => keysOf(ring(key)).introduce()))
    expect(standings.toSorted()).to.deep.equal(['current', 'unknown', 'unknown'])
  })

  it('has to open what was sealed before anybody said under what', async () => {
    await sealSome(ring(A), 1)
    expect(await keysOf(ring(B)).introduce()).to.equal('unknown')
    expect(await keysOf(ring(B, A)).introduce()).to.equal('current')
  })

  it('is replaced by one that knows it; who has only the old one is told so when it starts again', async () => {
    await keysOf(ring(A)).introduce()
    expect(await keysOf(ring(A, B)).introduce()).to.equal('current')
    expect(await keysOf(ring(B, A)).introduce()).to.equal('current')
    expect(await keysOf(ring(A)).introduce()).to.equal('unknown')
    // It opens all that others seal, and does not make its own the current one again.
    expect(await keysOf(ring(A, B)).introduce()).to.equal('behind')
    expect(await keysOf(ring(B)).introduce()).to.equal('current')
  })

  it('seals anew what was sealed under the one before, batch by batch, and is settled then', async () => {
    await keysOf(ring(A)).introduce()
    await sealSome(ring(A), 450)
    const before = await openedWith(ring(A))
    const keys = keysOf(ring(B, A))
    await keys.introduce()
    expect(await keys.isSettled()).to.equal(false)
    expect(await keys.reseal()).to.deep.equal({ resealed: 675, unreadable: 0 })
    expect(await keys.isSettled()).to.equal(true)
    expect(await openedWith(ring(B))).to.deep.equal(before)
    expect(await keys.reseal()).to.deep.equal({ resealed: 0, unreadable: 0 })
  }).timeout(120_000)

  it('seals anew while others rotate, add and remove: nothing that they write is lost', async () => {
    await keysOf(ring(A)).introduce()
    await sealSome(ring(A), 200)
    const all = await stores.ask('SELECT id FROM webhooks ORDER BY id')
    const keys = keysOf(ring(B, A))
    await keys.introduce()
    const rotating = (async () => {
      const hooks = hooksOf(ring(B, A))
      for (const [n, { id }] of all.entries()) await hooks.rotate(ACME, id, `whsec_last${n}`, 60)
    })()
    await Promise.all([keys.reseal(), rotating, sealSome(ring(B, A), 50)])
    await keys.reseal()
    expect(await notUnder(B)).to.equal(0)
    const opened = await openedWith(ring(B))
    for (const n of all.keys()) expect(opened).to.include(`whsec_last${n}`)
  }).timeout(120_000)

  it('leaves alone, and counts, what none of the keys opens', async () => {
    await sealSome(ring(A), 1)
    await keysOf(ring(A)).introduce()
    const keys = keysOf(ring(B, A))
    await keys.introduce()
    await stores.ask('UPDATE webhooks SET previous_secret = $1', createTextSealer(ring(C), 'x').seal('lost'))
    expect(await keys.reseal()).to.deep.equal({ resealed: 1, unreadable: 1 })
    expect(await keys.isSettled()).to.equal(false)
  })
})
