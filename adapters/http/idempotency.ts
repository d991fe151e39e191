/**
 * Idempotency-Key: who asks the same again is given the first answer, whatever became of the connection on which it was
 * sent. The answer is kept with the change, by whoever makes it (`Keep`), so that a crash leaves both or neither; what is done here is to
 * look for it first, and to let one request of several that are equal go ahead.
 */
import { createCipheriv, createDecipheriv, createHmac, hash, hkdfSync, randomBytes, timingSafeEqual } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'
import { forbidden, notFound } from '../../domain/errors.ts'
import { E } from '../../domain/fp.ts'
import { type Caller, may, scopeOf } from '../../domain/identity/caller.ts'
import type {
  Before,
  FoundAnswer,
  IdempotencyStore,
  Keep,
  KeptAnswer,
  KeptRequest,
  RequestIdentity,
  Told,
} from '../../domain/ports/idempotency.ts'
import { canonicalJson } from '../../domain/template/template.ts'
import { permissionFor, type Route } from '../../src/api/route.ts'
import type { Reply } from './exchange.ts'
import type { AnyRefusal } from './problems.ts'

export const WAIT_FOR_FIRST_MS = 10_000

/** What a handler gives to its use case; undefined: the request came without a key. */
export type Keeping = <A>(reply: (result: A) => Reply) => Keep<A> | undefined

export const keepingNothing: Keeping = () => undefined

/** What is to be told of what was done. `before`: what was there, as it would have been answered. */
export type AuditOf = (reply: Reply, before?: object) => Told

const wasBefore = <A>(reply: (result: A) => Reply, before: Before<A> | undefined): object | undefined =>
  before?.kind === 'changed' ? ((reply(before.was).body as object | undefined) ?? undefined) : before?.was

/** Of a request without a key. */
export const keepingAudit =
  ({ orgId }: Caller, audit: AuditOf): Keeping =>
  (reply) =>
  (result, before) => ({ orgId, answer: null, ...audit(reply(result), wasBefore(reply, before)) })

export type Outcome = E.Either<AnyRefusal, Reply>

export type Mutation = {
  readonly route: Route
  readonly caller: Caller
  readonly key: string
  /** Method, path and query as asked. */
  readonly target: string
  readonly query: { readonly [name: string]: unknown }
  readonly body: unknown
  readonly audit: AuditOf
}

type Run = (keeping: Keeping) => Promise<Outcome>

export type Idempotency = (mutation: Mutation, run: Run) => Promise<Outcome>

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

/** How the first of several equal requests ended. */
type First = {
  /** Whoever asks the same now is answered with this; null: nothing was kept. */
  readonly kept: FoundAnswer | null
  readonly outcome: Outcome
}

/** For requests of which an org may have more under way than there are connections; all others look when they have a place of their own. */
type GatheredAnswers = { readonly findGathered?: IdempotencyStore['find'] }

/** `previous`: what was kept before the secret was rotated is known by one of these. */
export const createIdempotency = (
  store: IdempotencyStore & GatheredAnswers,
  secret: Buffer,
  waitForFirstMs = WAIT_FOR_FIRST_MS,
  previous: readonly Buffer[] = [],
): Idempotency => {
  /** Of this replica; of others the database tells. */
  const underWay = new Map<string, { readonly mutation: Mutation; readonly fingerprint: string; end: Promise<First> }>()

  const identityOf = (mutation: Mutation): RequestIdentity => ({
    orgId: mutation.caller.orgId,
    caller: mutation.caller.keyId === null ? `user:${mutation.caller.userId}` : `key:${mutation.caller.keyId}`,
    keyHash: hash('sha256', mutation.key, 'hex'),
    fingerprint: fingerprintOf(mutation, secret),
  })

  const replayed = (kept: FoundAnswer, mutation: Mutation, { fingerprint }: RequestIdentity): Outcome => {
    const keptUnder = [secret, ...previous].find((each) =>
      isEqual(kept.fingerprint, each === secret ? fingerprint : fingerprintOf(mutation, each)),
    )
    if (keptUnder === undefined) return E.left({ _tag: 'IdempotencyMismatch' })
    const reply = replyOf(kept, mutation, keptUnder)
    const refusal = refusedNow(mutation, reply)
    return refusal === null ? E.right(reply) : E.left(refusal)
  }

  const goAhead = async (mutation: Mutation, identity: RequestIdentity, until: number, run: Run): Promise<First> => {
    const find = (mutation.route.takes === 'gathered' ? store.findGathered : null) ?? store.find
    const look = async (): Promise<First | null> => {
      const kept = await find(identity.orgId, identity.caller, identity.keyHash)
      return kept === null ? null : { kept, outcome: replayed(kept, mutation, identity) }
    }
    for (let isTried = false; ; isTried = true) {
      // What is kept by the very statement that makes the change is refused by it the second time: nearly all requests come
      // once, and are spared a question.
      const isLookedFor = isTried || mutation.route.triedFirst !== true
      const before = isLookedFor ? await look() : null
      if (before !== null) return before
      let offered: KeptRequest | null = null
      const keeping: Keeping = (reply) => (result, was) => {
        const given = reply(result)
        offered = { ...identity, ...answerOf(given, mutation.key, secret) }
        return { orgId: identity.orgId, answer: offered, ...mutation.audit(given, wasBefore(reply, was)) }
      }
      const outcome = await run(keeping)
      if (E.isRight(outcome)) {
        // Where no change was made there is nothing that it could be kept with.
        const kept: KeptRequest = offered ?? { ...identity, ...answerOf(outcome.right, mutation.key, secret) }
        if (offered === null) await store.keep(kept)
        // Written as JSON once.
        return {
          kept,
          outcome: typeof kept.body === 'string' ? E.right({ ...outcome.right, json: kept.body }) : outcome,
        }
      }
      // What was done, by another replica meanwhile too, may be refused the second time.
      if (outcome.left._tag !== 'Answered') return (await look()) ?? { kept: null, outcome }
      // By another replica, which has committed it: it is found now.
      if (performance.now() >= until) return (await look()) ?? { kept: null, outcome: IN_PROGRESS }
    }
  }

  return async (mutation, run) => {
    const identity = identityOf(mutation)
    const name = `${identity.orgId}\n${identity.caller}\n${identity.keyHash}`
    const until = performance.now() + waitForFirstMs
    for (;;) {
      const first = underWay.get(name)
      if (first === undefined) {
        const end = goAhead(mutation, identity, until, run)
        underWay.set(name, { mutation, fingerprint: identity.fingerprint, end })
        return (await end.finally(() => underWay.delete(name))).outcome
      }
      const isTheSame =
        first.fingerprint === identity.fingerprint && first.mutation.caller.role === mutation.caller.role
      const ended = await endOf(first.end, until, isTheSame)
      if (ended === 'late') return IN_PROGRESS
      if (ended === 'failed') continue
      if (ended.kept !== null) return replayed(ended.kept, mutation, identity)
      // What was refused changed nothing, and was asked at the same moment.
      if (isTheSame) return ended.outcome
    }
  }
}

const IN_PROGRESS: Outcome = E.left({ _tag: 'IdempotencyInProgress' })

/** What the first could not be told, whoever asked the very same cannot be told either. */
const endOf = async (first: Promise<First>, until: number, isTheSame: boolean): Promise<First | 'late' | 'failed'> => {
  const late = new AbortController()
  const left = Math.max(0, until - performance.now())
  try {
    return await Promise.race([first, wait(left, 'late' as const, { ref: false, signal: late.signal })])
  } catch (error) {
    if (isTheSame) throw error
    return 'failed'
  } finally {
    late.abort()
  }
}

/** Rights may have been taken since. */
const refusedNow = ({ route, caller, query }: Mutation, { body }: Reply): AnyRefusal | null => {
  const permission = permissionFor(route, query)
  if (permission !== null && !may(caller, permission)) return forbidden(permission)
  const { ownerId } = scopeOf(caller)
  if (route.tag !== 'Sessions' || ownerId === null) return null
  const foreign = sessionsIn(body).find(({ userId }) => typeof userId === 'string' && userId !== ownerId)
  return foreign === undefined ? null : notFound('session', String(foreign.id))
}

type Shown = { readonly id?: unknown; readonly userId?: unknown }

/** An answer shows one, or those of a batch. */
const sessionsIn = (body: unknown): readonly Shown[] => {
  const { items, ...one } = (body ?? {}) as Shown & { readonly items?: unknown }
  return Array.isArray(items) ? items.map(({ session }: { readonly session?: Shown }) => session ?? {}) : [one]
}

const fingerprintOf = ({ target, body }: Mutation, secret: Buffer): string =>
  createHmac('sha256', secret)
    .update(`${target}\n${canonicalJson(body)}`)
    .digest('hex')

const isEqual = (one: string, other: string): boolean => timingSafeEqual(Buffer.from(one), Buffer.from(other))

const answerOf = ({ status, location, body, secret: isSecret }: Reply, key: string, secret: Buffer): KeptAnswer => {
  const json = body === undefined ? null : JSON.stringify(body)
  const isSealed = json !== null && isSecret === true
  return { status, location: location ?? null, body: isSealed ? seal(json, key, secret) : json }
}

/** What its ETag says of the version: as the first answer did. */
const revisionIn = (json: { readonly revision?: unknown; readonly version?: unknown } | null): number | 'content' =>
  [json?.revision, json?.version].find((value) => typeof value === 'number') ?? 'content'

const replyOf = ({ status, location, body: kept }: KeptAnswer, { route, key }: Mutation, secret: Buffer): Reply => {
  const json = Buffer.isBuffer(kept) ? unseal(kept, key, secret) : kept
  const body = json === null ? null : JSON.parse(json)
  const hasEtag = route.answers[status]?.headers?.includes('ETag') === true
  return {
    status,
    replayed: true,
    ...(json === null ? {} : { body, json }),
    ...(location === null ? {} : { location }),
    ...(hasEtag ? { etag: revisionIn(body) } : {}),
    ...(Buffer.isBuffer(kept) ? { secret: true } : {}),
  }
}

/** Whoever reads the database has no key of a client, and with it no answer that shows something once. */
const sealingKey = (key: string, secret: Buffer): Buffer =>
  Buffer.from(hkdfSync('sha256', key, secret, 'streamspace answers that are shown once', 32))

const seal = (json: string, key: string, secret: Buffer): Buffer => {
  const nonce = randomBytes(12)
  const cipher = createCipheriv('aes-256-gcm', sealingKey(key, secret), nonce)
  const text = Buffer.concat([cipher.update(json, 'utf8'), cipher.final()])
  return Buffer.concat([nonce, cipher.getAuthTag(), text])
}

const unseal = (sealed: Buffer, key: string, secret: Buffer): string => {
  const decipher = createDecipheriv('aes-256-gcm', sealingKey(key, secret), sealed.subarray(0, 12), {
    authTagLength: 16,
  })
  decipher.setAuthTag(sealed.subarray(12, 28))
  return Buffer.concat([decipher.update(sealed.subarray(28)), decipher.final()]).toString('utf8')
}
