/**
 * The bad input that somebody thought of, one by one, against a server with a database: each is refused as the contract says,
 * and no row is changed by any. What nobody thought of is in `fuzz.test.ts`.
 */
import { randomUUID } from 'node:crypto'
import { connect as openSocket } from 'node:net'
import { expect } from 'chai'
import { SignJWT, UnsecuredJWT } from 'jose'
import { type Changes, watchChanges } from '../support/fuzz/changes.ts'
import { eventually } from './support/eventually.ts'
import type { Answer, Ask, Rest } from './support/rest.ts'
import { rest } from './support/rest.ts'
import { scene } from './support/scene.ts'
import { ADMIN_KEY, enrol, migratedDatabase, type Server, server } from './support/streamspace.ts'

const SECRET = 'a shared secret of the tests of hostile input'
const ISSUER = 'https://issuer.example'
const AUDIENCE = 'streamspace-tests'
const NOBODY = '00000000-0000-7000-8000-000000000000'

describe('hostile input', function () {
  this.timeout(120_000)
  const here = scene('suite')
  let control: Server
  let changes: Changes
  let session: string
  let agent: string

  before(async () => {
    const database = await migratedDatabase(here)
    control = await server(here, database, {
      STREAMSPACE_JWT_SECRET: SECRET,
      STREAMSPACE_JWT_ISSUER: ISSUER,
      STREAMSPACE_JWT_AUDIENCE: AUDIENCE,
    })
    changes = await watchChanges(database)
    here.finally(changes.close)
    agent = 'edge-1'
    await enrol(control.rest, agent)
    session = (await control.rest.create({ template: 'hello-web' })).id
  })

  /** All of them refused with one of these statuses, and no row is another than it was. */
  const refused = async (statuses: readonly number[], asking: () => Promise<readonly Answer[]>): Promise<void> => {
    const before = await changes.count()
    const answers = await asking()
    for (const [index, { status, body }] of answers.entries())
      expect(statuses, `number ${index}: ${JSON.stringify(body).slice(0, 300)}`).to.include(status)
    expect(await changes.since(before)).to.deep.equal([])
  }
  const each = (asks: readonly (readonly [method: string, path: string, what?: Ask])[]) => (): Promise<Answer[]> =>
    Promise.all(asks.map(([method, path, what]) => control.rest.ask(method, path, what)))
  const creates = (texts: readonly string[]) => each(texts.map((text) => ['POST', '/sessions', { text }]))

  it('a body of 10 MB', () =>
    refused([413], creates([`{"template":"hello-web","name":"${'x'.repeat(10_000_000)}"}`, ' '.repeat(10_000_000)])))

  it('ten thousand filters', () =>
    refused(
      [400, 414, 431],
      each([
        ['GET', `/sessions?${'label=a%3Db&'.repeat(10_000)}`],
        ['GET', `/sessions?status=${'running,'.repeat(1_500)}`],
      ]),
    ))

  it('JSON that is nested without end', () =>
    refused([400], creates(['['.repeat(500_000), `{"parameters":${'{"a":'.repeat(5_000)}1${'}'.repeat(5_000)}}`])))

  it('NUL characters and lone surrogates, in values and in names', () =>
    refused(
      [400],
      creates([
        '{"template":"hello-web","name":"a\\u0000b"}',
        '{"template":"hello-web","name":"\\ud83d"}',
        '{"template":"hello-web","labels":{"a\\u0000":"b"}}',
        '{"template":"hello-web","env":{"A":"\\udc00"}}',
        '{"template":"hello-\\u0000web"}',
      ]),
    ))

  it('names twice', () => refused([400], creates(['{"template":"hello-web","template":"idle"}'])))

  it('names that are properties of every object', async () => {
    await refused(
      [400],
      creates([
        '{"template":"hello-web","__proto__":{"role":"installation"}}',
        '{"template":"hello-web","constructor":{"prototype":{"role":"installation"}}}',
        '{"template":"hello-web","labels":{"__proto__":"x"}}',
        '{"template":"hello-web","toString":"x"}',
      ]),
    )
    expect((await control.rest.get('/sessions?__proto__=x')).status).to.equal(400)
    expect((await control.rest.get('/sessions?hasOwnProperty=x')).status).to.equal(400)
  })

  it('ids that are none, and paths that would lead elsewhere', () =>
    refused(
      [400, 404],
      each(
        [
          '7',
          'x',
          '%00',
          '..%2f..%2fetc',
          `${NOBODY}0`,
          NOBODY.replaceAll('-', ''),
          `%7b${NOBODY}%7d`,
          '%ff',
          'a'.repeat(2_000),
        ].flatMap((id): readonly (readonly [string, string])[] => [
          ['GET', `/sessions/${id}`],
          ['DELETE', `/sessions/${id}`],
          ['POST', `/sessions/${id}/stop`],
          ['DELETE', `/api-keys/${id}`],
          ['POST', `/commands/${id}/cancel`],
        ]),
      ),
    ))

  it('tokens that are forged, over, too early, for others, or signed by nobody', async () => {
    const key = new TextEncoder().encode(SECRET)
    const now = Math.floor(Date.now() / 1_000)
    const claims = { org: 'default', role: 'admin' }
    const token = () =>
      new SignJWT(claims)
        .setProtectedHeader({ alg: 'HS256' })
        .setSubject('ada')
        .setIssuer(ISSUER)
        .setAudience(AUDIENCE)
        .setIssuedAt(now)
        .setExpirationTime(now + 600)
    const right = await token().sign(key)
    const as = (bearer: string): Rest => rest(control.url, bearer)
    expect((await as(right).get('/sessions')).status).to.equal(200)
    const [header = '', payload = '', signature = ''] = right.split('.')
    const inBase64 = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
    const wrong: readonly string[] = [
      await token().sign(new TextEncoder().encode(`${SECRET} of somebody else`)),
      await token()
        .setExpirationTime(now - 3_600)
        .sign(key),
      await token()
        .setNotBefore(now + 3_600)
        .sign(key),
      await token().setAudience('others').sign(key),
      await token().setIssuer('https://others.example').sign(key),
      new UnsecuredJWT(claims)
        .setSubject('ada')
        .setIssuer(ISSUER)
        .setAudience(AUDIENCE)
        .setExpirationTime(now + 600)
        .encode(),
      `${inBase64({ alg: 'none' })}.${payload}.`,
      `${inBase64({ alg: 'None' })}.${payload}.${signature}`,
      `${inBase64({ alg: 'HS256', crit: ['exp'] })}.${payload}.${signature}`,
      `${header}.${inBase64({ ...claims, sub: 'ada', role: 'installation' })}.${signature}`,
      `${header}.${payload}.${signature.slice(0, -2)}`,
      `${header}.${payload}`,
      `${right}.${signature}`,
    ]
    await refused([401], () =>
      Promise.all(wrong.map((bearer) => as(bearer).post('/sessions', { template: 'hello-web' }))),
    )
  })

  it('keys of an org that is deleted, and keys that are revoked', async () => {
    const org = `gone-${randomUUID().slice(0, 8)}`
    await control.rest.post('/orgs', { id: org })
    const { key } = (await control.rest.post('/api-keys', { role: 'admin' }, { 'streamspace-org': org })).body
    const theirs = rest(control.url, key)
    expect((await theirs.get('/sessions')).status).to.equal(200)
    expect((await control.rest.ask('DELETE', `/orgs/${org}`)).status).to.equal(204)
    const late = await control.rest.post('/api-keys', { role: 'admin' })
    await control.rest.ask('DELETE', `/api-keys/${late.body.id}`)
    const revoked = rest(control.url, late.body.key)
    // Whoever was known a moment ago may be believed for another five seconds.
    for (const one of [theirs, revoked])
      await eventually(async () => expect((await one.get('/sessions')).status).to.equal(401), { within: 8_000 })
    await refused([401], () =>
      Promise.all([theirs, revoked].map((one) => one.post('/sessions', { template: 'hello-web' }))),
    )
    expect((await control.rest.get('/sessions', { 'streamspace-org': org })).status).to.equal(404)
  })

  it('cursors that are edited, made up, of another list, another query or another org', async () => {
    for (const name of ['a', 'b', 'c']) await control.rest.create({ template: 'hello-web', name })
    const { nextCursor } = (await control.rest.get('/sessions?limit=1')).body
    expect(nextCursor).to.be.a('string')
    const edited = [...nextCursor].map(
      (_, index) =>
        `${nextCursor.slice(0, index)}${nextCursor[index] === 'A' ? 'B' : 'A'}${nextCursor.slice(index + 1)}`,
    )
    const cursors = [...edited, nextCursor.slice(0, -4), `${nextCursor}AAAA`, 'AAAA', '%00', 'eyJhIjoxfQ']
    await control.rest.post('/orgs', { id: 'cursor-org' })
    await refused(
      [400],
      each([
        ...cursors.map((cursor) => ['GET', `/sessions?limit=1&cursor=${cursor}`] as const),
        ['GET', `/sessions?limit=1&sort=name&cursor=${nextCursor}`],
        ['GET', `/sessions?limit=1&status=failed&cursor=${nextCursor}`],
        ['GET', `/commands?cursor=${nextCursor}`],
        ['GET', `/sessions?limit=1&cursor=${nextCursor}`, { headers: { 'streamspace-org': 'cursor-org' } }],
      ]),
    )
    expect((await control.rest.get(`/sessions?limit=1&cursor=${nextCursor}`)).status).to.equal(200)
  })

  it('headers that would write other headers', async () => {
    const before = await changes.count()
    for (const line of [
      'X-Request-Id: a\r\nSet-Cookie: stolen=1',
      'X-Request-Id: a\nSet-Cookie: stolen=1',
      'X-Request-Id: a\rSet-Cookie: stolen=1',
      'Streamspace-Org: default\r\n Set-Cookie: stolen=1',
      'Idempotency-Key: a\u0000b',
      'Content-Length: 5\r\nTransfer-Encoding: chunked',
      'Transfer-Encoding: chunked\r\nTransfer-Encoding: identity',
    ]) {
      const said = await raw(
        control.url,
        `DELETE /api/v1/sessions/${NOBODY} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer ${ADMIN_KEY}\r\n${line}\r\n\r\n`,
      )
      expect(said, line).to.match(/^HTTP\/1\.1 (400|404) /)
      expect(said, line).to.not.match(/^set-cookie:/im)
    }
    expect(await changes.since(before)).to.deep.equal([])
  })

  it('paths that play tricks, as no client sends them', async () => {
    const before = await changes.count()
    for (const path of [
      `/api/v1/sessions/${session}/../../agents/${agent}`,
      `//api/v1/agents/${agent}`,
      `/api/v1/agents/${agent}/`,
      `/api/v1/agents/${agent}%00`,
      `/api/v1/agents/${agent}%2f..%2f${agent}`,
      `/api/v1/agents/${agent};x=1`,
      `/API/v1/agents/${agent}`,
      `/api/v1/./agents/${agent}`,
      `http://elsewhere.example/api/v1/agents/x/..//${agent}`,
      '/api/v1/agents/%c0%ae%c0%ae',
      '/api/v1/agents/%',
    ]) {
      const said = await raw(
        control.url,
        `DELETE ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer ${ADMIN_KEY}\r\n\r\n`,
      )
      expect(said, path).to.match(/^HTTP\/1\.1 (400|404) /)
    }
    expect(await changes.since(before)).to.deep.equal([])
    expect((await control.rest.get(`/agents/${agent}`)).status).to.equal(200)
  })
})

/** Byte for byte. */
const raw = (url: string, text: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const { hostname, port } = new URL(url)
    let said = ''
    const socket = openSocket(Number(port), hostname, () => socket.write(text))
    socket.setTimeout(10_000, () => socket.destroy(new Error(`no answer to ${JSON.stringify(text.slice(0, 300))}`)))
    socket.setEncoding('utf8').on('data', (chunk) => {
      said += chunk
    })
    socket.on('error', (error) => (said === '' ? reject(error) : resolve(said)))
    socket.on('close', () => resolve(said))
  })
