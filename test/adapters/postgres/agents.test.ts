import { expect } from 'chai'
import type { AgentFilter } from '../../../domain/ports/agents.ts'
import { BadCursorError } from '../../../domain/ports/sessions.ts'
import {
  ACME,
  agentNamed,
  anAgent,
  aSessionOn,
  enrolled,
  GLOBEX,
  ofAcme,
  openStores,
  PLENTY,
  replicaId,
  type Stores,
} from '../../support/rows.ts'

describe('agents', () => {
  let stores: Stores
  beforeEach(async () => {
    stores = await openStores()
  })
  afterEach(() => stores.close())

  const firstPage = { limit: 50, cursor: null }
  const namesOf = async (filter: AgentFilter = {}, orgId = ACME) =>
    (await stores.agents.list(orgId, filter, firstPage)).items.map(({ id }) => id)

  it('are enrolled once under a name', async () => {
    const enrolment = {
      id: agentNamed('once'),
      orgId: ACME,
      platform: 'docker',
      region: 'eu',
      labels: { zone: 'a' },
      tokenHash: Buffer.from('hash'),
    }
    expect(await stores.agents.enrol(enrolment)).to.equal(true)
    expect(await stores.agents.enrol({ ...enrolment, tokenHash: Buffer.from('other') })).to.equal(false)
    expect(await stores.agents.get(ACME, enrolment.id)).to.deep.equal({
      id: 'once',
      orgId: ACME,
      platform: 'docker',
      region: 'eu',
      labels: { zone: 'a' },
      version: null,
      status: 'offline',
      statusReason: 'not connected',
      cordoned: false,
      draining: false,
      capacity: null,
      allocated: { sessions: 0, cpuMillis: 0, memoryMib: 0 },
      epoch: 0,
      replicaId: null,
      connectedAt: null,
      disconnectedAt: null,
      lastHeartbeatAt: null,
      revision: 1,
    })
  })

  it('are their org’s own, or everyone’s', async () => {
    await enrolled(stores, { id: 'own' })
    await enrolled(stores, { id: 'shared', orgId: null })
    await enrolled(stores, { id: 'theirs', orgId: GLOBEX })
    expect(await namesOf()).to.deep.equal(['own', 'shared'])
    expect(await namesOf({}, GLOBEX)).to.deep.equal(['shared', 'theirs'])
    expect(await stores.agents.get(ACME, agentNamed('theirs'))).to.equal(null)
    const candidates = await stores.agents.candidates(GLOBEX)
    expect(candidates.map(({ id }) => id)).to.have.members(['shared', 'theirs'])
  })

  it('show what they offer, what is taken, and who holds them', async () => {
    const peer = await anAgent(stores, { id: 'shows' })
    await aSessionOn(stores, peer.agentId)
    expect(await stores.agents.get(ACME, peer.agentId)).to.deep.include({
      status: 'online',
      capacity: PLENTY,
      allocated: { sessions: 1, cpuMillis: 500, memoryMib: 512 },
      epoch: 1,
      replicaId,
    })
    expect(await stores.agents.removeEmpty(ofAcme(peer.agentId))).to.equal(1)
    expect(await stores.agents.get(ACME, peer.agentId), 'still there').to.not.equal(null)
  })

  it('have a status that follows from when they were last heard of', async () => {
    const ages = { online: 0, late: 50, silent: 100 }
    for (const [id, seconds] of Object.entries(ages)) {
      await anAgent(stores, { id })
      await stores.ask(
        `UPDATE agent_liveness SET last_heartbeat_at = now() - $2 * interval '1 second' WHERE agent_id = $1`,
        id,
        seconds,
      )
    }
    const ill = await anAgent(stores, { id: 'ill' })
    await stores.ask(`UPDATE agent_liveness SET degraded_reason = 'disk full' WHERE agent_id = 'ill'`)
    await stores.leases.disconnect(await anAgent(stores, { id: 'gone' }), replicaId)
    const all = await stores.agents.list(ACME, {}, firstPage)
    expect(Object.fromEntries(all.items.map(({ id, status }) => [id, status]))).to.deep.equal({
      online: 'online',
      late: 'degraded',
      silent: 'offline',
      ill: 'degraded',
      gone: 'offline',
    })
    expect((await stores.agents.get(ACME, ill.agentId))?.statusReason).to.equal('disk full')
    expect(await namesOf({ status: ['degraded'] })).to.deep.equal(['ill', 'late'])
    expect(await namesOf({ status: ['online', 'offline'] })).to.deep.equal(['gone', 'online', 'silent'])
  })

  it('are listed by platform and region, page by page', async () => {
    for (const id of ['a', 'b', 'c', 'd']) await enrolled(stores, { id, platform: id < 'c' ? 'process' : 'docker' })
    await stores.ask(`UPDATE agents SET region = 'eu' WHERE id IN ('b', 'c')`)
    expect(await namesOf({ platform: ['docker'] })).to.deep.equal(['c', 'd'])
    expect(await namesOf({ region: ['eu', 'us'] })).to.deep.equal(['b', 'c'])
    expect(await namesOf({ region: ['eu'], platform: ['process'] })).to.deep.equal(['b'])
    for (const filter of [{}, { status: ['offline'] }] as const) {
      const first = await stores.agents.list(ACME, filter, { limit: 3, cursor: null })
      const second = await stores.agents.list(ACME, filter, { limit: 3, cursor: first.nextCursor })
      expect([first, second].map(({ items }) => items.map(({ id }) => id))).to.deep.equal([['a', 'b', 'c'], ['d']])
      expect(second.nextCursor).to.equal(null)
    }
    const error = await stores.agents.list(ACME, {}, { limit: 3, cursor: 'made up' }).catch((thrown: unknown) => thrown)
    expect(error).to.be.an.instanceOf(BadCursorError)
  })

  it('take a new token, after which the old one is nobody’s', async () => {
    const agentId = await enrolled(stores, { id: 'rotated' })
    await stores.agents.setTokenHash(ofAcme(agentId), Buffer.from('new hash'))
    expect(await stores.leases.identify(Buffer.from('token of rotated'))).to.equal(null)
    expect((await stores.leases.identify(Buffer.from('new hash')))?.agentId).to.equal(agentId)
  })

  it('are cordoned and uncordoned', async () => {
    const agentId = await enrolled(stores, { id: 'cordoned' })
    await stores.agents.setCordoned(ofAcme(agentId), true)
    expect((await stores.agents.get(ACME, agentId))?.cordoned).to.equal(true)
    await stores.agents.setCordoned(ofAcme(agentId), false)
    expect((await stores.agents.get(ACME, agentId))?.cordoned).to.equal(false)
  })
})
