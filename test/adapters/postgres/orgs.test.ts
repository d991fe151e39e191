import { expect } from 'chai'
import { createAgentStore } from '../../../adapters/postgres/agents.ts'
import { createCursors } from '../../../adapters/postgres/cursor.ts'
import { createSessionWriter } from '../../../adapters/postgres/session-writer.ts'
import { E } from '../../../domain/fp.ts'
import { noQuota } from '../../../domain/quota/quota.ts'
import { letGo, lockWaits } from '../../support/locks.ts'
import { ACME, aCreation, enrolled, GLOBEX, nowhere, openStores, type Stores } from '../../support/rows.ts'

describe('an org that is deleted', () => {
  let stores: Stores
  beforeEach(async () => {
    stores = await openStores()
  })
  afterEach(async () => {
    await letGo()
    await stores.close()
  })

  for (const withQuota of [false, true])
    it(`is in use by a session that is being written meanwhile, ${withQuota ? 'with' : 'without'} a quota`, async () => {
      if (withQuota) await stores.quotas.set(ACME, { ...noQuota, maxSessions: 5 }, null)
      const written = Promise.withResolvers<void>()
      const { promise: committing, resolve: commit } = Promise.withResolvers<void>()
      const creating = stores.database.together(async (bound) => {
        const writer = createSessionWriter(bound, { commandTtlMs: 1_000, seal: () => Buffer.alloc(0) })
        const [outcome] = await writer.insert([{ decision: aCreation(nowhere) }], 'patiently')
        written.resolve()
        await committing
        return outcome
      })
      await written.promise
      const removing = stores.orgs.remove(ACME)
      await lockWaits(stores.ask, 1)
      commit()
      const outcome = await creating
      expect(outcome !== undefined && E.isRight(outcome)).to.equal(true)
      expect(await removing).to.deep.include({ sessions: 1 })
      expect(await stores.orgs.get(ACME)).not.to.equal(null)
    })

  it('is in use by an agent that is being enrolled meanwhile, and gets none any more', async () => {
    const written = Promise.withResolvers<void>()
    const { promise: committing, resolve: commit } = Promise.withResolvers<void>()
    const enrolling = stores.database.together(async (bound) => {
      const agents = createAgentStore(
        bound,
        createCursors(Buffer.alloc(32)),
        { now: () => new Date() },
        { heartbeatIntervalMs: 1_000 },
      )
      await enrolled({ agents }, { id: 'late' })
      written.resolve()
      await committing
    })
    await written.promise
    const removing = stores.orgs.remove(ACME)
    await lockWaits(stores.ask, 1)
    commit()
    await enrolling
    expect(await removing).to.deep.equal({ sessions: 0, agents: 1 })

    await stores.orgs.remove(GLOBEX)
    const refusal = await enrolled(stores, { id: 'too-late', orgId: GLOBEX }).catch((error: unknown) => error)
    expect(refusal).to.include({ code: '23503', message: 'the org was deleted' })
  })

  it('waits for who is about to add something, who does not wait for it', async () => {
    const removing = await stores.database.together(async ({ query }) => {
      await query({ text: 'SELECT pg_advisory_xact_lock_shared(730211, hashtext($1))', values: [ACME] })
      const removal = stores.orgs.remove(ACME)
      await lockWaits(stores.ask, 1)
      await query({
        text: `INSERT INTO agents (id, org_id, platform, token_hash) VALUES ('added', $1, 'process', '')`,
        values: [ACME],
      })
      return { removal }
    })
    expect(await removing.removal).to.deep.equal({ sessions: 0, agents: 1 })
    expect(
      (await stores.ask('SELECT deadlocks::int AS n FROM pg_stat_database WHERE datname = current_database()'))[0]?.n,
    ).to.equal(0)
  })

  it('gets no session any more, and keeps none from the others that are written with it', async () => {
    expect(await stores.orgs.remove(GLOBEX)).to.deep.equal({ sessions: 0, agents: 0 })
    const [theirs, ours] = await Promise.all(
      [GLOBEX, ACME].map((orgId) => stores.unitOfWork.commit(aCreation(nowhere, { orgId }))),
    )
    expect(theirs).to.deep.equal(E.left({ _tag: 'Conflict' }))
    expect(ours !== undefined && E.isRight(ours)).to.equal(true)
    expect((await stores.ask('SELECT DISTINCT org_id FROM sessions')).map((row) => row.org_id)).to.deep.equal([ACME])
  })
})
