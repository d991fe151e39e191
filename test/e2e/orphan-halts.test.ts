/** Whether orphans are removed at all, over REST: what an ETag has seen, and whom it is told that removal goes on. */
import { expect } from 'chai'
import { BY_THE_INSTALLATION } from './support/installation-entry.ts'
import { keyOf } from './support/keys.ts'
import { type Answer, type Json, rest } from './support/rest.ts'
import { scene } from './support/scene.ts'
import { migratedDatabase, type Server, server } from './support/streamspace.ts'

const ALL = '/orphan-removal'
const ofOrg = (id: string): string => `/orgs/${id}/orphan-removal`
const tagOf = ({ headers }: Answer): string => headers.get('etag') ?? ''

describe('the removal of orphans', function () {
  this.timeout(60_000)
  const here = scene('suite')
  let database: string
  let control: Server
  before(async () => {
    database = await migratedDatabase(here)
    control = await server(here, database)
    for (const id of ['acme', 'globex', 'bystander']) await done(control.rest.post('/orgs', { id }), 201)
  })

  const done = async (answer: Promise<Answer>, status = 200): Promise<Answer> => {
    const is = await answer
    expect(is.status, JSON.stringify(is.body)).to.equal(status)
    return is
  }
  const halted = async (id: string): Promise<boolean> => (await done(control.rest.get(ofOrg(id)))).body.halted
  const trailOf = async (org: string): Promise<readonly Json[]> => {
    const api = rest(control.url, await keyOf(database, 'admin', org))
    return (await api.all('/audit?limit=500')).filter(({ action }) => action === 'resumeOrphanRemoval')
  }

  it('is let go on for no org whose halt the ETag has not seen', async () => {
    const { rest: api } = control
    const before = tagOf(await done(api.get(ALL)))
    await done(api.post(`${ofOrg('acme')}/halt`))
    const stale = tagOf(await done(api.get(ALL, { 'if-none-match': before })))
    expect(Number.parseInt(stale.slice(1), 10)).to.equal(Number.parseInt(before.slice(1), 10) + 1)
    await done(api.post('/orgs', { id: 'made-later' }), 201)
    await done(api.get(ALL, { 'if-none-match': stale }), 304)

    await done(api.post(`${ofOrg('globex')}/halt`))
    for (const act of ['halt', 'resume'])
      expect((await done(api.post(`${ALL}/${act}`, undefined, { 'if-match': stale }), 412)).body.code).to.equal(
        'precondition_failed',
      )
    expect([await halted('acme'), await halted('globex')]).to.deep.equal([true, true])

    const seen = await done(api.get(ALL, { 'if-none-match': stale }))
    expect(seen.body).to.deep.include({ halted: false, haltedOrgs: 2 })
    const resumed = await done(api.post(`${ALL}/resume`, undefined, { 'if-match': tagOf(seen) }))
    expect(resumed.body).to.deep.include({ halted: false, haltedOrgs: 0, orgs: [] }).and.not.to.have.property('lifted')
    expect(tagOf(resumed)).to.equal(tagOf(await done(api.get(ALL))))
    expect([await halted('acme'), await halted('globex')]).to.deep.equal([false, false])

    // Without one all goes on, as it always did.
    await done(api.post(`${ofOrg('acme')}/halt`))
    await done(api.post(`${ALL}/resume`))
    expect(await halted('acme')).to.equal(false)
  })

  it('that the installation lets go on is in the trail of each org for which it was halted, and names nobody', async () => {
    const { rest: api } = control
    const told = { acme: (await trailOf('acme')).length, globex: (await trailOf('globex')).length }
    for (const org of ['acme', 'globex']) {
      const operator = rest(control.url, await keyOf(database, 'operator', org))
      await done(operator.post(`${ofOrg(org)}/halt`))
    }
    // As it happens to act in one that has nothing to do with it.
    const headers = { 'x-request-id': 'let go on', 'idempotency-key': 'once', 'streamspace-org': 'bystander' }
    for (let sent = 0; sent < 2; sent += 1) await done(api.post(`${ALL}/resume`, undefined, headers))
    for (const org of ['acme', 'globex'] as const) {
      const trail = await trailOf(org)
      expect(trail).to.have.length(told[org] + 1)
      expect(trail[0]).to.deep.include({
        orgId: org,
        ...BY_THE_INSTALLATION,
        requestId: 'let go on',
        after: { halted: false, haltedAt: null, haltedBy: null, haltedReason: null },
      })
      expect(trail[0]?.before).to.deep.include({ halted: true })
      expect(trail[0]?.before.haltedBy).to.match(/^user:/)
      expect(JSON.stringify(trail)).not.to.include(org === 'acme' ? 'globex' : 'acme')
    }
    expect(await trailOf('bystander')).to.deep.equal([])
    const own = (await api.all('/audit?action=resumeOrphanRemoval&limit=500')).filter(
      ({ requestId }) => requestId === 'let go on',
    )
    expect(own).to.have.length(1)
    expect(own[0]).to.deep.include({ orgId: 'default', ip: '127.0.0.1' })
    expect(own[0]?.before).to.deep.include({ haltedOrgs: 2 })

    // Nothing of it was halted any more.
    await done(api.post(`${ALL}/resume`))
    expect(await trailOf('acme')).to.have.length(told.acme + 1)
  })
})
