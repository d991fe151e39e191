/** Sessions that nobody could take when they were asked for. */
import { expect } from 'chai'
import { eventually } from './support/eventually.ts'
import { keyOf } from './support/keys.ts'
import { ledgerAgent } from './support/ledger-agent.ts'
import { type Json, type Rest, rest } from './support/rest.ts'
import { scene } from './support/scene.ts'
import { migratedDatabase, server } from './support/streamspace.ts'

/** Two seconds, and some for a machine that is busy with other tests. */
const PLACED_WITHIN_MS = 2_000 + 3_000

describe('sessions that wait for a place', function () {
  this.timeout(120_000)
  const here = scene('each')

  it('get one when an agent appears, and then whenever there is room: orgs in turn, the oldest first', async () => {
    const databaseUrl = await migratedDatabase(here)
    const control = await server(here, databaseUrl)
    const own = control.rest
    const acme = rest(control.url, await keyOf(databaseUrl, 'admin', 'acme'))
    const enrolled = await own.post('/agents', { id: 'edge-1', platform: 'process', orgId: null })
    const ask = async (api: Rest): Promise<Json> => api.create({ template: 'hello-web' })
    const first = await ask(own)
    const second = await ask(own)
    const third = await ask(own)
    const theirs = await ask(acme)
    for (const { status, statusReason, waitingSince, deadline } of [first, second, third, theirs]) {
      expect({ status, statusReason }).to.deep.equal({ status: 'pending', statusReason: 'no_agent_online' })
      expect(deadline > waitingSince, 'a deadline after it began to wait').to.equal(true)
    }

    const capacity = { maxSessions: 2, cpuMillis: 100_000, memoryMib: 100_000 }
    await ledgerAgent(here, { id: 'edge-1', token: enrolled.body.token, url: control.url, capacity })
    await own.until(first.id, 'running', PLACED_WITHIN_MS)
    await acme.until(theirs.id, 'running', PLACED_WITHIN_MS)
    for (const { id } of [second, third]) {
      await eventually(async () => expect((await own.session(id)).statusReason).to.equal('no_capacity'))
      expect(await own.session(id)).to.include({ status: 'pending' })
    }

    await acme.ask('DELETE', `/sessions/${theirs.id}`)
    await own.until(second.id, 'running', PLACED_WITHIN_MS)
    expect(await own.session(third.id)).to.include({ status: 'pending' })
    await own.post(`/sessions/${first.id}/stop`)
    await own.until(third.id, 'running', PLACED_WITHIN_MS)
  })
})
