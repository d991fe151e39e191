/** Rate limits of replicas that share them. */
import { randomUUID } from 'node:crypto'
import { expect } from 'chai'
import { eventually } from './support/eventually.ts'
import { keyOf } from './support/keys.ts'
import { rest } from './support/rest.ts'
import { scene } from './support/scene.ts'
import { migratedDatabase, type Server, server } from './support/streamspace.ts'

describe('rate limits', function () {
  this.timeout(120_000)
  const here = scene('each')

  it('of settings are shared by replicas, and believe a proxy that is trusted', async () => {
    const database = await migratedDatabase(here)
    const env = {
      STREAMSPACE_RATE_LIMIT_PER_KEY: '20/10m',
      STREAMSPACE_FAILED_LOGIN_LIMIT: '4/10m',
      STREAMSPACE_TRUSTED_PROXIES: '127.0.0.0/8',
    }
    const one = await server(here, database, env)
    const other = await server(here, database, env)
    const guess = async ({ url }: Server, from: string): Promise<number> =>
      (
        await rest(url, `ssk_${randomUUID().replaceAll('-', '').padEnd(40, 'z')}`).get('/sessions', {
          'x-forwarded-for': from,
        })
      ).status
    // Each knows of the other within its next sign of life.
    await eventually(async () => {
      const statuses = []
      const from = `203.0.113.${Math.floor(Math.random() * 250)}`
      for (let turn = 0; turn < 4; turn += 1) statuses.push(await guess(one, from))
      expect(statuses).to.deep.equal([401, 401, 429, 429])
    })
    expect(await guess(other, '198.51.100.1')).to.equal(401)
    const key = rest(other.url, await keyOf(database, 'viewer'))
    const statuses = []
    for (let turn = 0; turn < 12; turn += 1) statuses.push((await key.get('/sessions')).status)
    expect(statuses.filter((status) => status === 200)).to.have.length(10)
    const refused = await key.get('/sessions')
    expect([refused.status, refused.body.code, refused.headers.get('ratelimit-policy')]).to.deep.equal([
      429,
      'rate_limited',
      '"key";q=20;w=600',
    ])
    expect(Number(refused.headers.get('retry-after'))).to.be.within(1, 60)
  })
})
