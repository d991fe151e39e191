/**
 * Idempotency-Key: who asks the same again is given the first answer, whatever became of the connection on which it was
 * sent. The answer is kept with the change, by whoever makes it (`Keep`), so that a crash leaves both or neither; what is done here is to
 * look for it first, and to let one request of several that are equal go ahead.
 */
import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createHmac,
  hkdfSync,
  randomBytes,
  timingSafeEqual,
} from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'
import { E } from '../../domain/fp.ts'
import { type Caller, may } from '../../domain/identity/caller.ts'
import type { IdempotencyStore, Keep, KeptAnswer, RequestIdentity } from '../../domain/ports/idempotency.ts'
import { canonicalJson } from '../../domain/template/template.ts'
import type { Route } from '../../src/api/route.ts'
import type { Reply } from './exchange.ts'
import type { AnyRefusal } from './problems.ts'

const WAIT_FOR_FIRST_MS = 10_000

/** What a handler gives to its use case; undefined: the request came without a key. */
export type Keeping = <A>(reply: (result: A) => Reply) => Keep<A> | undefined

export const keepingNothing: Keeping = () => undefined

export type Outcome = E.Either<AnyRefusal, Reply>

export type Mutation = {
  readonly route: Route
  readonly caller: Caller
  readonly key: string
  /** Method, path and query as asked. */
  readonly target: string
  readonly body: unknown
}

export type Idempotency = (mutation: Mutation, run: (keeping: Keeping) => Promise<Outcome>) => Promise<Outcome>

// A structured string (RFC 9651, section 3.3.3) or the bare characters of one.
const BARE = /^[\x20-\x7e]{1,255}$/
const QUOTED = /^"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"$/

/** null: there is none. */
export const idempotencyKeyIn = (
  header: string | readonly string[] | undefined,
): E.Either<AnyRefusal, string | null> => {
  if (header === undefined) return E.right(null)
  const text = typeof header === 'string' ? header.trim() : ''
  const key = QUOTED.exec(text)?.[1]?.replaceAll(/\\(.)/g, '$1') ?? text
  return BARE.test(key)
    ? E.right(key)
    : E.left({
        _tag: 'InvalidRequest',
        errors: [{ field: 'Idempotency-Key', message: 'must be 1–255 printable ASCII characters, given once' }],
      })
}

export const createIdempotency = (store: IdempotencyStore, secret: Buffer): Idempotency => {
  /** Of this replica; of others the database tells. */
  const underWay = new Map<string, Promise<unknown>>()

  const identityOf = ({ caller, key, target, body }: Mutation): RequestIdentity => ({
    orgId: caller.orgId,
    caller: caller.keyId === null ? `user:${caller.userId}` : `key:${caller.keyId}`,
    keyHash: createHash('sha256').update(key).digest(),
    fingerprint: createHmac('sha256', secret)
      .update(`${target}\n${canonicalJson(body)}`)
      .digest(),
  })

  const replayed = async (mutation: Mutation, identity: RequestIdentity): Promise<Outcome | null> => {
    const kept = await store.find(identity.orgId, identity.caller, identity.keyHash)
    if (kept === null) return null
    if (!timingSafeEqual(kept.fingerprint, identity.fingerprint)) return E.left({ _tag: 'IdempotencyMismatch' })
    const { access } = mutation.route
    // Rights may have been taken since.
    if (access !== 'anyone' && access !== 'caller' && !may(mutation.caller, access))
      return E.left({ _tag: 'Forbidden', permission: access })
    return E.right(replyOf(kept, mutation, secret))
  }

  return async (mutation, run) => {
    const identity = identityOf(mutation)
    const name = `${identity.orgId}\n${identity.caller}\n${identity.keyHash.toString('base64')}`
    const until = performance.now() + WAIT_FOR_FIRST_MS
    for (;;) {
      const first = underWay.get(name)
      if (first !== undefined) {
        const left = until - performance.now()
        const ended = left > 0 && (await Promise.race([first.then(() => true), wait(left, false, { ref: false })]))
        if (!ended) return E.left({ _tag: 'IdempotencyInProgress' })
        continue
      }
      const going = (async (): Promise<Outcome | null> => {
        const before = await replayed(mutation, identity)
        if (before !== null) return before
        let wasOffered = false
        const keeping: Keeping = (reply) => (result) => {
          wasOffered = true
          return { ...identity, ...answerOf(reply(result), mutation.key, secret) }
        }
        const outcome = await run(keeping)
        if (E.isLeft(outcome)) return outcome.left._tag === 'Answered' ? null : outcome
        // Nothing was changed, or what was changed cannot be kept with it: it comes to the same when it is done again.
        if (!wasOffered) await store.keep({ ...identity, ...answerOf(outcome.right, mutation.key, secret) })
        return outcome
      })()
      underWay.set(
        name,
        going.catch(() => {}),
      )
      try {
        const outcome = await going
        if (outcome !== null) return outcome
      } finally {
        underWay.delete(name)
      }
      if (performance.now() >= until) return E.left({ _tag: 'IdempotencyInProgress' })
    }
  }
}

const answerOf = ({ status, location, body, secret: isSecret }: Reply, key: string, secret: Buffer): KeptAnswer => {
  const json = body === undefined ? null : Buffer.from(JSON.stringify(body))
  const sealed = json !== null && isSecret === true
  return { status, location: location ?? null, body: sealed ? seal(json, key, secret) : json, sealed }
}

const replyOf = ({ status, location, body, sealed }: KeptAnswer, { route, key }: Mutation, secret: Buffer): Reply => {
  const json = body === null ? null : JSON.parse((sealed ? unseal(body, key, secret) : body).toString('utf8'))
  const hasEtag = route.answers[status]?.headers?.includes('ETag') === true
  return {
    status,
    replayed: true,
    ...(json === null ? {} : { body: json }),
    ...(location === null ? {} : { location }),
    ...(hasEtag ? { etag: typeof json?.version === 'number' ? json.version : 'content' } : {}),
    ...(sealed ? { secret: true } : {}),
  }
}

/** Whoever reads the database has no key of a client, and with it no answer that shows something once. */
const sealingKey = (key: string, secret: Buffer): Buffer =>
  Buffer.from(hkdfSync('sha256', key, secret, 'streamspace answers that are shown once', 32))

const seal = (json: Buffer, key: string, secret: Buffer): Buffer => {
  const nonce = randomBytes(12)
  const cipher = createCipheriv('aes-256-gcm', sealingKey(key, secret), nonce)
  const text = Buffer.concat([cipher.update(json), cipher.final()])
  return Buffer.concat([nonce, cipher.getAuthTag(), text])
}

const unseal = (sealed: Buffer, key: string, secret: Buffer): Buffer => {
  const decipher = createDecipheriv('aes-256-gcm', sealingKey(key, secret), sealed.subarray(0, 12), {
    authTagLength: 16,
  })
  decipher.setAuthTag(sealed.subarray(12, 28))
  return Buffer.concat([decipher.update(sealed.subarray(28)), decipher.final()])
}
