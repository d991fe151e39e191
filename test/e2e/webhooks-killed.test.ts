/** What becomes of webhooks when servers are killed: nothing is lost, and nobody is told of another event in its place. */
import { randomUUID } from 'node:crypto'
import { expect } from 'chai'
import pg from 'pg'
import { type Receiver, receiver } from '../support/webhook-receiver.ts'
import { eventually } from './support/eventually.ts'
import { keyOf } from './support/keys.ts'
import { type Rest, rest } from './support/rest.ts'
import { type Environment, scene } from './support/scene.ts'
import { migratedDatabase, type Server, server } from './support/streamspace.ts'

const SETTINGS = {
  STREAMSPACE_WEBHOOK_ALLOW_PRIVATE: 'true',
  STREAMSPACE_WEBHOOK_RETRY_SECONDS: '1',
}
/** No answer is waited for as long: a receiver, which is this process, that had to wait for its turn must not be sent the same again. */
const PATIENT = { STREAMSPACE_WEBHOOK_TIMEOUT_MS: '30000' }
/** Some answers never come, and what waits for them is to be sent again. */
const QUICK = { STREAMSPACE_WEBHOOK_TIMEOUT_MS: '2000' }

describe('webhooks of servers that are killed', function () {
  this.timeout(180_000)
  const here = scene('each')
  let databaseUrl: string

  beforeEach(async () => {
    databaseUrl = await migratedDatabase(here)
  })

  const start = (timeout: Environment): Promise<Server> => server(here, databaseUrl, { ...SETTINGS, ...timeout })
  const receiving = async (...how: Parameters<typeof receiver>): Promise<Receiver> => {
    const made = await receiver(...how)
    here.finally(made.close)
    return made
  }
  const hooked = async (control: Server, url: string): Promise<{ readonly api: Rest; readonly id: string }> => {
    await control.rest.post('/agents', { id: `never-${randomUUID().slice(0, 4)}`, platform: 'process', orgId: null })
    const api = rest(control.url, await keyOf(databaseUrl, 'admin', 'acme'))
    const { status, body } = await api.post('/webhooks', { url, events: ['created'] })
    expect(status, JSON.stringify(body)).to.equal(201)
    return { api, id: body.id }
  }
  const eventIds = async (): Promise<readonly number[]> => {
    const client = new pg.Client({ connectionString: databaseUrl })
    await client.connect()
    const { rows } = await client.query(`SELECT id::int FROM session_events WHERE type = 'created' ORDER BY id`)
    await client.end()
    return rows.map(({ id }) => id)
  }
  /** Jobs of a server that was killed are tried again after a minute or two, as pg-boss finds that they have expired: here at once. */
  const jobsAreOver = async (): Promise<void> => {
    const client = new pg.Client({ connectionString: databaseUrl })
    await client.connect()
    await client.query(
      `UPDATE pgboss.job SET state = 'retry', retry_count = retry_count + 1, start_after = now()
        WHERE name = 'webhook.deliver' AND state = 'active'`,
    )
    await client.end()
  }

  it('come each once from two replicas, of which neither is killed', async () => {
    const [one, two] = [await start(PATIENT), await start(PATIENT)]
    const there = await receiving()
    const { api } = await hooked(one, there.url)
    const other = rest(two.url, api.key)
    await Promise.all(
      Array.from({ length: 60 }, (_, n) => (n % 2 === 0 ? api : other).create({ template: 'hello-web' })),
    )
    await eventually(() => expect(there.messages).to.have.length(60))
    const ids = there.messages.map(({ body }) => body.id).toSorted((a, b) => a - b)
    expect(ids).to.deep.equal(await eventIds())
  })

  it('come all when their server is killed again and again: between any two steps', async () => {
    let control = await start(QUICK)
    // Some answers are lost with the server that waits for them.
    const there = await receiving((_, count) => (count % 5 === 0 ? null : 204))
    const { api, id } = await hooked(control, there.url)
    let made = 0
    for (const pause of [0, 40, 120, 300, 700, 1_100]) {
      const current = rest(control.url, api.key)
      for (let n = 0; n < 8; n += 1) {
        await current.create({ template: 'hello-web' })
        made += 1
      }
      // Not a wait for something: the moment of the kill, somewhere in the reading, sending and noting of what was just made.
      const { promise, resolve } = Promise.withResolvers<void>()
      setTimeout(resolve, pause)
      await promise
      control.program.signal('SIGKILL')
      await control.program.end()
      await jobsAreOver()
      control = await start(QUICK)
    }
    there.answers(() => 204)
    const api2 = rest(control.url, api.key)
    await eventually(async () => {
      expect(await api2.all(`/webhooks/${id}/deliveries?status=pending,dead`)).to.deep.equal([])
      expect(await api2.all(`/webhooks/${id}/deliveries?status=delivered`)).to.have.length(made)
    })
    const told = new Map(there.messages.map((message) => [message.body.id, message.id]))
    expect([...told.keys()].toSorted((a, b) => a - b)).to.deep.equal(await eventIds())
    // A message that comes again is known by its id.
    for (const message of there.messages) expect(message.id).to.equal(told.get(message.body.id))
  })
})
