import { expect } from 'chai'
import type { OrgId } from '../../../domain/ids.ts'
import type { ApiKeyRecord } from '../../../domain/ports/access.ts'
import { holding, letGo, lockWaits } from '../../support/locks.ts'
import { ACME, ANNA, ids, openStores, type Stores } from '../../support/rows.ts'

describe('access keys', () => {
  let stores: Stores
  beforeEach(async () => {
    stores = await openStores()
  })
  afterEach(async () => {
    await letGo()
    await stores.close()
  })

  const aKey = (overrides: Partial<ApiKeyRecord> = {}): ApiKeyRecord => ({
    id: ids.apiKey(),
    orgId: ACME,
    userId: ANNA,
    role: 'user',
    name: 'a key',
    prefix: 'ssk_12345678',
    hash: Buffer.alloc(32, 1),
    expiresAt: null,
    revokedAt: null,
    ...overrides,
  })

  it('are found by how they begin', async () => {
    const expiresAt = new Date('2030-01-01T00:00:00Z')
    const [first, second] = [aKey({ expiresAt }), aKey({ hash: Buffer.alloc(32, 2) })]
    for (const key of [first, second, aKey({ prefix: 'ssk_other000' })])
      expect(await stores.access.addKey(key, 'always')).to.equal(true)
    expect(await stores.access.keysByPrefix(['ssk_12345678'])).to.have.deep.members([first, second])
    expect(await stores.access.keysByPrefix(['ssk_unknown0', 'ssk_12345678'])).to.have.deep.members([first, second])
    expect(await stores.access.keysByPrefix(['ssk_unknown0'])).to.deep.equal([])
  })

  it('bring their org along', async () => {
    const fresh = 'fresh' as OrgId
    expect(await stores.access.orgExists(fresh)).to.equal(false)
    await stores.access.addKey(aKey({ orgId: fresh }), 'always')
    await stores.access.addKey(aKey({ orgId: fresh }), 'always')
    expect(await stores.access.orgExists(fresh)).to.equal(true)
    expect(await stores.access.existingOrgs([fresh, 'nowhere' as OrgId])).to.deep.equal(new Set([fresh]))
  })

  it('of the installation: one is made, however many first starts there are at once', async () => {
    expect(await stores.access.hasInstallationKey()).to.equal(false)
    // Whoever gets as far as making the org waits here, with what it has seen by then.
    const making = await holding(stores.url, [`INSERT INTO orgs (id, name) VALUES ('default', 'default')`])
    const adding = Array.from({ length: 5 }, () =>
      stores.access.addKey(aKey({ role: 'installation', orgId: 'default' as OrgId }), 'no_installation_key'),
    )
    await lockWaits(stores.ask, 5)
    await making.release()
    const answers = await Promise.all(adding)
    expect(answers.filter(Boolean)).to.have.length(1)
    expect(await stores.access.hasInstallationKey()).to.equal(true)
    expect(await stores.ask('SELECT id FROM api_keys')).to.have.length(1)
  })

  it('of the installation can be revoked, after which one is made again', async () => {
    const key = aKey({ role: 'installation' })
    await stores.access.addKey(key, 'no_installation_key')
    const other = aKey({ prefix: 'ssk_user0000' })
    await stores.access.addKey(other, 'always')
    await stores.access.revokeInstallationKeys()
    expect(await stores.access.hasInstallationKey()).to.equal(false)
    expect((await stores.access.keysByPrefix([key.prefix]))[0]?.revokedAt).to.be.an.instanceOf(Date)
    expect((await stores.access.keysByPrefix([other.prefix]))[0]?.revokedAt).to.equal(null)
    expect(await stores.access.addKey(aKey({ role: 'installation' }), 'no_installation_key')).to.equal(true)
  })
})
