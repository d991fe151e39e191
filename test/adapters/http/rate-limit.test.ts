import type { IncomingMessage } from 'node:http'
import { expect } from 'chai'
import fc from 'fast-check'
import { createAddressOf } from '../../../adapters/http/client-address.ts'
import { createLimits } from '../../../adapters/http/limits.ts'
import { createLimiter, neighbourhoodOf } from '../../../adapters/http/rate-limit.ts'
import { serve } from './api-server.ts'
import { fakeApplication, KEY, SESSION_ID } from './fake-application.ts'

const SESSION = `/api/v1/sessions/${SESSION_ID}`
const BAD_KEY = 'ssk_thisOneWasNeverHandedOutToAnybodyAtAll'

describe('a limiter', () => {
  const limiterAt = (count: number, seconds: number, replicas = 1, mostKeys = 1_000) => {
    const clock = { now: 0 }
    return {
      clock,
      limiter: createLimiter({ count, seconds }, { replicas: () => replicas, now: () => clock.now, mostKeys }),
    }
  }

  it('lets so many through at once, and then one after each part of the time', () => {
    const { clock, limiter } = limiterAt(10, 1)
    const verdicts = Array.from({ length: 12 }, () => limiter.take('a'))
    expect(verdicts.map(({ allowed }) => allowed)).to.deep.equal([...Array(10).fill(true), false, false])
    expect(verdicts.map(({ remaining }) => remaining).slice(0, 11)).to.deep.equal([9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 0])
    expect(verdicts.at(-1)).to.include({ retryInSeconds: 1, fullInSeconds: 1 })
    clock.now = 100
    expect(limiter.take('a').allowed).to.equal(true)
    expect(limiter.take('a').allowed).to.equal(false)
    expect(limiter.take('b').allowed, 'somebody else').to.equal(true)
    clock.now = 1_100
    expect(limiter.take('a').remaining).to.equal(9)
  })

  it('never lets more through in any time than the limit and what came back meanwhile', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 50 }),
        fc.integer({ min: 1, max: 60 }),
        fc.array(fc.integer({ min: 0, max: 5_000 }), { minLength: 1, maxLength: 200 }),
        (count, seconds, gaps) => {
          const { clock, limiter } = limiterAt(count, seconds)
          let allowed = 0
          for (const gap of gaps) {
            clock.now += gap
            const { remaining } = limiter.look('a')
            const verdict = limiter.take('a')
            expect(verdict.allowed).to.equal(remaining >= 1)
            if (verdict.allowed) allowed += 1
          }
          expect(allowed).to.be.at.most(count + Math.floor((clock.now * count) / (seconds * 1_000) + 1e-6))
        },
      ),
    )
  })

  it('says when to come again, and then lets through', () => {
    const { clock, limiter } = limiterAt(2, 60)
    limiter.take('a')
    limiter.take('a')
    const { allowed, retryInSeconds } = limiter.take('a')
    expect([allowed, retryInSeconds]).to.deep.equal([false, 30])
    clock.now = 30_000
    expect(limiter.take('a').allowed).to.equal(true)
  })

  it('gives each replica its share, and never none', () => {
    const { limiter } = limiterAt(10, 1, 4)
    expect(Array.from({ length: 5 }, () => limiter.take('a').allowed)).to.deep.equal([true, true, false, false, false])
    const few = limiterAt(1, 1, 4).limiter
    expect([few.take('a').allowed, few.take('a').allowed]).to.deep.equal([true, false])
  })

  it('knows of so many at most, and forgets those that may come again first', () => {
    const { clock, limiter } = limiterAt(1, 1, 1, 100)
    for (let number = 0; number < 100_000; number += 1) limiter.take(`somebody ${number}`)
    expect(limiter.take('somebody 99999').allowed, 'the last').to.equal(false)
    clock.now = 2_000
    for (let number = 0; number < 50; number += 1) limiter.take(`another ${number}`)
    expect(limiter.take('another 0').allowed).to.equal(false)
  })
})

describe('the address that a request comes from', () => {
  const from = (remoteAddress: string, forwarded?: string) =>
    ({ socket: { remoteAddress }, headers: { 'x-forwarded-for': forwarded } }) as unknown as IncomingMessage
  const proxies = [
    { address: '10.0.0.0', family: 'ipv4', bits: 8 },
    { address: 'fd00::', family: 'ipv6', bits: 8 },
  ] as const

  it('is that of its socket, whatever it says, unless a setting trusts that one', () => {
    expect(createAddressOf([])(from('198.51.100.1', '203.0.113.9'))).to.equal('198.51.100.1')
    expect(createAddressOf(proxies)(from('198.51.100.1', '203.0.113.9'))).to.equal('198.51.100.1')
    expect(createAddressOf([])(from('::ffff:198.51.100.1'))).to.equal('198.51.100.1')
  })

  it('is the nearest that no trusted proxy has, however much was written before it', () => {
    const addressOf = createAddressOf(proxies)
    expect(addressOf(from('10.1.2.3', '203.0.113.9'))).to.equal('203.0.113.9')
    expect(addressOf(from('::ffff:10.1.2.3', '1.2.3.4, 203.0.113.9, 10.9.9.9'))).to.equal('203.0.113.9')
    expect(addressOf(from('fd00::1', '127.0.0.1, [2001:db8::1]:443'))).to.equal('2001:db8::1')
    expect(addressOf(from('10.1.2.3', '203.0.113.9:1234'))).to.equal('203.0.113.9')
    expect(addressOf(from('10.1.2.3', 'nonsense, '))).to.equal('10.1.2.3')
    expect(addressOf(from('10.1.2.3', Array(10_000).fill('10.0.0.1').join(',')))).to.equal('10.0.0.1')
  })

  it('is one of a provider’s customer for IPv6', () => {
    expect(neighbourhoodOf('2001:db8:1:2:3:4:5:6')).to.equal(neighbourhoodOf('2001:db8:1:2::9'))
    expect(neighbourhoodOf('2001:db8:1:2::1')).not.to.equal(neighbourhoodOf('2001:db8:1:3::1'))
    expect(neighbourhoodOf('::1')).to.equal('0:0:0:0::/64')
    expect(neighbourhoodOf('203.0.113.9')).to.equal('203.0.113.9')
  })
})

describe('rate limits over HTTP', () => {
  const clock = { now: 0 }
  const limits = (settings: { perKey?: number; failed?: number }) =>
    createLimits(
      {
        perKey: settings.perKey === undefined ? null : { count: settings.perKey, seconds: 10 },
        failedLogins: settings.failed === undefined ? null : { count: settings.failed, seconds: 60 },
        trustedProxies: [],
      },
      { replicas: () => 1, now: () => clock.now },
    )

  it('there are none, and no words of them, unless a setting says so', async () => {
    await using api = await serve(fakeApplication())
    const { headers } = await api.call('GET', SESSION)
    expect([headers.get('ratelimit'), headers.get('ratelimit-policy')]).to.deep.equal([null, null])
  })

  it('of a key are told with every answer, and over it nothing is done', async () => {
    const app = fakeApplication()
    await using api = await serve(app, { limits: limits({ perKey: 3 }) })
    const answers = []
    for (let turn = 0; turn < 4; turn += 1) answers.push(await api.call('GET', SESSION))
    expect(answers.map(({ status }) => status)).to.deep.equal([200, 200, 200, 429])
    expect(answers.map(({ headers }) => headers.get('ratelimit'))).to.deep.equal([
      '"key";r=2;t=4',
      '"key";r=1;t=7',
      '"key";r=0;t=10',
      '"key";r=0;t=10',
    ])
    const refused = answers.at(-1)
    expect(refused?.headers.get('ratelimit-policy')).to.equal('"key";q=3;w=10')
    expect(refused?.headers.get('retry-after')).to.equal('4')
    expect(refused?.json).to.include({ code: 'rate_limited', status: 429 })
    expect(app.calls).to.have.length(3)
    expect((await api.call('GET', '/healthz')).status, 'whoever looks after the server').to.equal(200)
    clock.now += 4_000
    expect((await api.call('GET', SESSION)).status).to.equal(200)
  })

  it('of failed logins end guessing from that address, also for a key that is good', async () => {
    await using api = await serve(fakeApplication(), { limits: limits({ failed: 3 }) })
    const guess = () => api.call('GET', SESSION, { headers: { authorization: `Bearer ${BAD_KEY}` } })
    expect((await api.call('GET', SESSION)).status).to.equal(200)
    const statuses = []
    for (let turn = 0; turn < 5; turn += 1) statuses.push((await guess()).status)
    expect(statuses).to.deep.equal([401, 401, 401, 429, 429])
    const good = await api.call('GET', SESSION, { headers: { authorization: `Bearer ${KEY}` } })
    expect([good.status, good.json.code, good.headers.get('retry-after')]).to.deep.equal([429, 'rate_limited', '20'])
    expect((await api.call('GET', SESSION, { anonymous: true })).status, 'no guess').to.equal(401)
    clock.now += 20_000
    expect((await api.call('GET', SESSION)).status).to.equal(200)
  })
})
