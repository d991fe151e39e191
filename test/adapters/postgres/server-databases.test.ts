import { openDatabase } from '../../../adapters/postgres/pool.ts'
import { CALLERS_CONNECTIONS, OWN_CONNECTIONS, openDatabases } from '../../../src/server-databases.ts'
import { holding, letGo, lockWaits } from '../../support/locks.ts'
import { openStores, type Stores } from '../../support/rows.ts'

const LOCK = 4_711

describe('the connections of a server', () => {
  let stores: Stores
  before(async () => {
    stores = await openStores()
  })
  after(() => stores.close())
  afterEach(letGo)

  it('that are its own are there while callers wait with all of theirs, and for more', async () => {
    const { own, callers, close } = openDatabases(openDatabase, { url: stores.url })
    const held = await holding(stores.url, ['SELECT pg_advisory_xact_lock($1)', LOCK])
    const waiting = Array.from({ length: 2 * CALLERS_CONNECTIONS }, () =>
      callers.query({ text: 'SELECT pg_advisory_xact_lock($1)', values: [LOCK] }),
    )
    await lockWaits(stores.ask, CALLERS_CONNECTIONS)
    await Promise.all(Array.from({ length: 2 * OWN_CONNECTIONS }, () => own.query({ text: 'SELECT 1' })))
    await lockWaits(stores.ask, CALLERS_CONNECTIONS)
    await held.release()
    await Promise.all(waiting)
    await close()
  })
})
