/** What strangers, browsers and proxies send, and are told. */
import { request } from 'node:http'
import { connect } from 'node:net'
import { brotliDecompressSync, gunzipSync } from 'node:zlib'
import { expect } from 'chai'
import { E } from '../../../domain/fp.ts'
import { type ApiServer, serve } from './api-server.ts'
import { aSessionView, type FakeApplication, fakeApplication, KEY, SESSION_ID } from './fake-application.ts'
import { rawRequest, sendRaw } from './raw.ts'

const AUTHORIZED = { Authorization: `Bearer ${KEY}` }
const SESSION = `/api/v1/sessions/${SESSION_ID}`

type Received = { readonly status: number; readonly headers: NodeJS.Dict<string | string[]>; readonly bytes: Buffer }

/** As `fetch` does not let one: what is compressed stays so. */
const get = (url: string, headers: Record<string, string>): Promise<Received> =>
  new Promise((resolve, reject) => {
    request(url, { headers, agent: false }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk) => chunks.push(chunk))
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, bytes: Buffer.concat(chunks) }),
      )
    })
      .on('error', reject)
      .end()
  })

describe('what a stranger sends', () => {
  let app: FakeApplication
  let api: ApiServer
  before(async () => {
    app = fakeApplication()
    api = await serve(app)
  })
  after(() => api[Symbol.asyncDispose]())
  beforeEach(() => {
    app.calls.length = 0
  })

  const create = (raw: string) => api.call('POST', '/api/v1/sessions', { raw })

  it('is refused by the path of a name that an object has twice, however it is escaped', async () => {
    for (const [raw, field] of [
      ['{"template":"a","template":"b"}', 'template'],
      ['{"template":"a","t\\u0065mplate":"b"}', 'template'],
      ['{"template":"a","labels":{"x":"1","y":"2","x":"3"}}', 'labels.x'],
      ['{"template":"a","parameters":{"list":[{"a":1},{"b":1,"b":2}]}}', 'parameters.list.1.b'],
    ] as const) {
      const answer = await create(raw)
      expect([raw, answer.status, answer.json.code]).to.deep.equal([raw, 400, 'invalid_request'])
      expect(answer.json.errors).to.deep.equal([{ field, message: 'is given more than once' }])
    }
    expect(app.calls).to.deep.equal([])
  })

  it('is taken where equal names are of different objects, or no names', async () => {
    const fine = await create(
      '{"template":"a","name":"\\"name\\":","labels":{"name":"name","template":"{\\"a\\":1,\\"a\\":2}"}}',
    )
    expect(fine.status).to.equal(201)
  })

  it('is refused by its field where it has NUL characters or lone surrogates', async () => {
    for (const [raw, field] of [
      ['{"template":"a\\u0000"}', 'template'],
      ['{"template":"a","name":"\\ud800"}', 'name'],
      ['{"template":"a","env":{"A":"\\udfff"}}', 'env.A'],
      ['{"template":"a","labels":{"a\\u0000":"b"}}', 'labels.a\u0000'],
      ['{"template":"a","parameters":{"deep":{"er":"\\u0000"}}}', 'parameters.deep'],
    ] as const) {
      const answer = await create(raw)
      expect([raw, answer.status]).to.deep.equal([raw, 400])
      expect(answer.json.errors.map((error: { field: string }) => error.field)).to.deep.equal([field])
    }
  })

  it('makes no prototype of anything', async () => {
    for (const raw of [
      '{"template":"a","__proto__":{"name":"x"}}',
      '{"template":"a","constructor":{"prototype":{"name":"x"}}}',
      '{"template":"a","labels":{"__proto__":"x"}}',
      '{"template":"a","parameters":{"__proto__":{"x":1}}}',
      '{"template":"a","parameters":{"deep":[{"__proto__":{"x":1}}]}}',
    ])
      expect([raw, (await create(raw)).status]).to.deep.equal([raw, 400])
    expect(app.calls).to.deep.equal([])
    expect(({} as { name?: string }).name).to.equal(undefined)
  })

  it('is refused where it has more parameters than any list takes, or such as are no UTF-8', async () => {
    const many = await api.call('GET', `/api/v1/sessions?${'a=1&'.repeat(300)}`)
    expect([many.status, many.json.errors[0].field]).to.deep.equal([400, 'query'])
    expect((await api.call('GET', `/api/v1/sessions?${'label=a%3Db&'.repeat(10_000)}`)).status).to.equal(431)
    for (const query of ['q=%ff', 'q=%zz', 'q=%ed%a0%80', 'q=%00', 'label=a%3D%00']) {
      const answer = await api.call('GET', `/api/v1/sessions?${query}`)
      expect([query, answer.status]).to.deep.equal([query, 400])
    }
    expect(app.calls).to.deep.equal([])
  })

  it('is nothing where its path plays tricks', async () => {
    for (const target of [
      '//api/v1/sessions',
      '/api//v1/sessions',
      '/api/v1/../v1/sessions/../../../etc/passwd',
      '/api/v1/%2e%2e/v1/sessions',
      '/api/v1%2fsessions',
      '/api/v1/sessions/%00',
      `/api/v1/sessions/${SESSION_ID}%2fevents`,
      `/api/v1/sessions/${SESSION_ID}%00`,
      '/api/v1/templates/..%2f..%2fetc%2fpasswd',
      '/docs/..%2f..%2fpackage.json',
      '/docs/../../package.json',
      '/api/v1/sessions;a=b',
      '/api/v1/sessions\\..\\x',
      `/${'a/'.repeat(3_000)}`,
    ]) {
      const { status } = await sendRaw(api.url, rawRequest('GET', target, AUTHORIZED))
      expect([400, 404], target).to.include(status)
    }
    expect(app.calls).to.deep.equal([])
  })

  it('writes no header of an answer', async () => {
    for (const id of ['a\r\nSet-Cookie: x=1', 'a\nSet-Cookie: x=1']) {
      const { text } = await sendRaw(api.url, rawRequest('GET', SESSION, { ...AUTHORIZED, 'X-Request-Id': id }))
      expect(text).not.to.match(/^Set-Cookie/im)
    }
    const { text } = await sendRaw(api.url, rawRequest('GET', '/api/v1/x%0d%0aSet-Cookie:%20x=1', AUTHORIZED))
    expect(text).not.to.match(/^Set-Cookie/im)
  })

  it('is not taken for two requests', async () => {
    const body = '{"template":"hello-web"}'
    for (const headers of [
      { 'Content-Length': '5', 'Transfer-Encoding': 'chunked' },
      { 'Transfer-Encoding': 'chunked, identity' },
      { 'Content-Length': '5, 6' },
    ]) {
      const { status } = await sendRaw(
        api.url,
        `${rawRequest('POST', '/api/v1/sessions', { ...AUTHORIZED, 'Content-Type': 'application/json', ...headers })}${body}`,
      )
      expect(status, JSON.stringify(headers)).to.equal(400)
    }
    expect(app.calls).to.deep.equal([])
  })
})

describe('what a browser is told', () => {
  it('never to take JSON for a page, to frame it, or to tell where it came from', async () => {
    await using api = await serve(fakeApplication())
    for (const path of [SESSION, '/healthz', '/api/v1/nothing', '/docs']) {
      const { headers } = await api.call('GET', path)
      expect(headers.get('x-content-type-options')).to.equal('nosniff')
      expect(headers.get('x-frame-options')).to.equal('DENY')
      expect(headers.get('referrer-policy')).to.equal('no-referrer')
      expect(headers.get('content-security-policy')).to.match(/^default-src 'none'/)
      expect(headers.get('content-security-policy')).to.include("frame-ancestors 'none'")
      expect(headers.get('x-powered-by')).to.equal(null)
      expect(headers.get('strict-transport-security')).to.equal(null)
      expect(headers.get('access-control-allow-origin')).to.equal(null)
    }
  })

  it('to come by https, where that is how people come', async () => {
    await using api = await serve(fakeApplication(), { publicUrl: 'https://streams.example.org' })
    for (const path of [SESSION, '/docs'])
      expect((await api.call('GET', path)).headers.get('strict-transport-security')).to.equal('max-age=31536000')
  })

  it('that pages of some origins may ask, and others not', async () => {
    const origin = 'https://app.example.org'
    await using api = await serve(fakeApplication(), { corsOrigins: [origin] })
    const asked = await api.call('GET', SESSION, { headers: { origin } })
    expect(asked.headers.get('access-control-allow-origin')).to.equal(origin)
    expect(asked.headers.get('access-control-expose-headers')).to.include('ETag').and.include('X-Request-Id')
    expect(asked.headers.get('access-control-allow-credentials')).to.equal(null)
    expect(asked.headers.get('vary')).to.include('Origin')
    const preflight = await api.call('OPTIONS', '/api/v1/sessions', {
      anonymous: true,
      headers: {
        origin,
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'authorization, content-type, idempotency-key',
      },
    })
    expect(preflight.status).to.equal(204)
    expect(preflight.headers.get('access-control-allow-methods')).to.include('POST')
    expect(preflight.headers.get('access-control-allow-headers')).to.include('idempotency-key')
    const refused = await api.call('GET', SESSION, { headers: { origin }, anonymous: true })
    expect([refused.status, refused.headers.get('access-control-allow-origin')]).to.deep.equal([401, origin])
    const other = await api.call('GET', SESSION, { headers: { origin: 'https://elsewhere.example.org' } })
    expect(other.headers.get('access-control-allow-origin')).to.equal(null)
  })
})

describe('a large answer', () => {
  let api: ApiServer
  before(async () => {
    const app = fakeApplication()
    const items = JSON.stringify(Array.from({ length: 20 }, () => aSessionView()))
    const list = () => async () => E.right({ items, nextCursor: null })
    api = await serve({ ...app, sessions: { ...app.sessions, list } })
  })
  after(() => api[Symbol.asyncDispose]())

  it('is compressed as the client would have it', async () => {
    const plain = await get(`${api.url}/openapi.json`, {})
    expect(plain.headers['content-encoding']).to.equal(undefined)
    expect(plain.headers.vary).to.equal('Accept-Encoding')
    for (const [accept, encoding, decode] of [
      ['gzip', 'gzip', gunzipSync],
      ['br;q=1, gzip;q=0.5', 'br', brotliDecompressSync],
      ['*;q=0.5, br;q=0', 'gzip', gunzipSync],
    ] as const) {
      const { headers, bytes } = await get(`${api.url}/openapi.json`, { 'accept-encoding': accept })
      expect([accept, headers['content-encoding']]).to.deep.equal([accept, encoding])
      expect(Number(headers['content-length'])).to.equal(bytes.length)
      expect(decode(bytes).equals(plain.bytes)).to.equal(true)
      expect(headers.etag).to.equal(`W/${plain.headers.etag}`)
      const again = await get(`${api.url}/openapi.json`, {
        'accept-encoding': accept,
        'if-none-match': String(headers.etag),
      })
      expect(again.status).to.equal(304)
    }
    for (const accept of ['identity', 'deflate', '', 'gzip;q=0'])
      expect(
        (await get(`${api.url}/openapi.json`, { 'accept-encoding': accept })).headers['content-encoding'],
      ).to.equal(undefined)
  })

  it('is a list or the document, not one thing, whose ETag guards it', async () => {
    const list = await get(`${api.url}/api/v1/sessions`, { ...AUTHORIZED, 'accept-encoding': 'gzip' })
    expect(list.headers['content-encoding']).to.equal('gzip')
    expect(JSON.parse(gunzipSync(list.bytes).toString()).items).to.have.length(20)
    const one = await get(`${api.url}${SESSION}`, { ...AUTHORIZED, 'accept-encoding': 'gzip' })
    expect(one.headers['content-encoding']).to.equal(undefined)
    expect(one.headers.etag).to.match(/^"/)
  })
})

describe('a client that is slow', () => {
  const patience = { headersMs: 300, requestMs: 600, lookMs: 50 }

  /** Sends a byte now and then, for ever; answers how long it was let. */
  const trickle = (url: string, start: string, filler: string) =>
    new Promise<{ readonly text: string; readonly ms: number }>((resolve) => {
      const began = performance.now()
      let text = ''
      const socket = connect(Number(new URL(url).port), '127.0.0.1', () => socket.write(start))
      const timer = setInterval(() => socket.write(filler), 50)
      socket.on('data', (chunk) => {
        text += chunk.toString()
      })
      socket.on('error', () => {})
      socket.on('close', () => {
        clearInterval(timer)
        resolve({ text, ms: performance.now() - began })
      })
    })

  it('with its headers is told so, and let go', async () => {
    await using api = await serve(fakeApplication(), { patience })
    const { text, ms } = await trickle(api.url, 'GET /healthz HTTP/1.1\r\nHost: x\r\n', 'X-A: b\r\n')
    expect(text)
      .to.match(/^HTTP\/1\.1 408 /)
      .and.include('request_timeout')
    expect(ms).to.be.within(250, 5_000)
  })

  it('with its body is let go, and nothing comes of it', async () => {
    const app = fakeApplication()
    await using api = await serve(app, { patience })
    const start = `POST /api/v1/sessions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${KEY}\r\nContent-Type: application/json\r\nContent-Length: 10000\r\n\r\n{`
    const { ms } = await trickle(api.url, start, ' ')
    expect(ms).to.be.within(500, 5_000)
    expect(app.calls).to.deep.equal([])
  })

  it('keeps nobody else waiting', async () => {
    await using api = await serve(fakeApplication(), { patience: { ...patience, headersMs: 2_000, requestMs: 2_000 } })
    const slow = Array.from({ length: 200 }, () =>
      trickle(api.url, 'GET /healthz HTTP/1.1\r\nHost: x\r\n', 'X-A: b\r\n'),
    )
    expect((await api.call('GET', SESSION)).status).to.equal(200)
    for (const { text } of await Promise.all(slow)) expect(text).to.include('request_timeout')
  })
})
