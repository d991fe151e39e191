import { expect } from 'chai'
import { createDatabaseClock } from '../../../adapters/postgres/database-clock.ts'
import { type Database, openDatabase } from '../../../adapters/postgres/pool.ts'
import type { Clock } from '../../../domain/ports/clock.ts'
import { eventually } from '../../support/eventually.ts'
import { type FreshDatabase, freshDatabase } from '../../support/postgres.ts'

describe('the connection pool', () => {
  let fresh: FreshDatabase
  let database: Database
  let idleErrors: Error[]
  beforeEach(async () => {
    fresh = await freshDatabase()
    idleErrors = []
    database = openDatabase({
      url: fresh.url,
      as: 'login',
      maxConnections: 3,
      onIdleError: (error) => idleErrors.push(error),
    })
    await database.query({ text: 'CREATE TABLE notes (text text)' })
  })
  afterEach(async () => {
    await database.close()
    await fresh.drop()
  })

  const notes = async () =>
    (await database.query({ text: 'SELECT text FROM notes ORDER BY 1' })).rows.map((row) => row.text)

  it('reads counters as numbers and times as dates', async () => {
    const { rows, rowCount } = await database.query({
      text: `SELECT 9007199254740991::bigint AS big, 'epoch'::timestamptz AS at, $1::text[] AS list`,
      values: [['a', 'b']],
    })
    expect(rows).to.deep.equal([{ big: Number.MAX_SAFE_INTEGER, at: new Date(0), list: ['a', 'b'] }])
    expect(rowCount).to.equal(1)
  })

  describe('a transaction', () => {
    it('is all or nothing', async () => {
      const answer = await database.transaction(async (query) => {
        await query({ text: `INSERT INTO notes VALUES ('kept')` })
        return 'done'
      })
      expect(answer).to.equal('done')
      const error = await database
        .transaction(async (query) => {
          await query({ text: `INSERT INTO notes VALUES ('lost')` })
          throw new Error('changed my mind')
        })
        .catch((thrown: Error) => thrown.message)
      expect(error).to.equal('changed my mind')
      expect(await notes()).to.deep.equal(['kept'])
    })

    it('whose connection breaks between two statements fails, and nothing else does', async () => {
      const other = openDatabase({ url: fresh.url, as: 'login', maxConnections: 1 })
      const error = await database
        .transaction(async (query) => {
          const { rows } = await query({ text: 'SELECT pg_backend_pid() AS pid' })
          await other.query({ text: 'SELECT pg_terminate_backend($1, 5000)', values: [rows[0].pid] })
          await query({ text: `INSERT INTO notes VALUES ('lost')` })
        })
        .catch((thrown: Error) => thrown)
      expect(error).to.be.an.instanceOf(Error)
      expect(await notes()).to.deep.equal([])
      await other.close()
    })

    it('is run again after a serialization failure, and gives up when that does not end', async () => {
      let runs = 0
      const failing = (times: number) => () =>
        database.transaction(async (query) => {
          runs += 1
          if (runs <= times)
            await query({ text: `DO $$ BEGIN RAISE EXCEPTION 'again' USING ERRCODE = '40001'; END $$` })
          await query({ text: `INSERT INTO notes VALUES ('run ${runs}')` })
        })
      await failing(2)()
      expect(await notes()).to.deep.equal(['run 3'])
      runs = 0
      const error = await failing(1_000)().catch((thrown: { code?: string }) => thrown.code)
      expect([error, runs]).to.deep.equal(['40001', 5])
    })
  })

  it('tells of a connection that broke while nobody used it, and goes on', async () => {
    const { rows } = await database.query({ text: 'SELECT pg_backend_pid() AS pid' })
    const other = openDatabase({ url: fresh.url, as: 'login', maxConnections: 1 })
    await other.query({ text: 'SELECT pg_terminate_backend($1, 5000)', values: [rows[0].pid] })
    await other.close()
    await eventually(() => expect(idleErrors).to.have.length(1))
    expect(await notes()).to.deep.equal([])
  })

  describe('the clock', () => {
    /** However long the answer takes: the database tells its time between two looks at the clock. */
    const isRight = async (clock: Clock, withinMs: number): Promise<void> => {
      const before = clock.now().getTime()
      const { rows } = await database.query({ text: 'SELECT clock_timestamp() AS now' })
      const after = clock.now().getTime()
      expect(rows[0].now.getTime()).to.be.within(before - withinMs, after + withinMs)
    }

    it('tells the time of the database, not of this machine’s wall', async () => {
      const clock = await createDatabaseClock(database)
      await isRight(clock, 500)

      const anHourAhead = {
        ...database,
        query: async () => ({ rows: [{ ms: Date.now() + 3_600_000 }], rowCount: 1 }),
      }
      const ahead = await createDatabaseClock(anHourAhead)
      expect(ahead.now().getTime() - Date.now()).to.be.within(3_599_000, 3_601_000)
      clock.stop()
      ahead.stop()
    })

    it('is not led astray by an answer that took long', async () => {
      const slowly = {
        ...database,
        query: async (asked: Parameters<Database['query']>[0]) => {
          const answer = await database.query(asked)
          // Taken long before it is heard, as when this process stood still in between.
          await database.query({ text: 'SELECT pg_sleep(0.6)' })
          return answer
        },
      }
      let count = 0
      const once = {
        ...database,
        query: (asked: Parameters<Database['query']>[0]) => (count++ === 0 ? slowly : database).query(asked),
      }
      const clock = await createDatabaseClock(once)
      await isRight(clock, 200)
      expect(count).to.be.at.least(2)
      clock.stop()
    })
  })
})
