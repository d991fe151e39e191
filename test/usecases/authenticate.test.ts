import { createHash } from 'node:crypto'
import { expect } from 'chai'
import type { ApiKeyId, OrgId, UserId } from '../../domain/ids.ts'
import type { AccessStore, ApiKeyRecord } from '../../domain/ports/access.ts'
import { createAuthenticate } from '../../src/usecases/authenticate.ts'
import { later, T0 } from '../support/a-session.ts'

const hash = (token: string) => createHash('sha256').update(token).digest()
const KEY = `ssk_${'a'.repeat(32)}`
const SAME_BEGINNING = `ssk_${'a'.repeat(31)}b`

const aKey = (changes: Partial<ApiKeyRecord> = {}): ApiKeyRecord => ({
  id: 'key-1' as ApiKeyId,
  orgId: 'acme' as OrgId,
  userId: 'ada' as UserId,
  role: 'operator',
  name: '',
  prefix: KEY.slice(0, 12),
  hash: hash(KEY),
  expiresAt: null,
  revokedAt: null,
  ...changes,
})

/** `keys` may be changed between calls: it is the database. */
const authenticating = (keys: ApiKeyRecord[], { now = T0, answering = async () => {} } = {}) => {
  const lookups: string[] = []
  const access: Pick<AccessStore, 'keysByPrefix' | 'existingOrgs'> = {
    keysByPrefix: async (prefixes) => {
      lookups.push(prefixes.join(' '))
      const found = keys.filter((key) => prefixes.includes(key.prefix))
      await answering()
      return found
    },
    existingOrgs: async (orgIds) => new Set(orgIds.filter((orgId) => ['acme', 'other'].includes(orgId))),
  }
  const authenticate = createAuthenticate({
    access,
    tokens: {
      apiKey: () => KEY,
      agentToken: () => '',
      webhookSecret: () => '',
      hash,
      matches: (token, expected) => hash(token).equals(expected),
    },
    clock: { now: () => now },
    verifyToken: null,
  })
  return { authenticate, lookups }
}

describe('a bearer token', () => {
  it('is a caller: org, user and role of its key', async () => {
    const { authenticate } = authenticating([aKey()])
    expect(await authenticate(KEY, null)).to.deep.equal({
      kind: 'caller',
      caller: { orgId: 'acme', userId: 'ada', role: 'operator', keyId: 'key-1' },
    })
  })

  it('that is missing or cannot be a key is refused without a look into the database', async () => {
    const { authenticate, lookups } = authenticating([aKey()])
    for (const bearer of [
      null,
      '',
      'ssk_short',
      'x'.repeat(40),
      `${KEY} `,
      `ssa_${'a'.repeat(43)}`,
      `ssk_${'ä'.repeat(32)}`,
    ])
      expect(await authenticate(bearer, null), String(bearer)).to.deep.equal({ kind: 'unauthorized' })
    expect(lookups).to.deep.equal([])
  })

  it('of which only the beginning is known is refused; each of two that begin alike is its own', async () => {
    const twin = aKey({ id: 'key-2' as ApiKeyId, hash: hash(SAME_BEGINNING), userId: 'bob' as UserId })
    const { authenticate } = authenticating([aKey(), twin])
    expect(await authenticate(`ssk_${'a'.repeat(31)}c`, null)).to.deep.equal({ kind: 'unauthorized' })
    const found = await authenticate(SAME_BEGINNING, null)
    expect(found.kind === 'caller' && found.caller.userId).to.equal('bob')
  })

  it('is looked up together with all that come at the same moment, so that guesses by the thousand take one connection', async () => {
    let [underWay, most] = [0, 0]
    const answering = async (): Promise<void> => {
      underWay += 1
      most = Math.max(most, underWay)
      await new Promise((resolve) => setImmediate(resolve))
      underWay -= 1
    }
    const { authenticate, lookups } = authenticating([aKey()], { answering })
    const guesses = Array.from({ length: 1_000 }, (_, guess) => `ssk_${String(guess).padStart(32, '0')}`)
    const [known, ...unknown] = await Promise.all([KEY, ...guesses].map((bearer) => authenticate(bearer, null)))
    expect(known?.kind).to.equal('caller')
    expect(unknown.every(({ kind }) => kind === 'unauthorized')).to.equal(true)
    expect(most).to.equal(1)
    expect(lookups.length).to.be.at.most(6)
  })

  it('that is revoked or has expired is refused', async () => {
    const of = (changes: Partial<ApiKeyRecord>) =>
      authenticating([aKey(changes)], { now: later(100) }).authenticate(KEY, null)
    expect((await of({ revokedAt: T0 })).kind).to.equal('unauthorized')
    expect((await of({ expiresAt: later(100) })).kind).to.equal('unauthorized')
    expect((await of({ expiresAt: later(101) })).kind).to.equal('caller')
  })
})

describe('what is remembered of a key', () => {
  const real = performance.now
  let ms = 0
  beforeEach(() => {
    ms = 5_000
    performance.now = () => ms
  })
  afterEach(() => {
    performance.now = real
  })

  it('costs one look a second, however many calls there are', async () => {
    const { authenticate, lookups } = authenticating([aKey()])
    for (let call = 0; call < 5; call += 1) await authenticate(KEY, null)
    expect(lookups).to.have.length(1)
    ms += 1_000
    await authenticate(KEY, null)
    expect(lookups).to.have.length(2)
  })

  it('is forgotten within a second of its being revoked', async () => {
    const keys = [aKey()]
    const { authenticate } = authenticating(keys)
    await authenticate(KEY, null)
    keys[0] = aKey({ revokedAt: T0 })
    expect((await authenticate(KEY, null)).kind, 'remembered').to.equal('caller')
    ms += 1_000
    expect((await authenticate(KEY, null)).kind).to.equal('unauthorized')
  })

  it('is forgotten at once where it was revoked', async () => {
    const keys = [aKey()]
    const { authenticate } = authenticating(keys)
    await authenticate(KEY, null)
    keys[0] = aKey({ revokedAt: T0 })
    authenticate.forget()
    expect(await authenticate(KEY, null)).to.deep.equal({ kind: 'unauthorized' })
  })

  it('is not remembered when it was revoked while it was looked up', async () => {
    const keys = [aKey()]
    const [read, goOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    const answering = (): Promise<void> => {
      read.resolve()
      return goOn.promise
    }
    const { authenticate } = authenticating(keys, { answering })
    const under = authenticate(KEY, null)
    await read.promise
    keys[0] = aKey({ revokedAt: T0 })
    authenticate.forget()
    goOn.resolve()
    await under
    expect(await authenticate(KEY, null)).to.deep.equal({ kind: 'unauthorized' })
  })

  it('does not hold up a key that was made just now', async () => {
    const keys: ApiKeyRecord[] = []
    const { authenticate } = authenticating(keys)
    expect((await authenticate(KEY, null)).kind).to.equal('unauthorized')
    keys.push(aKey())
    expect((await authenticate(KEY, null)).kind).to.equal('caller')
  })

  it('does not outlive the key’s own expiry', async () => {
    let now = T0
    const access = {
      keysByPrefix: async () => [aKey({ expiresAt: later(1) })],
      existingOrgs: async () => new Set<OrgId>(),
    }
    const authenticate = createAuthenticate({
      access,
      tokens: { apiKey: () => '', agentToken: () => '', webhookSecret: () => '', hash, matches: () => true },
      clock: { now: () => now },
      verifyToken: null,
    })
    expect((await authenticate(KEY, null)).kind).to.equal('caller')
    now = later(1)
    expect((await authenticate(KEY, null)).kind).to.equal('unauthorized')
  })
})

describe('acting in an org', () => {
  const acting = async (role: ApiKeyRecord['role'], org: string) =>
    authenticating([aKey({ role })]).authenticate(KEY, org)

  it('of one’s own is for every key', async () => {
    for (const role of ['viewer', 'user', 'operator', 'admin', 'installation'] as const)
      expect((await acting(role, 'acme')).kind).to.equal('caller')
  })

  it('of others is for installation keys only, in orgs that there are', async () => {
    const there = await acting('installation', 'other')
    expect(there.kind === 'caller' && there.caller).to.deep.include({
      orgId: 'other',
      role: 'installation',
      comesFrom: 'acme',
    })
    const nowhere = await acting('installation', 'nowhere')
    expect(nowhere.kind === 'unknown_org' && nowhere.caller.orgId).to.equal('acme')
    for (const role of ['viewer', 'user', 'operator', 'admin'] as const)
      for (const org of ['other', 'nowhere']) {
        const refused = await acting(role, org)
        expect(refused.kind === 'forbidden_org' && refused.caller).to.include({ orgId: 'acme', role })
      }
  })
})
