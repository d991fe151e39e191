import { setTimeout as wait } from 'node:timers/promises'
import { expect } from 'chai'
import { openDatabase } from '../../../adapters/postgres/pool.ts'
import { createSessionWriter } from '../../../adapters/postgres/session-writer.ts'
import { E } from '../../../domain/fp.ts'
import type { OrgId } from '../../../domain/ids.ts'
import { type CommitConflict, QuotaHeldError } from '../../../domain/ports/unit-of-work.ts'
import { type Limits, noLimits, noQuota, type Quota } from '../../../domain/quota/quota.ts'
import { remove, restart, start, stop } from '../../../domain/session/decide.ts'
import type { Decision } from '../../../domain/session/session.ts'
import { eventually } from '../../support/eventually.ts'
import { holding, isFree, letGo, lockWaits } from '../../support/locks.ts'
import { quickestOf, timed } from '../../support/quickest.ts'
import {
  ACME,
  ANNA,
  aCreation,
  allocatedOn,
  anAgent,
  anIntent,
  aSessionOn,
  BEN,
  commit,
  GLOBEX,
  nowhere,
  on,
  openStores,
  right,
  type Stores,
  storesOver,
  theSession,
} from '../../support/rows.ts'

const limited = (limits: Partial<Limits>, more: Partial<Quota> = {}): Quota => ({ ...noQuota, ...limits, ...more })
const tagOf = (outcome: E.Either<CommitConflict, void>): string => (E.isLeft(outcome) ? outcome.left._tag : 'made')

describe('a quota', function () {
  this.timeout(120_000)
  let stores: Stores
  beforeEach(async () => {
    stores = await openStores()
  })
  afterEach(async () => {
    await letGo()
    await stores.close()
  })

  const set = async (quota: Quota, orgId = ACME): Promise<void> => {
    expect((await stores.quotas.set(orgId, quota, null)).kind).to.equal('set')
  }
  const kept = async (where = 'true'): Promise<number> =>
    (
      await stores.ask(
        `SELECT count(*) AS n FROM sessions WHERE deleted_at IS NULL AND desired_state <> 'deleted' AND ${where}`,
      )
    )[0].n
  const using = async (orgId = ACME) => {
    const { sessions, running, cpuMillis, memoryMib } = await stores.quotas.usage(orgId, {})
    return [sessions, running, cpuMillis, memoryMib]
  }

  it('of ten lets in ten of a thousand that come at once, over two replicas', async () => {
    const peer = await anAgent(stores, { id: 'edge' })
    await set(limited({ maxSessions: 10 }))
    const other = openDatabase({ url: stores.url })
    try {
      const replicas = [stores, storesOver(other)]
      const outcomes = await Promise.all(
        Array.from({ length: 1_000 }, (_, index) =>
          (replicas[index % 2] as Stores).unitOfWork.commit(aCreation(index % 3 === 0 ? nowhere : on(peer.agentId))),
        ),
      )
      expect(outcomes.filter(E.isRight)).to.have.length(10)
      const refusals = outcomes.flatMap((outcome) => (E.isLeft(outcome) ? [outcome.left] : []))
      for (const refusal of refusals)
        expect(refusal).to.deep.equal({
          _tag: 'QuotaExceeded',
          scope: 'org',
          name: ACME,
          quota: 'maxSessions',
          limit: 10,
          used: 10,
          asked: 1,
        })
      expect(await kept()).to.equal(10)
      expect((await using())[0]).to.equal(10)
      const [sessions] = await allocatedOn(stores, peer.agentId)
      expect(sessions).to.equal(await kept('agent_id IS NOT NULL'))
    } finally {
      await other.close()
    }
  })

  it('refuses what does not fit and lets in what does, of those that are written together', async () => {
    await set(limited({ cpuMillis: 1_000 }))
    const writer = createSessionWriter(stores.database, { commandTtlMs: 1_000, seal: () => Buffer.alloc(0) })
    const of = (cpuMillis: number, orgId = ACME) => ({
      decision: aCreation(nowhere, { orgId, resources: { cpuMillis, memoryMib: 1 } }),
    })
    const outcomes = await writer.insert([of(600), of(600), of(5_000, GLOBEX), of(400), of(1)], 'patiently')
    expect(outcomes.map(tagOf)).to.deep.equal(['made', 'QuotaExceeded', 'made', 'made', 'QuotaExceeded'])
    expect(outcomes[1]).to.deep.equal(
      E.left({
        _tag: 'QuotaExceeded',
        scope: 'org',
        name: ACME,
        quota: 'cpuMillis',
        limit: 1_000,
        used: 600,
        asked: 600,
      }),
    )
    expect(await using()).to.deep.equal([2, 2, 1_000, 2])
    expect(await using(GLOBEX)).to.deep.equal([1, 1, 5_000, 1])
  })

  it('that somebody holds for long keeps no other org’s sessions waiting, also on the same agent and asked for at the same moment', async () => {
    const peer = await anAgent(stores, { id: 'shared', orgId: null })
    await set(limited({ maxSessions: 500 }))
    await set(limited({ maxSessions: 500 }), GLOBEX)
    const held = await holding(stores.url, ['SELECT lock_quota_usage($1)', [ACME]])
    const create = (orgId: OrgId) => stores.unitOfWork.commit(aCreation(on(peer.agentId), { orgId }))
    let done = false
    const waiting = [create(ACME), create(ACME)]
    const made = await Promise.all([create(GLOBEX), create(GLOBEX)])
    await lockWaits(stores.ask, 1)
    for (let nth = 0; nth < 3; nth++) {
      waiting.push(...Array.from({ length: 100 }, () => create(ACME)))
      made.push(await create(GLOBEX))
    }
    void Promise.all(waiting).then(() => {
      done = true
    })
    expect(made.map(tagOf)).to.deep.equal(made.map(() => 'made'))
    expect(await kept(`org_id = '${ACME}'`)).to.equal(0)
    // However many of them wait, they take one connection.
    await lockWaits(stores.ask, 1)
    expect(done).to.equal(false)
    await held.release()
    expect((await Promise.all(waiting)).map(tagOf)).to.deep.equal(waiting.map(() => 'made'))
    expect([(await using())[0], (await using(GLOBEX))[0]]).to.deep.equal([waiting.length, made.length])
    // They go with the others again.
    expect(tagOf(await create(ACME))).to.equal('made')
  })

  describe('of several orgs whose sessions are written together', () => {
    const orgs = Array.from({ length: 8 }, (_, nth) => `org-${nth}` as OrgId)
    const [first = ACME] = orgs
    beforeEach(async () => {
      for (const orgId of orgs) await stores.ask('INSERT INTO orgs (id, name) VALUES ($1, $1)', orgId)
    })

    const write = () =>
      createSessionWriter(stores.database, { commandTtlMs: 1_000, seal: () => Buffer.alloc(0) }).insert(
        orgs.map((orgId) => ({ decision: aCreation(nowhere, { orgId }) })),
        'briefly',
      )
    const ADVISORY = `SELECT FROM pg_locks l JOIN pg_database d ON d.oid = l.database
                       WHERE d.datname = current_database() AND locktype = 'advisory' AND classid = 730211`
    const others = [
      { who: 'are held', quotas: true, lock: 'SELECT lock_quota_usage(ARRAY[$1])' },
      { who: 'are set for the first time', quotas: false, lock: 'SELECT pg_advisory_xact_lock(730211, hashtext($1))' },
    ]
    for (const { who, quotas, lock } of others)
      it(`that ${who} in one transaction after another are waited for as long as one, and then none is held`, async () => {
        if (quotas) for (const orgId of orgs) await set(limited({ maxSessions: 500 }), orgId)
        await write() // A connection that is made, and has its plans, has nothing to wait for but the quotas.
        await quickestOf(5, 120, async () => {
          const before = await kept()
          const held = await Promise.all(orgs.map((orgId) => holding(stores.url, [lock, orgId])))
          const ending = (async () => {
            for (const one of held) {
              await wait(30)
              await one.release()
            }
          })()
          let outcome: unknown
          const ms = await timed(async () => {
            outcome = await write().catch((error: Error) => error)
          })
          // Written, which is possible only when all of them have ended: that is slow, too.
          if (!(outcome instanceof QuotaHeldError)) return ms
          expect(outcome.cause).to.include({ code: '55P03' })
          if (quotas) expect(await isFree(stores.url, 'quota_usage', 'org_id', first)).to.equal(true)
          await ending
          expect(await stores.ask(ADVISORY)).to.have.length(0)
          expect(await kept()).to.equal(before)
          return ms
        })
        expect((await write()).map(tagOf)).to.deep.equal(orgs.map(() => 'made'))
      })

    it('that have cost some time leave all the time for what is waited for next', async () => {
      const { rows } = await stores.database.of(orgs).query({
        text: `SELECT lock_quota_usage_of_new_briefly(ARRAY(SELECT 'org-' || n FROM generate_series(1, 3000) n)),
                      current_setting('lock_timeout') AS lock_timeout`,
      })
      expect(rows[0].lock_timeout).to.equal('0')
    })
  })

  it('that is held for longer than a statement may wait is waited for once, not by each session of its org again', async () => {
    await set(limited({ maxSessions: 500 }))
    const held = await holding(stores.url, ['SELECT lock_quota_usage($1)', [ACME]])
    const outcomes = Promise.allSettled(Array.from({ length: 50 }, () => stores.unitOfWork.commit(aCreation(nowhere))))
    const PATIENT = `wait_event_type = 'Lock' AND query LIKE '%lock_quota_usage_of_new(%' AND datname = current_database()`
    await eventually(async () => {
      // As PostgreSQL does when the time of a statement is over.
      const cut = await stores.ask(`SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE ${PATIENT}`)
      expect(cut).to.have.length(1)
    })
    expect((await outcomes).map(({ status }) => status)).to.deep.equal(Array.from({ length: 50 }, () => 'rejected'))
    await lockWaits(stores.ask, 0)
    await held.release()
    expect(await kept()).to.equal(0)
  })

  /** What a commit was refused with, without its tag. */
  const refusalOf = async (decision: Decision) => {
    const outcome = await stores.unitOfWork.commit(decision)
    if (E.isRight(outcome) || outcome.left._tag !== 'QuotaExceeded') throw new Error(tagOf(outcome))
    const { _tag, ...refusal } = outcome.left
    return refusal
  }

  it('of each user is each user’s own', async () => {
    await set(limited({}, { perUser: { ...noLimits, maxSessions: 2 } }))
    for (const userId of [ANNA, BEN, ANNA, BEN]) await commit(stores, aCreation(nowhere, { userId }))
    expect(await refusalOf(aCreation(nowhere, { userId: BEN }))).to.deep.equal({
      scope: 'user',
      name: BEN,
      quota: 'maxSessions',
      limit: 2,
      used: 2,
      asked: 1,
    })
    // Of somebody of whom nothing was known.
    const outcomes = await Promise.all(
      Array.from({ length: 30 }, (_, index) =>
        storesOver(stores.database).unitOfWork.commit(
          aCreation(nowhere, { userId: (index % 2 === 0 ? 'new-1' : 'new-2') as typeof ANNA }),
        ),
      ),
    )
    expect(outcomes.filter(E.isRight)).to.have.length(4)
    expect(await kept()).to.equal(8)
  })

  it('of a template holds for it alone, whoever uses it', async () => {
    const desk = (version: number) => ({ template: { ...aCreation(nowhere).session.template, name: 'desk', version } })
    await set(limited({}, { perTemplate: { desk: { ...noLimits, maxRunning: 1 } } }))
    await commit(stores, aCreation(nowhere, desk(1)))
    await commit(stores, aCreation(nowhere))
    expect(await refusalOf(aCreation(nowhere, { ...desk(2), userId: BEN }))).to.deep.equal({
      scope: 'template',
      name: 'desk',
      quota: 'maxRunning',
      limit: 1,
      used: 1,
      asked: 1,
    })
    await commit(stores, aCreation(nowhere, { orgId: GLOBEX, ...desk(1) }))
    await commit(stores, aCreation(nowhere, { orgId: GLOBEX, ...desk(1) }))
  })

  it('of memory is that of what is to run: what is stopped gives it back, and has to get it again', async () => {
    const peer = await anAgent(stores, { id: 'edge' })
    await set(limited({ memoryMib: 1_024 }))
    const [one, other] = [await aSessionOn(stores, peer.agentId), await aSessionOn(stores, peer.agentId)]
    const refusal = { scope: 'org', name: ACME, quota: 'memoryMib', limit: 1_024, used: 1_024, asked: 512 }
    expect(await refusalOf(aCreation(on(peer.agentId)))).to.deep.equal(refusal)
    const stopped = right(stop(one, anIntent())).session
    await commit(stores, right(stop(one, anIntent())))
    expect(await using()).to.deep.equal([2, 1, 500, 512])
    // What a restart of it takes it has.
    const failed = { ...other, status: 'failed' } as const
    await commit(stores, right(restart(failed, nowhere, anIntent())))
    const third = await aSessionOn(stores, peer.agentId)
    const now = { ...(await theSession(stores, one.id)) }
    expect(now.generation).to.equal(stopped.generation)
    expect(await refusalOf(right(start(now, 'start', on(peer.agentId), anIntent())))).to.deep.equal(refusal)
    expect(await theSession(stores, one.id)).to.deep.equal(now)
    await commit(stores, right(remove(third, anIntent())))
    await commit(stores, right(start(now, 'wake', nowhere, anIntent())))
    expect(await using()).to.deep.equal([2, 2, 1_000, 1_024])
  })

  it('of starts lets in no more than there is room for, of many that come at once', async () => {
    const peer = await anAgent(stores, { id: 'edge' })
    const sessions = await Promise.all(Array.from({ length: 60 }, () => aSessionOn(stores, peer.agentId)))
    for (const session of sessions) await commit(stores, right(stop(session, anIntent())))
    await set(limited({ maxRunning: 7 }))
    const other = openDatabase({ url: stores.url })
    try {
      const replicas = [stores, storesOver(other)]
      const outcomes = await Promise.all(
        sessions.map(async ({ id }, index) =>
          (replicas[index % 2] as Stores).unitOfWork.commit(
            right(start(await theSession(stores, id), 'start', nowhere, anIntent())),
          ),
        ),
      )
      expect(outcomes.map(tagOf).filter((tag) => tag === 'made')).to.have.length(7)
      expect(outcomes.map(tagOf).filter((tag) => tag === 'QuotaExceeded')).to.have.length(53)
      expect(await using()).to.deep.equal([60, 7, 3_500, 3_584])
    } finally {
      await other.close()
    }
  })

  it('that is full refuses nobody who asks again under the same Idempotency-Key', async () => {
    await set(limited({ maxSessions: 1 }))
    const replicas = Array.from({ length: 6 }, () => storesOver(stores.database))
    const outcomes = await Promise.all(
      replicas.map(({ unitOfWork }) => {
        const decision = aCreation(nowhere)
        return unitOfWork.commit(decision, {
          kept: {
            orgId: ACME,
            audit: null,
            answer: {
              orgId: ACME,
              caller: 'key:1',
              keyHash: 'aa'.repeat(32),
              fingerprint: '00'.repeat(32),
              status: 201,
              location: `/api/v1/sessions/${decision.session.id}`,
              body: null,
            },
          },
        })
      }),
    )
    expect(outcomes.map(tagOf).toSorted()).to.deep.equal([...Array(5).fill('Answered'), 'made'])
    expect(await using()).to.deep.equal([1, 1, 500, 512])
  })

  it('says nothing of what is there when it is set below: it refuses what is new', async () => {
    const sessions = [await commit(stores, aCreation(nowhere)), await commit(stores, aCreation(nowhere))]
    await set(limited({ maxSessions: 1, maxRunning: 0 }))
    expect(await refusalOf(aCreation(nowhere))).to.deep.include({ quota: 'maxSessions', limit: 1, used: 2 })
    const [one] = sessions as [(typeof sessions)[number]]
    await commit(stores, right(stop(one, anIntent())))
    expect(
      await refusalOf(right(start(await theSession(stores, one.id), 'start', nowhere, anIntent()))),
    ).to.deep.include({ quota: 'maxRunning', limit: 0, used: 1, asked: 1 })
    await set(noQuota)
    await commit(stores, aCreation(nowhere))
  })

  it('is set by whoever has read the newest', async () => {
    expect(await stores.quotas.get(ACME)).to.deep.equal({ quota: noQuota, version: 0 })
    const quota = limited({ cpuMillis: 1e15 }, { perTemplate: { b: noLimits, a: { ...noLimits, maxRunning: 0 } } })
    expect(await stores.quotas.set(ACME, quota, [0])).to.deep.equal({ kind: 'set', version: 1 })
    expect(await stores.quotas.set(ACME, noQuota, [0])).to.deep.equal({ kind: 'mismatch', current: 1 })
    expect(await stores.quotas.get(ACME)).to.deep.equal({ quota, version: 1 })
    const outcomes = await Promise.all(
      [1, 2].map((maxSessions) => stores.quotas.set(ACME, limited({ maxSessions }), [1])),
    )
    expect(outcomes.map(({ kind }) => kind).toSorted()).to.deep.equal(['mismatch', 'set'])
  })
})
