/** kill -9 of a server in the middle of what it does by itself: another one goes on where it was. */
import { expect } from 'chai'
import pg from 'pg'
import { holding, letGo } from '../support/locks.ts'
import { eventually } from './support/eventually.ts'
import { scene } from './support/scene.ts'
import { enrol, migratedDatabase, server } from './support/streamspace.ts'

/** Every waiting status is acted on within this, once its deadline has passed (docs/delivery.md). */
const ACTS_WITHIN_MS = 5_000

describe('a server is killed in the middle of a duty', function () {
  this.timeout(120_000)
  const here = scene('each')
  afterEach(letGo)

  const asking = (url: string) => {
    const client = new pg.Client({ connectionString: url })
    client.on('error', () => {})
    const connected = client.connect()
    here.finally(() => client.end())
    // biome-ignore lint/suspicious/noExplicitAny: rows are what the test asked for
    return async (text: string, ...values: unknown[]): Promise<readonly any[]> => {
      await connected
      return (await client.query(text, values)).rows
    }
  }

  it('another one acts on the deadlines that it left, and the job that it left active is in nobody’s way', async () => {
    const databaseUrl = await migratedDatabase(here)
    const ask = asking(databaseUrl)
    const env = { STREAMSPACE_PENDING_TIMEOUT_MS: '1000' }
    const first = await server(here, databaseUrl, env)
    // Enrolled and never there: its sessions wait, and give up waiting.
    await enrol(first.rest, 'edge-1')
    const held = async () => {
      const { id } = await first.rest.create({ template: 'hello-web' })
      const row = await holding(databaseUrl, ['SELECT FROM sessions WHERE id = $1 FOR UPDATE', id])
      const [session] = await ask('SELECT status FROM sessions WHERE id = $1', id)
      if (session?.status === 'pending') return { id, row }
      // Its time was over before the lock was there: nothing would wait for it any more.
      await row.release()
      return null
    }
    let taken = await held()
    for (let tries = 1; taken === null && tries < 5; tries += 1) taken = await held()
    if (taken === null) throw new Error('no session was held while it was pending')
    const { row, ...inTheWay } = taken
    const behind = await first.rest.create({ template: 'hello-web' })

    const waiting = `SELECT pid FROM pg_stat_activity
                      WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%UPDATE sessions%'`
    const [stuck] = await eventually(async () => {
      const found = await ask(waiting)
      expect(found).to.have.length(1)
      return found
    })
    const [left] = await ask(`SELECT id FROM pgboss.job WHERE name = 'duty.deadlines' AND state = 'active'`)
    expect(left, 'the duty is being done').to.not.equal(undefined)
    first.program.signal('SIGKILL')
    await first.program.end()
    // The database has not noticed yet: what the dead server asked for last would still be done, and nothing after it.
    await ask('SELECT pg_terminate_backend($1)', stuck.pid)
    expect((await ask('SELECT status FROM sessions WHERE id = $1', behind.id))[0]?.status).to.equal('pending')

    const second = await server(here, databaseUrl, env)
    await eventually(async () => expect(await ask(waiting)).to.have.length(1), { within: ACTS_WITHIN_MS })
    await row.release()
    for (const { id } of [inTheWay, behind]) {
      const failed = await second.rest.until(id, 'failed', ACTS_WITHIN_MS)
      expect(failed.statusReason).to.equal('placement_timeout')
      const events = await second.rest.all(`/sessions/${id}/events`)
      expect(events.filter(({ type }) => type === 'failed')).to.have.length(1)
    }

    // What the dead server had taken is still its own, and later ones were run one after another beside it.
    const states = await ask(`SELECT id, state FROM pgboss.job WHERE name = 'duty.deadlines'`)
    expect(states.find(({ id }) => id === left.id)?.state).to.equal('active')
    const completed = () =>
      ask(
        `SELECT id FROM pgboss.job WHERE name = 'duty.deadlines' AND state = 'completed' AND completed_on > now() - interval '1 minute'`,
      )
    const before = (await completed()).length
    await eventually(async () => expect((await completed()).length).to.be.at.least(before + 2), {
      within: 2 * ACTS_WITHIN_MS,
    })
  })
})
