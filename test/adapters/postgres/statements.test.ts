import { type AddressInfo, createServer } from 'node:net'
import { expect } from 'chai'
import pg from 'pg'
import { isLostConnection } from '../../../adapters/postgres/lost-connection.ts'
import { createStatements, type Statements } from '../../../adapters/postgres/statements.ts'
import { type FreshDatabase, freshDatabase } from '../../support/postgres.ts'

const LIMIT_MS = 500
/** Also on a machine that has much else to do. */
const NOT_REACHED_MS = 60_000

describe('statements over a pool', () => {
  let fresh: FreshDatabase
  let pool: pg.Pool
  let statements: Statements
  beforeEach(async () => {
    fresh = await freshDatabase()
    pool = new pg.Pool({ connectionString: fresh.url, max: 1 })
    pool.on('error', () => {})
    statements = createStatements(pool, NOT_REACHED_MS)
  })
  afterEach(async () => {
    statements.stop()
    await pool.end()
    await fresh.drop()
  })

  const backend = async (): Promise<number> =>
    (await statements.query({ text: 'SELECT pg_backend_pid() AS pid' })).rows[0].pid
  /** Over the same pool, given up soon. */
  const hasty = async <A>(work: (statements: Statements) => Promise<A>): Promise<A> => {
    const brief = createStatements(pool, LIMIT_MS)
    try {
      return await work(brief)
    } finally {
      brief.stop()
    }
  }
  const refused = async (text: string, by = statements): Promise<Error> => {
    const thrown = await by.query({ text }).catch((error: Error) => error)
    expect(thrown).to.be.an.instanceOf(Error)
    return thrown as Error
  }

  it('gives up one that is not answered, with its connection, and goes on over another', async () => {
    const before = await backend()
    const late = await hasty((brief) => refused('SELECT pg_sleep(30)', brief))
    expect(late.message).to.equal(`Connection terminated: no answer within ${LIMIT_MS} ms`)
    expect(isLostConnection(late)).to.equal(true)
    expect(await backend()).to.not.equal(before)
  })

  it('gives up one in a transaction, too', async () => {
    const late = await hasty((brief) =>
      brief
        .onConnection(async (client) => {
          await statements.on(client, { text: 'BEGIN' })
          await brief.on(client, { text: 'SELECT pg_sleep(30)' })
        })
        .catch((error: Error) => error),
    )
    expect(isLostConnection(late)).to.equal(true)
    await backend()
  })

  it('counts from when it was sent: many quick ones after each other outlast the limit', async () => {
    const limitMs = 2_000
    const patient = createStatements(pool, limitMs)
    const until = performance.now() + limitMs + 200
    while (performance.now() < until) await patient.query({ text: 'SELECT pg_sleep(0.05)' })
    patient.stop()
  })

  it('keeps the connection of one that was refused for what it said', async () => {
    const before = await backend()
    await refused(`SELECT 1 / 0`)
    // A race that was lost: `abort_conflicting_commit()`.
    await refused(`DO $$ BEGIN RAISE EXCEPTION 'changed by others' USING ERRCODE = 'SS001'; END $$`)
    expect(await backend()).to.equal(before)
  })

  it('takes a new connection when the old one remembers what is no longer so', async () => {
    await statements.query({ text: 'CREATE TABLE things (a int)' })
    const all = { name: 'all_things', text: 'SELECT * FROM things' }
    await statements.query(all)
    await statements.query({ text: 'ALTER TABLE things ADD b int' })
    const stale = await statements.query(all).catch((error: { code?: string }) => error.code)
    expect(stale).to.equal('0A000')
    await statements.query(all)
  })

  it('survives a connection that breaks while its holder does something else', async () => {
    const other = new pg.Client({ connectionString: fresh.url })
    await other.connect()
    await statements
      .onConnection(async (client) => {
        const { rows } = await statements.on(client, { text: 'SELECT pg_backend_pid() AS pid' })
        await other.query('SELECT pg_terminate_backend($1, 5000)', [rows[0].pid])
        await statements.on(client, { text: 'SELECT 1' })
      })
      .catch(() => {})
    await other.end()
    await backend()
  })

  it('survives a server that says goodbye in the same breath as hello', async () => {
    const message = (type: string, body: Buffer): Buffer => {
      const length = Buffer.alloc(4)
      length.writeInt32BE(body.length + 4)
      return Buffer.concat([Buffer.from(type), length, body])
    }
    const hello = [message('R', Buffer.alloc(4)), message('Z', Buffer.from('I'))]
    const goodbye = message('E', Buffer.from('SFATAL\0VFATAL\0C57P01\0Mterminating connection\0\0'))
    const stopping = createServer((socket) => {
      socket.on('error', () => {})
      socket.once('data', () => socket.end(Buffer.concat([...hello, goodbye])))
    })
    await new Promise<void>((resolve) => stopping.listen(0, '127.0.0.1', resolve))
    const { port } = stopping.address() as AddressInfo
    const brief = new pg.Pool({ host: '127.0.0.1', port, user: 'nobody', max: 1 })
    brief.on('error', () => {})
    const over = createStatements(brief, 500)
    for (let count = 0; count < 5; count += 1) {
      const thrown = await over.query({ text: 'SELECT 1' }).catch((error: Error) => error)
      expect(isLostConnection(thrown), String(thrown)).to.equal(true)
    }
    over.stop()
    await brief.end()
    stopping.close()
  })
})
