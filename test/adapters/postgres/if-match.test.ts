/** If-Match is asked by the statement that makes the change: of two who have read the same, one is refused. */
import { expect } from 'chai'
import { createApiKeyStore } from '../../../adapters/postgres/api-keys.ts'
import { createCursors } from '../../../adapters/postgres/cursor.ts'
import { E } from '../../../domain/fp.ts'
import type { UserId } from '../../../domain/ids.ts'
import { cancel } from '../../../domain/outbox/intervene.ts'
import { aDocument } from '../../support/a-template.ts'
import {
  ACME,
  acme,
  agentNamed,
  anAgent,
  aSessionOn,
  commandIdOf,
  enrolled,
  ids,
  ofAcme,
  openStores,
  right,
  type Stores,
  timeouts,
} from '../../support/rows.ts'

describe('If-Match', () => {
  let stores: Stores
  before(async () => {
    stores = await openStores()
  })
  after(() => stores.close())

  const revisionOf = async (id: string) => (await stores.agents.get(ACME, agentNamed(id)))?.revision

  describe('on an agent', () => {
    it('holds until somebody changes it, and not when it reports', async () => {
      const { agentId } = await anAgent(stores, { id: 'guarded' })
      await aSessionOn(stores, agentId)
      expect(await revisionOf('guarded')).to.equal(1)
      expect(await stores.agents.setCordoned(ofAcme(agentId), true, [1])).to.equal(2)
      expect(await stores.agents.setCordoned(ofAcme(agentId), true, [2])).to.equal(2)
      expect(await stores.agents.setCordoned(ofAcme(agentId), false, [1])).to.equal(null)
      expect(await stores.agents.setCordoned(ofAcme(agentId), false, [])).to.equal(null)
      expect((await stores.agents.get(ACME, agentId))?.cordoned).to.equal(true)
      expect(await stores.agents.setCordoned(ofAcme(agentId), false, null)).to.equal(3)
      expect(await stores.agents.setTokenHash(ofAcme(agentId), Buffer.from('another'), [2])).to.equal(false)
      expect((await stores.agents.get(ACME, agentId))?.epoch).to.equal(1)
      expect(await stores.agents.setTokenHash(ofAcme(agentId), Buffer.from('another'), [3])).to.equal(true)
      expect(await revisionOf('guarded')).to.equal(4)
      expect(await stores.agents.remove(ofAcme(agentId), [3])).to.equal(null)
      expect(await stores.agents.removeEmpty(ofAcme(agentId), [3])).to.equal(null)
      expect(await stores.agents.removeEmpty(ofAcme(agentId), [4])).to.equal(1)
      expect((await stores.agents.remove(ofAcme(agentId), [4]))?.count).to.equal(1)
    })

    it('lets one of many through who have read the same', async () => {
      const agentId = await enrolled(stores, { id: 'raced' })
      const done = await Promise.all(
        Array.from({ length: 12 }, (_, n) =>
          stores.agents.setTokenHash(ofAcme(agentId), Buffer.from(`token ${n}`), [1]),
        ),
      )
      expect(done.filter((each) => each)).to.have.length(1)
      expect(await revisionOf('raced')).to.equal(2)
    })
  })

  describe('on an API key', () => {
    const aKey = (name: string) => ({
      id: ids.apiKey(),
      orgId: ACME,
      userId: 'anna' as UserId,
      role: 'user' as const,
      name,
      prefix: 'ssk_12345678',
      hash: Buffer.from(name),
      expiresAt: null,
    })

    it('holds until it is rotated or revoked, and not when it is used', async () => {
      const keys = createApiKeyStore(stores.database, createCursors(Buffer.alloc(32)))
      const key = await keys.add(aKey('guarded key'))
      await keys.used([{ id: key.id, at: new Date() }])
      expect((await keys.get(ACME, key.id))?.revision).to.equal(1)
      expect(await keys.replace(ACME, key.id, aKey('its next'), 60, [7])).to.equal(null)
      expect((await keys.replace(ACME, key.id, aKey('its next'), 60, [1]))?.revision).to.equal(1)
      expect(await keys.revoke(ACME, key.id, [1])).to.equal(false)
      expect(await keys.revoke(ACME, key.id, [2])).to.equal(true)
      expect(await keys.get(ACME, key.id)).to.deep.include({ revision: 3 })
    })
  })

  it('on a template is about its newest version', async () => {
    const { templates } = stores
    const version = (n: number) => aDocument({ name: 'guarded', displayName: `version ${n}` })
    expect(await templates.put(ACME, version(1), [1])).to.equal(null)
    expect((await templates.put(ACME, version(1)))?.template.version).to.equal(1)
    const racing = await Promise.all([2, 3, 4, 5].map((n) => templates.put(ACME, version(n), [1])))
    expect(racing.filter((each) => each !== null)).to.have.length(1)
    expect(await templates.archive(ACME, 'guarded', [1])).to.equal(false)
    expect(await templates.archive(ACME, 'guarded', [2])).to.equal(true)
    expect(await templates.put(ACME, version(9), [2])).to.equal(null)
  })

  it('on a command holds until an operator deals with it', async () => {
    const { agentId } = await anAgent(stores, { id: 'commanded' })
    const session = await aSessionOn(stores, agentId)
    const command = await stores.commands.get(acme, await commandIdOf(stores, session.id))
    if (command === null) throw new Error('no command')
    expect(command.revision).to.equal(1)
    const change = right(cancel(session, command, { actor: 'user:anna', at: new Date(), timeouts }))
    const outdated = { ...change, command: { ...command, revision: 7 } }
    expect(await stores.commands.change(outdated)).to.deep.equal(E.left({ _tag: 'Conflict' }))
    expect(E.isRight(await stores.commands.change(change))).to.equal(true)
    expect((await stores.commands.get(acme, await commandIdOf(stores, session.id)))?.revision).to.equal(2)
  })

  it('on the removal of orphans holds until it is halted or resumed', async () => {
    const { revision } = await stores.orphans.removal()
    expect(await stores.orphans.halt('user:anna', [revision + 1])).to.equal(null)
    expect(await stores.orphans.halt('user:anna', [revision])).to.deep.include({ halted: true, revision: revision + 1 })
    expect(await stores.orphans.halt('user:ben', [revision + 1])).to.deep.include({ revision: revision + 1 })
    expect(await stores.orphans.resume('user:anna', [revision])).to.equal(null)
    expect(await stores.orphans.resume('user:anna', [revision + 1])).to.deep.include({ halted: false })
  })
})
