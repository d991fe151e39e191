import { createPublicKey } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect } from 'chai'
import { decodeProtectedHeader, exportJWK, exportSPKI, generateKeyPair, SignJWT, UnsecuredJWT } from 'jose'
import { createVerifyToken } from '../../../adapters/jwt/verify-token.ts'
import type { JwtSettings, VerifiedToken } from '../../../domain/ports/jwt.ts'
import { eventually } from '../../support/eventually.ts'
import { AUDIENCE, type OidcProvider, startOidcProvider } from '../../support/oidc-provider.ts'

const SECRET = 'thirty-two characters and more than that'
const ASK_AGAIN_AFTER_MS = 200

const aSettings = (changes: Partial<JwtSettings> = {}): JwtSettings => ({
  oidc: null,
  shared: null,
  claims: { org: 'org', user: 'sub', role: 'role' },
  roles: new Map(),
  defaults: { org: null, role: null },
  clockSkewSeconds: 30,
  ...changes,
})

type KeyLike = Awaited<ReturnType<typeof generateKeyPair>>['privateKey']

const refused = (answer: VerifiedToken): string => {
  if (answer.kind !== 'refused') throw new Error(JSON.stringify(answer))
  return answer.why
}

describe('a token of an OpenID Connect provider', () => {
  let provider: OidcProvider
  beforeEach(async () => {
    provider = await startOidcProvider()
  })
  afterEach(() => provider.stop())

  const verifying = (changes: Partial<JwtSettings> = {}) =>
    createVerifyToken(
      aSettings({ oidc: { issuer: provider.issuer, audience: AUDIENCE, jwksUrl: null }, ...changes }),
      ASK_AGAIN_AFTER_MS,
    )

  it('is a caller: its org, its user, its role', async () => {
    const token = await provider.token({ org: 'acme', role: 'operator' })
    expect(await verifying()(token)).to.deep.equal({
      kind: 'caller',
      orgId: 'acme',
      userId: 'program',
      role: 'operator',
    })
  })

  it('has its claims where the settings say', async () => {
    const verify = verifying({
      claims: { org: 'https://acme.test/org', user: 'identity.email', role: 'realm_access.roles' },
      roles: new Map([
        ['staff', 'user'],
        ['sre', 'admin'],
      ]),
    })
    const token = await provider.token({
      'https://acme.test/org': 'acme',
      identity: { email: 'ada@acme.test' },
      realm_access: { roles: ['offline_access', 'staff', 'sre'] },
    })
    expect(await verify(token)).to.deep.equal({
      kind: 'caller',
      orgId: 'acme',
      userId: 'ada@acme.test',
      role: 'admin',
    })
  })

  it('is never the installation', async () => {
    const answer = await verifying()(await provider.token({ org: 'acme', role: 'installation' }))
    expect(refused(answer)).to.include('no role that is known')
  })

  it('is refused without what makes a caller, unless there is a default', async () => {
    expect(refused(await verifying()(await provider.token({ role: 'user' })))).to.include('no org')
    expect(refused(await verifying()(await provider.token({ org: 'acme' })))).to.include('no role')
    expect(refused(await verifying()(await provider.token({ org: 7, role: 'user' })))).to.include('no org')
    expect(refused(await verifying()(await provider.token({ org: 'a\u0000', role: 'user' })))).to.include('no org')
    const verify = verifying({ defaults: { org: 'default', role: 'viewer' } })
    expect(await verify(await provider.token({}))).to.include({ orgId: 'default', role: 'viewer' })
    // What it says, and nobody knows, is no reason for a default.
    expect(refused(await verify(await provider.token({ role: 'king' })))).to.include('no role')
  })

  it('is refused when it was made for somebody else', async () => {
    const token = await provider.token({ org: 'acme', role: 'user' }, 'https://elsewhere.test')
    expect(refused(await verifying()(token))).to.include('"aud"')
  })

  it('is taken after the provider has changed its keys, and the old ones end', async () => {
    const verify = verifying()
    const old = await provider.token({ org: 'acme', role: 'user' })
    expect((await verify(old)).kind).to.equal('caller')
    await provider.rotate()
    const token = await provider.token({ org: 'acme', role: 'user' })
    await eventually(async () => expect((await verify(token)).kind).to.equal('caller'))
    expect(refused(await verify(old))).to.include('no applicable key')
  })

  it('that names no key is good with any that fits, and with no other', async () => {
    const pairs = await Promise.all([1, 2, 3].map(() => generateKeyPair('RS256', { extractable: true })))
    const published = await Promise.all(
      pairs
        .slice(0, 2)
        .map(async ({ publicKey }, n) => ({ ...(await exportJWK(publicKey)), kid: `key-${n}`, use: 'sig' })),
    )
    const server = createServer((_request, response) => {
      response.setHeader('Content-Type', 'application/json')
      response.end(JSON.stringify({ keys: published }))
    })
    await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
    const { port } = server.address() as AddressInfo
    const verify = createVerifyToken(
      aSettings({ oidc: { issuer: 'https://two.test', audience: AUDIENCE, jwksUrl: `http://127.0.0.1:${port}/keys` } }),
      ASK_AGAIN_AFTER_MS,
    )
    const answers = await Promise.all(
      pairs.map(async ({ privateKey }) =>
        verify(
          await new SignJWT({ org: 'acme', role: 'user' })
            .setProtectedHeader({ alg: 'RS256' })
            .setIssuer('https://two.test')
            .setAudience(AUDIENCE)
            .setSubject('ada')
            .setExpirationTime('1h')
            .sign(privateKey),
        ),
      ),
    )
    server.closeAllConnections()
    server.close()
    expect(answers.map(({ kind }) => kind)).to.deep.equal(['caller', 'caller', 'refused'])
  })

  it('is neither good nor bad while the provider cannot be reached', async () => {
    const token = await provider.token({ org: 'acme', role: 'user' })
    const verify = verifying()
    await provider.shut()
    expect((await verify(token)).kind).to.equal('unavailable')
    await provider.open()
    expect((await verify(token)).kind).to.equal('caller')
  })

  describe('that somebody made', () => {
    const claims = { org: 'acme', role: 'admin' }
    const forged = async (
      changes: { readonly kid?: string; readonly issuer?: string; readonly key?: KeyLike } = {},
    ): Promise<string> => {
      const { kid } = decodeProtectedHeader(await provider.token({}))
      const key = changes.key ?? (await generateKeyPair('RS256')).privateKey
      return new SignJWT(claims)
        .setProtectedHeader({ alg: 'RS256', kid: changes.kid ?? kid ?? '' })
        .setIssuer(changes.issuer ?? provider.issuer)
        .setAudience(AUDIENCE)
        .setSubject('mallory')
        .setExpirationTime('1h')
        .sign(key)
    }

    it('is refused: another key of the same name', async () => {
      expect(refused(await verifying()(await forged()))).to.include('signature')
    })

    it('is refused: a key that nobody published', async () => {
      expect(refused(await verifying()(await forged({ kid: 'mine' })))).to.include('no applicable key')
    })

    it('is refused: not signed at all', async () => {
      const token = new UnsecuredJWT(claims)
        .setIssuer(provider.issuer)
        .setAudience(AUDIENCE)
        .setSubject('mallory')
        .setExpirationTime('1h')
        .encode()
      expect(refused(await verifying()(token))).to.include('none is not taken')
    })

    it('is refused: signed with the public key as if it were a secret', async () => {
      const { keys } = (await (await fetch(`${provider.issuer}/jwks`)).json()) as { keys: readonly [object] }
      const pem = createPublicKey({ key: keys[0] as never, format: 'jwk' }).export({ type: 'spki', format: 'pem' })
      const token = await new SignJWT(claims)
        .setProtectedHeader({ alg: 'HS256', kid: 'key-1' })
        .setIssuer(provider.issuer)
        .setAudience(AUDIENCE)
        .setSubject('mallory')
        .setExpirationTime('1h')
        .sign(new TextEncoder().encode(String(pem)))
      expect(refused(await verifying()(token))).to.include('shared secret')
      const withSecret = verifying({ shared: { secret: SECRET, issuer: null, audience: null } })
      expect(refused(await withSecret(token))).to.include('signature')
    })

    it('is refused: its own key in its header', async () => {
      const pair = await generateKeyPair('RS256', { extractable: true })
      const token = await new SignJWT(claims)
        .setProtectedHeader({ alg: 'RS256', jwk: await exportJWK(pair.publicKey), kid: 'key-1' })
        .setIssuer(provider.issuer)
        .setAudience(AUDIENCE)
        .setSubject('mallory')
        .setExpirationTime('1h')
        .sign(pair.privateKey)
      expect(refused(await verifying()(token))).to.include('signature')
      expect(await exportSPKI(pair.publicKey)).to.include('PUBLIC KEY')
    })

    it('is refused: no token at all', async () => {
      for (const text of ['', 'a.b.c', '..', 'e30.e30.', `${'A'.repeat(10_000)}.B.C`])
        expect(refused(await verifying()(text)), text.slice(0, 10)).to.include('no JWT')
    })
  })
})

describe('a token of a shared secret', () => {
  const settings = aSettings({ shared: { secret: SECRET, issuer: 'us', audience: 'them' } })
  const key = new TextEncoder().encode(SECRET)
  const token = (change: (jwt: SignJWT) => SignJWT = (jwt) => jwt, secret = key): Promise<string> =>
    change(
      new SignJWT({ org: 'acme', role: 'user' })
        .setProtectedHeader({ alg: 'HS256' })
        .setSubject('ada')
        .setIssuer('us')
        .setAudience('them')
        .setExpirationTime('5m'),
    ).sign(secret)

  it('is a caller', async () => {
    expect(await createVerifyToken(settings)(await token())).to.deep.equal({
      kind: 'caller',
      orgId: 'acme',
      userId: 'ada',
      role: 'user',
    })
  })

  it('is refused: another secret, issuer, audience; over, or not yet', async () => {
    const verify = createVerifyToken(settings)
    const now = Math.floor(Date.now() / 1_000)
    expect(refused(await verify(await token(undefined, new TextEncoder().encode(`${SECRET}!`))))).to.include(
      'signature',
    )
    expect(refused(await verify(await token((jwt) => jwt.setIssuer('others'))))).to.include('"iss"')
    expect(refused(await verify(await token((jwt) => jwt.setAudience('others'))))).to.include('"aud"')
    expect(refused(await verify(await token((jwt) => jwt.setExpirationTime(now - 60))))).to.include('"exp"')
    expect(refused(await verify(await token((jwt) => jwt.setNotBefore(now + 60))))).to.include('"nbf"')
    // Clocks may be apart by half a minute.
    expect((await verify(await token((jwt) => jwt.setExpirationTime(now - 10)))).kind).to.equal('caller')
    expect((await verify(await token((jwt) => jwt.setNotBefore(now + 10)))).kind).to.equal('caller')
  })

  it('is refused when it never ends', async () => {
    const endless = await new SignJWT({ org: 'acme', role: 'user' })
      .setProtectedHeader({ alg: 'HS256' })
      .setSubject('ada')
      .setIssuer('us')
      .setAudience('them')
      .sign(key)
    expect(refused(await createVerifyToken(settings)(endless))).to.include('"exp"')
  })

  it('is refused where none is set', async () => {
    expect(refused(await createVerifyToken(aSettings())(await token()))).to.include('none is set')
  })
})
