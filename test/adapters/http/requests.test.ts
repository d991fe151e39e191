import { connect } from 'node:net'
import { expect } from 'chai'
import { eventually } from '../../support/eventually.ts'
import { type ApiServer, serve } from './api-server.ts'
import { type FakeApplication, fakeApplication, KEY, NO_SUCH_ID, SESSION_ID } from './fake-application.ts'

const SESSION = `/api/v1/sessions/${SESSION_ID}`

describe('what a request may be', () => {
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

  const fieldsOf = (answer: { json: { errors: { field: string }[] } }) => answer.json.errors.map((error) => error.field)

  it('a path that there is not is a 404, with a key or without', async () => {
    for (const path of ['/api', '/api/v1/nothing', '/api/v2/sessions', '/API/v1/sessions', '/api/v1/sessions/%zz'])
      for (const anonymous of [true, false]) {
        const answer = await api.call('GET', path, { anonymous })
        expect([path, answer.status, answer.json.code]).to.deep.equal([path, 404, 'not_found'])
      }
  })

  it('another method on a known path is a 405 that says which there are', async () => {
    const answer = await api.call('PUT', SESSION)
    expect(answer.status).to.equal(405)
    expect(answer.headers.get('allow')).to.equal('GET, PATCH, DELETE, HEAD, OPTIONS')
    expect(answer.json).to.include({ code: 'method_not_allowed', status: 405 })
    expect((await api.call('DELETE', '/api/v1/sessions/summary')).status).to.equal(405)
    expect((await api.call('POST', '/healthz')).status).to.equal(405)
    expect((await api.call('POST', '/docs')).status).to.equal(405)
  })

  it('OPTIONS says what a path takes', async () => {
    const answer = await api.call('OPTIONS', '/api/v1/sessions', { anonymous: true })
    expect([answer.status, answer.headers.get('allow')]).to.deep.equal([204, 'GET, POST, HEAD, OPTIONS'])
  })

  it('HEAD answers as GET does, without the body', async () => {
    const get = await api.call('GET', SESSION)
    const head = await api.call('HEAD', SESSION)
    expect([head.status, head.text, head.headers.get('etag')]).to.deep.equal([200, '', get.headers.get('etag')])
    expect(head.headers.get('content-length')).to.equal(get.headers.get('content-length'))
  })

  it('an id that cannot be one names nothing', async () => {
    for (const path of [
      '/api/v1/sessions/7',
      '/api/v1/sessions/not-a-uuid/events',
      `${SESSION}0`,
      '/api/v1/templates/No%20Such',
      '/api/v1/templates/%00',
      '/api/v1/agents/..%2f..',
      `/api/v1/sessions/${NO_SUCH_ID}`,
    ]) {
      const answer = await api.call('GET', path)
      expect([path, answer.status, answer.json.code]).to.deep.equal([path, 404, 'not_found'])
    }
    expect(app.calls).to.deep.equal([])
  })

  it('an upper-case UUID is the same session', async () => {
    expect((await api.call('GET', SESSION.replace(SESSION_ID, SESSION_ID.toUpperCase()))).status).to.equal(200)
  })

  it('unknown and repeated query parameters are refused by name, all of them at once', async () => {
    const answer = await api.call('GET', '/api/v1/sessions?foo=1&limit=501&status=running,odd&q=a&q=b&__proto__=1')
    expect([answer.status, answer.json.code]).to.deep.equal([400, 'invalid_request'])
    expect(fieldsOf(answer)).to.have.members(['foo', 'limit', 'status', 'q', '__proto__'])
    expect((await api.call('GET', `${SESSION}?verbose=true`)).status).to.equal(400)
    expect((await api.call('POST', `${SESSION}/stop?force=true`)).status).to.equal(400)
    expect(app.calls).to.deep.equal([])
  })

  it('unknown fields and wrong types are refused by name, in the query and the body together', async () => {
    const answer = await api.call('POST', '/api/v1/sessions?dry=1', {
      body: { name: '', labels: { 'a=b': 'c' }, resources: { cpuMillis: '1' }, colour: 'red', idleTimeoutSeconds: 0 },
    })
    expect(answer.status).to.equal(400)
    expect(fieldsOf(answer)).to.have.members([
      'dry',
      'template',
      'name',
      'labels.a=b',
      'resources.cpuMillis',
      'colour',
      'idleTimeoutSeconds',
    ])
  })

  it('a body that is not JSON, not UTF-8 or not an object is a 400', async () => {
    for (const raw of ['{"template"', 'null', '[]', '"hello-web"', '5', new Uint8Array([0x22, 0xff, 0x22])]) {
      const answer = await api.call('POST', '/api/v1/sessions', { raw })
      expect(answer.status, String(raw)).to.equal(400)
      expect(answer.json.code).to.be.oneOf(['malformed_json', 'invalid_request'])
    }
  })

  it('a body that is nested without end is a 400, not a fault', async () => {
    const raw = `{"name":"x","displayName":"x","spec":{"process":{"command":["x"]},"docker":${'{"a":'.repeat(50_000)}1${'}'.repeat(50_000)}}}`
    const answer = await api.call('POST', '/api/v1/templates', { raw })
    expect([answer.status, answer.json.code]).to.deep.equal([400, 'malformed_json'])
  })

  it('brackets inside strings are no nesting', async () => {
    const answer = await api.call('POST', '/api/v1/sessions', {
      body: { template: 'hello-web', env: { A: `\\"${'['.repeat(500)}` } },
    })
    expect(answer.status).to.equal(201)
  })

  it('a missing body is a 400 where one is needed, and fine where none is', async () => {
    for (const path of ['/api/v1/sessions', '/api/v1/templates', '/api/v1/agents']) {
      const answer = await api.call('POST', path)
      expect([answer.status, answer.json.detail]).to.deep.equal([400, 'the body is required, as JSON'])
    }
    expect((await api.call('POST', `${SESSION}/stop`)).status).to.equal(202)
    expect((await api.call('POST', `${SESSION}/stop`, { body: {} })).status).to.equal(202)
    const answer = await api.call('POST', `${SESSION}/stop`, { body: { now: true } })
    expect([answer.status, fieldsOf(answer)]).to.deep.equal([400, ['now']])
  })

  it('a body that is not application/json is a 415', async () => {
    for (const type of [
      'text/plain',
      'application/x-www-form-urlencoded',
      'application/json; charset=latin1',
      'application/jsonx',
    ]) {
      const answer = await api.call('POST', '/api/v1/sessions', {
        raw: '{"template":"hello-web"}',
        headers: { 'content-type': type },
      })
      expect([type, answer.status, answer.json.code]).to.deep.equal([type, 415, 'unsupported_media_type'])
    }
    const compressed = await api.call('POST', '/api/v1/sessions', { raw: 'x', headers: { 'content-encoding': 'gzip' } })
    expect(compressed.status).to.equal(415)
    const spelt = await api.call('POST', '/api/v1/sessions', {
      raw: '{"template":"hello-web"}',
      headers: { 'content-type': 'Application/JSON; charset="UTF-8"' },
    })
    expect(spelt.status).to.equal(201)
  })

  it('a body over 1 MiB is a 413, announced or in chunks; exactly 1 MiB is read', async () => {
    const padded = (bytes: number) => `{"template":"hello-web"${' '.repeat(bytes - 24)}}`
    const ofStream = (text: string) => new Blob([text]).stream()
    for (const raw of [padded(1_048_577), ofStream(padded(1_048_577)), ofStream(padded(5_000_000))]) {
      const answer = await api.call('POST', '/api/v1/sessions', { raw })
      expect([answer.status, answer.json.code]).to.deep.equal([413, 'body_too_large'])
    }
    expect((await api.call('POST', '/api/v1/sessions', { raw: padded(1_048_576) })).status).to.equal(201)
    expect((await api.call('POST', '/api/v1/sessions', { raw: ofStream(padded(1_048_576)) })).status).to.equal(201)
  })

  it('what is not HTTP gets a problem too', async () => {
    const text = await new Promise<string>((resolve, reject) => {
      const socket = connect(Number(new URL(api.url).port), '127.0.0.1', () => socket.write('nonsense\r\n\r\n'))
      let received = ''
      socket.on('data', (chunk) => {
        received += chunk.toString()
      })
      socket.on('end', () => resolve(received))
      socket.on('error', reject)
    })
    expect(text).to.match(/^HTTP\/1\.1 400 /)
    expect(text).to.include('application/problem+json').and.include('malformed_request')
  })

  it('a client that goes away while it sends is nobody’s fault', async () => {
    const socket = connect(Number(new URL(api.url).port), '127.0.0.1', () =>
      socket.write(
        `POST /api/v1/sessions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${KEY}\r\nX-Request-Id: gone\r\n` +
          'Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"template":',
        () => socket.destroy(),
      ),
    )
    const line = await eventually(() => {
      const found = api.logged.find(({ requestId }) => requestId === 'gone')
      expect(found).to.not.equal(undefined)
      return found
    })
    expect(line).to.include({ level: 20 })
    expect(app.calls).to.deep.equal([])
  })

  it('headers over 16 KiB are a 431', async () => {
    const answer = await api.call('GET', '/healthz', { headers: { 'x-much': 'x'.repeat(20_000) } })
    expect([answer.status, answer.json.code]).to.deep.equal([431, 'headers_too_large'])
  })
})
