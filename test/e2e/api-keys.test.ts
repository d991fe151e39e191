/** API keys over two replicas: what somebody who hands them out counts on. */
import { createHash, randomUUID } from 'node:crypto'
import { expect } from 'chai'
import pg from 'pg'
import { eventually } from './support/eventually.ts'
import { type Answer, type Json, type Rest, rest } from './support/rest.ts'
import { scene } from './support/scene.ts'
import { enrol, migratedDatabase, type Server, server } from './support/streamspace.ts'

/** What the issue promises; a replica remembers a key for a second. */
const REVOKED_WITHIN_MS = 5_000

describe('API keys', function () {
  this.timeout(120_000)
  const here = scene('suite')
  let databaseUrl: string
  let replicas: readonly [Server, Server]
  let root: Rest
  let admin: Rest

  const made = (answer: Answer): Json => {
    expect(answer.status, JSON.stringify(answer.body)).to.be.within(200, 299)
    return answer.body
  }
  const createKey = async (request: object, by: Rest = admin): Promise<Json> =>
    made(await by.post('/api-keys', request))
  const on = (key: string): readonly Rest[] => replicas.map(({ url }) => rest(url, key))
  const statuses = (key: string): Promise<readonly number[]> =>
    Promise.all(on(key).map(async (api) => (await api.get('/sessions')).status))
  const query = async (text: string, values: unknown[] = []): Promise<readonly Json[]> => {
    const client = new pg.Client({ connectionString: databaseUrl })
    await client.connect()
    return client
      .query(text, values)
      .then(({ rows }) => rows)
      .finally(() => client.end())
  }

  before(async () => {
    databaseUrl = await migratedDatabase(here)
    replicas = [await server(here, databaseUrl), await server(here, databaseUrl)]
    root = replicas[0].rest
    made(await root.post('/orgs', { id: 'acme' }))
    admin = rest(replicas[0].url, (await createKey({ role: 'admin', orgId: 'acme', userId: 'ada' }, root)).key)
    await enrol(admin, 'edge-1')
  })

  it('are listed a page at a time, newest first, without the key and without those of other orgs', async () => {
    const names = Array.from({ length: 7 }, (_, index) => `listed ${index}`)
    const keys: string[] = []
    for (const name of names) keys.push((await createKey({ role: 'viewer', name })).key)
    const pages: Json[] = []
    let cursor: string | null = ''
    while (cursor !== null) {
      const page: Json = made(await admin.get(`/api-keys?limit=3${cursor === '' ? '' : `&cursor=${cursor}`}`))
      expect(page.items.length).to.be.at.most(3)
      pages.push(...page.items)
      cursor = page.nextCursor
    }
    expect(pages.map(({ name }) => name).filter((name) => name.startsWith('listed'))).to.deep.equal(names.toReversed())
    expect(new Set(pages.map(({ orgId }) => orgId))).to.deep.equal(new Set(['acme']))
    expect(pages.every((item) => !('key' in item) && !('hash' in item))).to.equal(true)
    for (const key of keys) {
      expect(key).to.match(/^ssk_[A-Za-z0-9]{32,}$/)
      expect(JSON.stringify(pages)).not.to.include(key)
    }
  })

  it('are nowhere in the database: only a hash is', async () => {
    const { key, prefix } = await createKey({ role: 'operator' })
    const rotated = made(
      await admin.post(
        `/api-keys/${(await createKey({ role: 'operator' })).id}/rotate`,
        {},
        {
          'idempotency-key': randomUUID(),
        },
      ),
    )
    expect(key.startsWith(prefix)).to.equal(true)
    const tables = await query(`SELECT table_schema || '.' || table_name AS name FROM information_schema.tables
                                 WHERE table_schema IN ('public', 'pgboss') AND table_type = 'BASE TABLE'`)
    for (const { name } of tables) {
      const rows = await query(`SELECT t::text AS row FROM ${name} t`)
      const text = rows
        .map(({ row }) => row + Buffer.from(row.replaceAll(/.*?\\x([0-9a-f]+)/g, '$1'), 'hex'))
        .join('\n')
      for (const secret of [key, rotated.key]) {
        expect(text, name).not.to.include(secret)
        expect(text, name).not.to.include(secret.slice(prefix.length))
      }
    }
    const [row] = await query('SELECT hash FROM api_keys WHERE prefix = $1', [prefix])
    expect(row.hash.equals(createHash('sha256').update(key).digest())).to.equal(true)
  })

  it('show when they were used last, soon after the first time', async () => {
    const { id, key, lastUsedAt } = await createKey({ role: 'viewer' })
    expect(lastUsedAt).to.equal(null)
    const before = Date.now()
    expect(await statuses(key)).to.deep.equal([200, 200])
    await eventually(
      async () => {
        const shown = (await admin.all('/api-keys?limit=500')).find((one) => one.id === id)
        expect(Date.parse(shown.lastUsedAt)).to.be.within(before - 5_000, Date.now() + 5_000)
      },
      { within: 10_000 },
    )
  })

  it('are rotated with an overlap, in which both work; then the old one ends', async () => {
    const old = await createKey({ role: 'operator', name: 'deploys', userId: 'robot' })
    expect(await statuses(old.key)).to.deep.equal([200, 200])
    const overlapSeconds = 3
    const fresh = made(await admin.post(`/api-keys/${old.id}/rotate`, { overlapSeconds }))
    const rotatedAt = performance.now()
    expect(fresh).to.include({ role: 'operator', name: 'deploys', userId: 'robot', orgId: 'acme' })
    expect(fresh.id).not.to.equal(old.id)
    expect(await statuses(fresh.key)).to.deep.equal([200, 200])
    if (performance.now() - rotatedAt < overlapSeconds * 500)
      expect(await statuses(old.key), 'both work').to.deep.equal([200, 200])
    await eventually(async () => expect(await statuses(old.key)).to.deep.equal([401, 401]), {
      within: overlapSeconds * 1_000 + REVOKED_WITHIN_MS,
    })
    expect(await statuses(fresh.key)).to.deep.equal([200, 200])
    const again = await admin.post(`/api-keys/${old.id}/rotate`, { overlapSeconds })
    expect([again.status, again.body.code]).to.deep.equal([409, 'api_key_over'])
  })

  it('rotated without an overlap end at once, and no rotation makes one last longer', async () => {
    const old = await createKey({ role: 'viewer', expiresAt: new Date(Date.now() + 8_000).toISOString() })
    const fresh = made(await admin.post(`/api-keys/${old.id}/rotate`, { overlapSeconds: 86_400 }))
    expect(fresh.expiresAt).to.equal(old.expiresAt)
    await eventually(
      async () => {
        expect(await statuses(old.key)).to.deep.equal([401, 401])
        expect(await statuses(fresh.key)).to.deep.equal([401, 401])
      },
      { within: 8_000 + REVOKED_WITHIN_MS },
    )
    const next = await createKey({ role: 'viewer' })
    expect(await statuses(next.key)).to.deep.equal([200, 200])
    made(await admin.post(`/api-keys/${next.id}/rotate`))
    await eventually(async () => expect(await statuses(next.key)).to.deep.equal([401, 401]), {
      within: REVOKED_WITHIN_MS,
    })
  })

  it('that are revoked end within seconds on every replica, though each has just been used there', async () => {
    const times: number[] = []
    for (let round = 0; round < 5; round += 1) {
      const { id, key } = await createKey({ role: 'operator' })
      expect(await statuses(key)).to.deep.equal([200, 200])
      // In use all the time: what a replica remembers must not be kept alive by it.
      const revokedAt = performance.now()
      expect((await admin.ask('DELETE', `/api-keys/${id}`)).status).to.equal(204)
      expect((await rest(admin.url, key).get('/sessions')).status, 'where it was revoked').to.equal(401)
      for (;;) {
        const found = await statuses(key)
        const took = performance.now() - revokedAt
        if (found.every((status) => status === 401)) {
          times.push(took)
          break
        }
        if (took > REVOKED_WITHIN_MS) expect.fail(`${found} after ${took} ms`)
      }
      const shown = (await admin.all('/api-keys?limit=500')).find((one) => one.id === id)
      expect(shown.revokedAt).to.be.a('string')
      expect((await admin.ask('DELETE', `/api-keys/${id}`)).status, 'revoked again').to.equal(204)
    }
    console.log(`      revoked on both replicas after ${times.map((ms) => Math.round(ms)).join(', ')} ms`)
  })

  it('that begin alike are each their own; one that only begins like one is nobody’s', async () => {
    const { key, prefix } = await createKey({ role: 'viewer', userId: 'first' })
    const twin = `${prefix}${createHash('sha256').update(randomUUID()).digest('hex')}`
    await query(
      `INSERT INTO api_keys (id, org_id, user_id, role, name, prefix, hash) VALUES ($1, 'acme', 'second', 'user', 'twin', $2, $3)`,
      [randomUUID(), prefix, createHash('sha256').update(twin).digest()],
    )
    const create = (bearer: string) => rest(replicas[1].url, bearer).post('/sessions', { template: 'hello-web' })
    expect((await create(key)).status).to.equal(403)
    expect(made(await create(twin)).userId).to.equal('second')
    for (const near of [`${prefix}${'a'.repeat(40)}`, `${key}a`, key.slice(0, -1), key.toUpperCase(), prefix])
      expect(await statuses(near), near).to.deep.equal([401, 401])
  })

  it('of an org that is deleted are refused, and its name is nobody’s', async () => {
    made(await root.post('/orgs', { id: 'passing' }))
    const { key } = await createKey({ role: 'admin', orgId: 'passing' }, root)
    expect(await statuses(key)).to.deep.equal([200, 200])
    expect((await root.ask('DELETE', '/orgs/passing')).status).to.equal(204)
    await eventually(async () => expect(await statuses(key)).to.deep.equal([401, 401]), { within: REVOKED_WITHIN_MS })
    await eventually(
      async () => {
        const found = await Promise.all(
          on(root.key).map(async (api) => (await api.get('/sessions', { 'streamspace-org': 'passing' })).status),
        )
        expect(found).to.deep.equal([404, 404])
      },
      { within: REVOKED_WITHIN_MS },
    )
    expect((await root.post('/api-keys', { role: 'viewer', orgId: 'passing' })).status).to.equal(404)
    expect((await root.post('/orgs', { id: 'passing' })).body.code).to.equal('org_exists')
  })

  it('are made by nobody for more than their own, nor for another org', async () => {
    for (const request of [{ role: 'installation' }, { role: 'viewer', orgId: 'default' }]) {
      const refused = await admin.post('/api-keys', request)
      expect([refused.status, refused.body.code], JSON.stringify(request)).to.deep.equal([403, 'forbidden'])
    }
    expect((await admin.get('/sessions', { 'streamspace-org': 'default' })).status).to.equal(403)
    expect((await admin.get('/sessions', { 'streamspace-org': 'acme' })).status).to.equal(200)
    expect((await root.get('/sessions', { 'streamspace-org': 'acme,default' })).status).to.equal(404)
    const past = await admin.post('/api-keys', { role: 'viewer', expiresAt: '2020-01-01T00:00:00Z' })
    expect([past.status, past.body.errors[0].field]).to.deep.equal([422, 'expiresAt'])
    // The installation's own keys belong to its org, and are no admin's of that org to take over.
    const { id } = await createKey({ role: 'installation' }, root)
    const { key } = await createKey({ role: 'admin', orgId: 'default' }, root)
    const ofDefault = rest(replicas[0].url, key)
    expect((await ofDefault.post(`/api-keys/${id}/rotate`)).status).to.equal(403)
    expect((await ofDefault.ask('DELETE', `/api-keys/${id}`)).status).to.equal(403)
  })
})
