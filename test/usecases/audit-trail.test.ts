import { expect } from 'chai'
import type { OrgId, UserId } from '../../domain/ids.ts'
import type { AuditEntry } from '../../domain/ports/audit.ts'
import { type AuditTrailDeps, createAuditTrail } from '../../src/usecases/audit-trail.ts'
import { anAuditEntry } from '../support/an-audit-entry.ts'

const ACME = 'acme' as OrgId
const GLOBEX = 'globex' as OrgId
/** As many as the trail has room for. */
const ROOM = 10_000

const writing = (add: (entries: readonly AuditEntry[]) => void = () => {}) => {
  const written: AuditEntry[] = []
  const told: [OrgId | null, number][] = []
  const deps: AuditTrailDeps = {
    audit: {
      add: async (entries) => {
        add(entries)
        written.push(...entries)
      },
    },
    onError: () => {},
    leftOut: (orgId, count) => told.push([orgId, count]),
    neighbourhoodOf: (address) => address.split('.').slice(0, 3).join('.'),
  }
  return { trail: createAuditTrail(deps), written, told }
}

const noted = (trail: ReturnType<typeof createAuditTrail>, count: number, about: Partial<AuditEntry>): void => {
  for (let n = 0; n < count; n += 1) trail.note(anAuditEntry({ outcome: 'refused', ...about, resourceId: String(n) }))
}

describe('the trail of what was refused', () => {
  it('loses what PostgreSQL cannot take, and nothing beside it', async () => {
    const { trail, written, told } = writing((entries) => {
      if (entries.some(({ resourceId }) => resourceId === 'bad'))
        throw Object.assign(new Error('invalid input syntax for type json'), { code: '22P02' })
    })
    for (const resourceId of ['1', 'bad', '2']) trail.note(anAuditEntry({ resourceId }))
    await trail.stop()
    expect(written.map(({ action, resourceId }) => [action, resourceId])).to.deep.equal([
      ['stopSession', '1'],
      ['stopSession', '2'],
      ['leftOut', null],
    ])
    expect(told).to.deep.equal([[ACME, 1]])
  })

  for (const order of ['before', 'after'] as const)
    it(`of an org that floods it loses only its own, and says how many, also where others came ${order} it`, async () => {
      const { trail, written, told } = writing()
      if (order === 'before') noted(trail, 50, { orgId: GLOBEX })
      noted(trail, 3 * ROOM, { orgId: ACME, requestId: 'of the flood' })
      if (order === 'after') noted(trail, 50, { orgId: GLOBEX })
      await trail.stop()
      const of = (orgId: OrgId) => written.filter((entry) => entry.orgId === orgId)
      expect(of(GLOBEX).map(({ resourceId }) => resourceId)).to.deep.equal(Array.from({ length: 50 }, (_, n) => `${n}`))
      const leftOut = 2 * ROOM + 50
      expect(told).to.deep.equal([[ACME, leftOut]])
      const [said] = of(ACME).filter(({ action }) => action === 'leftOut')
      expect(said).to.deep.include({ resource: 'audit', resourceId: null, requestId: 'of the flood', before: null })
      expect(said?.after).to.deep.equal({ leftOut })
      expect(of(ACME)).to.have.length(ROOM - 50 + 1)
      // Not behind all of the flood.
      expect(written.slice(0, 100).filter((entry) => entry.orgId === GLOBEX)).to.have.length(50)
    })

  it('of an org tells of each who is refused, whoever else of it is refused very often', async () => {
    const { trail, written } = writing()
    noted(trail, 2 * ROOM, { userId: 'loud' as UserId })
    noted(trail, 3, { userId: 'quiet' as UserId })
    await trail.stop()
    expect(written.filter(({ userId }) => userId === 'quiet')).to.have.length(3)
  })

  it('loses nothing of an org to those whom nobody knows, nor of one of these to all that comes from somewhere else', async () => {
    const { trail, written, told } = writing()
    const nobodys = { orgId: null, userId: null, role: null }
    noted(trail, 20, { orgId: ACME })
    noted(trail, 3, { ...nobodys, ip: '198.51.100.7' })
    // From very many addresses, as whoever has a network does it.
    for (let host = 0; host < 3 * ROOM; host += 1) noted(trail, 1, { ...nobodys, ip: `203.0.113.${host}` })
    noted(trail, 20, { orgId: GLOBEX })
    await trail.stop()
    const of = (orgId: OrgId | null) => written.filter((entry) => entry.orgId === orgId && entry.action !== 'leftOut')
    expect([of(ACME).length, of(GLOBEX).length]).to.deep.equal([20, 20])
    expect(of(null).filter(({ ip }) => ip === '198.51.100.7')).to.have.length(3)
    expect(of(null)).to.have.length(ROOM - 40)
    expect(told).to.deep.equal([[null, 3 * ROOM + 3 - (ROOM - 40)]])
  })

  it('keeps all of it, and says once what was left out, while nothing can be written', async () => {
    let isThere = false
    const { trail, written, told } = writing(() => {
      if (!isThere) throw Object.assign(new Error('gone'), { code: '57P01' })
    })
    noted(trail, ROOM + 7, { orgId: ACME })
    await trail.stop()
    expect(written).to.deep.equal([])
    isThere = true
    await trail.stop()
    expect(told).to.deep.equal([[ACME, 7]])
    expect(written).to.have.length(ROOM + 1)
  })
})
