import { expect } from 'chai'
import { type ApiServer, serve } from './api-server.ts'
import { fakeApplication, KEY, SESSION_ID } from './fake-application.ts'

const SESSION = `/api/v1/sessions/${SESSION_ID}`

describe('who may come in', () => {
  let api: ApiServer
  before(async () => {
    api = await serve(fakeApplication())
  })
  after(() => api[Symbol.asyncDispose]())

  it('without a key it is a 401 that says which kind is wanted, before anything else is looked at', async () => {
    const answer = await api.call('POST', '/api/v1/sessions?foo=1', { anonymous: true, raw: '{' })
    expect([answer.status, answer.json.code]).to.deep.equal([401, 'unauthorized'])
    expect(answer.headers.get('www-authenticate')).to.equal('Bearer realm="streamspace"')
  })

  it('a wrong key, or something that is none, is a 401', async () => {
    for (const authorization of ['Bearer ssk_wrong', 'Bearer', `Basic ${KEY}`, KEY, `Bearer ${KEY} more`]) {
      const answer = await api.call('GET', SESSION, { anonymous: true, headers: { authorization } })
      expect([authorization, answer.status]).to.deep.equal([authorization, 401])
      expect(answer.headers.get('www-authenticate')).to.match(/^Bearer .*error="invalid_token"$/)
      expect(answer.text).to.not.include('ssk_wrong')
    }
  })

  it('the scheme may be written in any case', async () => {
    const answer = await api.call('GET', SESSION, { anonymous: true, headers: { authorization: `bearer  ${KEY}` } })
    expect(answer.status).to.equal(200)
  })

  it('Streamspace-Org: an unknown org is a 404, one that the key may not use a 403', async () => {
    const as = (org: string) => api.call('GET', SESSION, { headers: { 'streamspace-org': org } })
    expect((await as('nowhere')).json).to.include({ status: 404, code: 'not_found' })
    expect((await as('others')).json).to.include({ status: 403, code: 'forbidden' })
    expect((await as('default')).status).to.equal(200)
  })

  it('health, readiness, the OpenAPI document and /docs need no key', async () => {
    for (const path of ['/healthz', '/readyz', '/openapi.json', '/docs'])
      expect((await api.call('GET', path, { anonymous: true })).status, path).to.equal(200)
  })

  it('answers carry headers that keep browsers from guessing, framing and telling', async () => {
    for (const path of [SESSION, '/api/v1/nothing']) {
      const { headers } = await api.call('GET', path)
      expect(headers.get('x-powered-by')).to.equal(null)
      expect(headers.get('x-content-type-options')).to.equal('nosniff')
      expect(headers.get('referrer-policy')).to.equal('no-referrer')
      expect(headers.get('content-security-policy')).to.include("default-src 'none'")
    }
    expect((await api.call('GET', SESSION)).headers.get('cache-control')).to.equal('private, no-cache')
  })
})

describe('health', () => {
  it('the process lives, whatever the database does', async () => {
    await using api = await serve(fakeApplication({ fault: new Error('gone'), ready: false }))
    const answer = await api.call('GET', '/healthz')
    expect([answer.status, answer.json]).to.deep.equal([200, { status: 'ok' }])
  })

  it('ready is a 200, not ready a 503 with the reason', async () => {
    {
      await using api = await serve(fakeApplication())
      expect((await api.call('GET', '/readyz')).json).to.deep.equal({ status: 'ready' })
    }
    await using api = await serve(fakeApplication({ ready: false }))
    const answer = await api.call('GET', '/readyz')
    expect([answer.status, answer.json.code, answer.json.detail]).to.deep.equal([
      503,
      'not_ready',
      'migrations are missing',
    ])
    expect(answer.headers.get('retry-after')).to.equal('2')
  })

  it('a check that cannot reach the database is "not ready", not a fault', async () => {
    await using api = await serve(
      fakeApplication({ fault: Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' }) }),
    )
    const answer = await api.call('GET', '/readyz')
    expect([answer.status, answer.json.code]).to.deep.equal([503, 'not_ready'])
  })
})
