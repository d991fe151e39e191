/** Callers by token, over HTTP: of a real OpenID Connect provider, and of a shared secret. */
import { createPublicKey, randomUUID } from 'node:crypto'
import { expect } from 'chai'
import { decodeProtectedHeader, type JWTPayload, SignJWT, UnsecuredJWT } from 'jose'
import { AUDIENCE, type OidcProvider, startOidcProvider } from '../support/oidc-provider.ts'
import { eventually } from './support/eventually.ts'
import { type Answer, type Json, rest } from './support/rest.ts'
import { scene } from './support/scene.ts'
import { enrol, migratedDatabase, type Server, server } from './support/streamspace.ts'

const SECRET = 'a shared secret of at least thirty-two characters'
const SKEW_SECONDS = 5

const made = (answer: Answer): Json => {
  expect(answer.status, JSON.stringify(answer.body)).to.be.within(200, 299)
  return answer.body
}

describe('a caller with a JWT', function () {
  this.timeout(120_000)
  const here = scene('suite')
  let provider: OidcProvider
  let control: Server

  before(async () => {
    provider = await startOidcProvider()
    here.finally(provider.stop)
    control = await server(here, await migratedDatabase(here), {
      STREAMSPACE_OIDC_ISSUER: provider.issuer,
      STREAMSPACE_OIDC_AUDIENCE: AUDIENCE,
      STREAMSPACE_JWT_SECRET: SECRET,
      STREAMSPACE_JWT_ISSUER: 'https://us.test',
      STREAMSPACE_JWT_AUDIENCE: AUDIENCE,
      STREAMSPACE_JWT_ROLES: 'staff=user,sre=operator',
      STREAMSPACE_JWT_CLOCK_SKEW_SECONDS: String(SKEW_SECONDS),
    })
    for (const id of ['acme', 'globex']) {
      made(await control.rest.post('/orgs', { id }))
      const { key } = made(await control.rest.post('/api-keys', { role: 'admin', orgId: id }))
      await enrol(rest(control.url, key), `${id}-1`)
    }
  })

  /** Of every token that is refused. */
  let said: string | undefined

  const ask = (token: string, path = '/sessions', headers = {}): Promise<Answer> =>
    rest(control.url, token).get(path, headers)
  const refused = async (token: string, why: string): Promise<void> => {
    const answer = await ask(token)
    expect([answer.status, answer.body.code], why).to.deep.equal([401, 'unauthorized'])
    expect(answer.headers.get('www-authenticate'), why).to.match(/^Bearer/)
    // What was wrong with it is for the log, not for whoever made it up.
    said ??= answer.body.detail
    expect(answer.body.detail, why).to.equal(said)
  }
  const shared = (
    claims: JWTPayload,
    change: (jwt: SignJWT) => SignJWT = (jwt) => jwt,
    secret = SECRET,
    header: { readonly alg: string; readonly kid?: string } = { alg: 'HS256' },
  ): Promise<string> =>
    change(
      new SignJWT({ org: 'acme', role: 'user', ...claims })
        .setProtectedHeader(header)
        .setSubject('ada')
        .setIssuer('https://us.test')
        .setAudience(AUDIENCE)
        .setExpirationTime('5m'),
    ).sign(new TextEncoder().encode(secret))
  const now = (): number => Math.floor(Date.now() / 1_000)

  it('of a provider acts in its org, in its role, and its sessions are that user’s', async () => {
    const token = await provider.token({ org: 'acme', role: ['offline_access', 'staff'] })
    const session = made(await rest(control.url, token).post('/sessions', { template: 'hello-web' }))
    expect(session).to.include({ orgId: 'acme', userId: 'program' })
    const [event] = made(await ask(token, `/sessions/${session.id}/events`)).items
    expect(event.actor).to.equal('user:program')
    // Another user of the org does not see it; who operates the org does, and another org’s admin not.
    expect((await ask(await shared({}), `/sessions/${session.id}`)).status).to.equal(404)
    expect((await ask(await shared({ role: 'sre' }), `/sessions/${session.id}`)).status).to.equal(200)
    expect((await ask(await shared({ org: 'globex', role: 'admin' }), `/sessions/${session.id}`)).status).to.equal(404)
    expect(
      (await ask(await shared({}, (jwt) => jwt.setSubject('program')), `/sessions/${session.id}`)).status,
    ).to.equal(200)
  })

  it('may what its role may, and is nobody’s installation', async () => {
    const as = async (role: unknown) => rest(control.url, await shared({ role } as JWTPayload))
    expect((await (await as('viewer')).post('/sessions', { template: 'hello-web' })).status).to.equal(403)
    expect((await (await as('sre')).post('/agents', { id: 'by-jwt', platform: 'process' })).status).to.equal(201)
    expect((await (await as('sre')).get('/api-keys')).status).to.equal(403)
    expect((await (await as('admin')).post('/api-keys', { role: 'viewer' })).body.userId).to.equal('ada')
    for (const path of ['/orgs', '/jobs']) expect((await (await as('admin')).get(path)).status, path).to.equal(403)
    for (const role of ['installation', 'king', '', 7, null, {}, ['installation'], [7]])
      await refused(await shared({ role } as JWTPayload), JSON.stringify(role))
  })

  it('stays in its org, and is nobody in one that is not there or was deleted', async () => {
    const token = await shared({})
    expect((await ask(token, '/sessions', { 'streamspace-org': 'acme' })).status).to.equal(200)
    for (const org of ['globex', 'nowhere', 'acme,globex'])
      expect((await ask(token, '/sessions', { 'streamspace-org': org })).status, org).to.equal(403)
    for (const org of ['nowhere', 'acme,globex', 'ACME', ' acme', '', 'a'.repeat(300), 'acme\u0000', 7, ['acme']])
      await refused(await shared({ org }), JSON.stringify(org))
    made(await control.rest.post('/orgs', { id: 'passing' }))
    const passing = await shared({ org: 'passing', role: 'admin' })
    expect((await ask(passing)).status).to.equal(200)
    expect((await control.rest.ask('DELETE', '/orgs/passing')).status).to.equal(204)
    await eventually(() => refused(passing, 'its org was deleted'), { within: 5_000 })
  })

  it('is refused when it is over or not yet good, but for what clocks may be apart', async () => {
    await refused(await shared({}, (jwt) => jwt.setExpirationTime(now() - SKEW_SECONDS - 2)), 'over')
    await refused(await shared({}, (jwt) => jwt.setNotBefore(now() + SKEW_SECONDS + 30)), 'not yet')
    expect((await ask(await shared({}, (jwt) => jwt.setNotBefore(now() + SKEW_SECONDS - 2)))).status).to.equal(200)
    expect((await ask(await shared({}, (jwt) => jwt.setExpirationTime(now() - 1)))).status).to.equal(200)
    const endless = new SignJWT({ org: 'acme', role: 'user' })
      .setProtectedHeader({ alg: 'HS256' })
      .setSubject('ada')
      .setIssuer('https://us.test')
      .setAudience(AUDIENCE)
    await refused(await endless.sign(new TextEncoder().encode(SECRET)), 'it never ends')
    // Good when it is first asked with, and over a moment later: nothing remembers it.
    const short = await shared({}, (jwt) => jwt.setExpirationTime(now() - SKEW_SECONDS + 8))
    expect((await ask(short)).status).to.equal(200)
    await eventually(() => refused(short, 'over by now'), { within: 15_000 })
  })

  it('is refused when it was made by or for somebody else', async () => {
    await refused(await provider.token({ org: 'acme', role: 'user' }, 'https://elsewhere.test'), 'audience')
    await refused(await shared({}, (jwt) => jwt.setAudience('https://elsewhere.test')), 'audience')
    await refused(await shared({}, (jwt) => jwt.setIssuer('https://elsewhere.test')), 'issuer')
    // The issuer of the one kind says nothing under the key of the other.
    await refused(await shared({}, (jwt) => jwt.setIssuer(provider.issuer)), 'issuer of the provider')
    const other = await startOidcProvider()
    here.finally(other.stop)
    await refused(await other.token({ org: 'acme', role: 'admin' }), 'another provider')
  })

  it('is refused when it is forged', async () => {
    const good = await provider.token({ org: 'acme', role: 'user' })
    const [header = '', payload = '', signature = ''] = good.split('.')
    const encoded = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
    const promoted = encoded({ ...JSON.parse(Buffer.from(payload, 'base64url').toString()), role: 'admin' })
    const { kid } = decodeProtectedHeader(good)
    const claims = { org: 'acme', role: 'admin' }
    const none = new UnsecuredJWT(claims)
      .setIssuer(provider.issuer)
      .setAudience(AUDIENCE)
      .setSubject('mallory')
      .setExpirationTime('1h')
      .encode()
    const { keys } = (await (await fetch(`${provider.issuer}/jwks`)).json()) as { keys: readonly [object] }
    const publicKey = createPublicKey({ key: keys[0] as never, format: 'jwk' })
    const asSecret = (text: string): Promise<string> =>
      shared(claims, (jwt) => jwt.setIssuer(provider.issuer), text, { alg: 'HS256', kid: kid ?? '' })
    for (const [why, token] of [
      ['claims changed', `${header}.${promoted}.${signature}`],
      ['another signature', `${header}.${payload}.${'A'.repeat(signature.length)}`],
      ['no signature', `${header}.${payload}.`],
      ['alg none', none],
      ['alg NONE', `${encoded({ alg: 'NONE' })}.${promoted}.`],
      ['alg none over a signature', `${encoded({ alg: 'none', kid })}.${promoted}.${signature}`],
      ['the public key as a secret', await asSecret(String(publicKey.export({ type: 'spki', format: 'pem' })))],
      ['the public key as a secret, as JWK', await asSecret(JSON.stringify(keys[0]))],
      ['another secret', await shared({}, undefined, `${SECRET}!`)],
      [
        'its own key',
        `${encoded({ alg: 'RS256', jwk: keys[0], jku: 'http://127.0.0.1:1/' })}.${promoted}.${signature}`,
      ],
      ['critical headers', `${encoded({ alg: 'HS256', crit: ['b64'], b64: false })}.${promoted}.${signature}`],
    ] as const)
      await refused(token, why)
    expect((await ask(good)).status).to.equal(200)
    for (const alg of ['HS384', 'HS512'])
      expect((await ask(await shared({}, undefined, SECRET, { alg }))).status, alg).to.equal(200)
  })

  it('is asked anew for its rights when it repeats a request, and its answers are its user’s', async () => {
    const key = randomUUID()
    const create = async (claims: JWTPayload, subject = 'ada'): Promise<Answer> =>
      rest(control.url, await shared(claims, (jwt) => jwt.setSubject(subject))).ask('POST', '/sessions', {
        body: { template: 'hello-web' },
        headers: { 'idempotency-key': key },
      })
    const first = made(await create({ role: 'operator' }))
    const again = await create({})
    expect([again.status, again.body.id, again.headers.get('idempotency-replayed')]).to.deep.equal([
      201,
      first.id,
      'true',
    ])
    expect((await create({ role: 'viewer' })).status, 'may make none any more').to.equal(403)
    expect(made(await create({}, 'eve')).id).not.to.equal(first.id)
    expect(made(await create({ org: 'globex' })).id).not.to.equal(first.id)
  })

  it('is taken after the provider has changed its keys, and those of the old ones end', async () => {
    const old = await provider.token({ org: 'acme', role: 'user' })
    expect((await ask(old)).status).to.equal(200)
    await provider.rotate()
    const fresh = await provider.token({ org: 'acme', role: 'user' })
    // A key that is not known is looked for, at most every ten seconds.
    await eventually(async () => expect((await ask(fresh)).status).to.equal(200))
    await refused(old, 'its key was withdrawn')
  })

  it('is neither taken nor thrown away while the provider cannot be reached', async () => {
    const another = await server(here, await migratedDatabase(here), {
      STREAMSPACE_OIDC_ISSUER: provider.issuer,
      STREAMSPACE_OIDC_AUDIENCE: AUDIENCE,
      STREAMSPACE_JWT_DEFAULT_ORG: 'default',
      STREAMSPACE_JWT_DEFAULT_ROLE: 'viewer',
    })
    const token = await provider.token({})
    await provider.shut()
    const answer = await rest(another.url, token).get('/sessions')
    expect([answer.status, answer.body.code]).to.deep.equal([503, 'provider_unavailable'])
    expect(answer.headers.get('retry-after')).to.match(/^\d+$/)
    expect((await another.rest.get('/sessions')).status, 'keys work on').to.equal(200)
    await provider.open()
    expect((await rest(another.url, token).get('/sessions')).status).to.equal(200)
    await refusedHere(another, await shared({}))
  })

  /** No shared secret is set there. */
  const refusedHere = async ({ url }: Server, token: string): Promise<void> => {
    expect((await rest(url, token).get('/sessions')).status).to.equal(401)
  }
})
