/** Batches on a real database: the use case over the store, as the server has them. */
import { expect } from 'chai'
import { createIdempotencyStore } from '../../../adapters/postgres/idempotency.ts'
import { createSessionBatches } from '../../../adapters/postgres/session-batches.ts'
import { E } from '../../../domain/fp.ts'
import type { Caller } from '../../../domain/identity/caller.ts'
import type { AgentId, SessionId } from '../../../domain/ids.ts'
import type { Kept } from '../../../domain/ports/idempotency.ts'
import type { Session } from '../../../domain/session/session.ts'
import type { BatchRequest, BatchResult } from '../../../src/usecases/application.ts'
import { batchSessions } from '../../../src/usecases/batch-sessions.ts'
import { anAuditEntry } from '../../support/an-audit-entry.ts'
import { recordedWake } from '../../support/fake-ports.ts'
import { holding, letGo, lockWaits } from '../../support/locks.ts'
import { quickestOf, timed } from '../../support/quickest.ts'
import {
  ACME,
  ANNA,
  aCreation,
  allocatedOn,
  anAgent,
  aSessionOn,
  aWrite,
  BEN,
  commandsOf,
  commit,
  GLOBEX,
  heldOn,
  ids,
  nowhere,
  openStores,
  PLENTY,
  reported,
  type Stores,
  theSession,
  timeouts,
} from '../../support/rows.ts'

describe('a batch', function () {
  this.timeout(120_000)
  let stores: Stores
  let agentId: AgentId
  let name = 0
  beforeEach(async () => {
    stores = await openStores()
    name += 1
    ;({ agentId } = await anAgent(stores, { id: `edge-${name}`, capacity: { ...PLENTY, maxSessions: 5_000 } }))
  })
  afterEach(async () => {
    await letGo()
    await stores.close()
  })

  const operator: Caller = { orgId: ACME, userId: BEN, role: 'operator', keyId: null }
  const anna: Caller = { orgId: ACME, userId: ANNA, role: 'user', keyId: null }

  const batching = () => {
    const { wake, woken } = recordedWake()
    const batch = batchSessions({
      batches: createSessionBatches(stores.database, { agentSilentAfterMs: 90_000 }),
      wake,
      clock: { now: () => new Date() },
      ids,
      timeouts,
    })
    return { woken, batch }
  }
  const ask = (request: BatchRequest, caller: Caller = operator, keep?: (result: BatchResult) => Kept) =>
    batching().batch(caller, request, keep)()
  const done = async (request: BatchRequest, caller?: Caller): Promise<BatchResult> => {
    const answer = await ask(request, caller)
    return E.isRight(answer) ? answer.right : expect.fail(JSON.stringify(answer.left))
  }
  const refused = async (request: BatchRequest, caller?: Caller) => {
    const answer = await ask(request, caller)
    return E.isLeft(answer) ? answer.left : expect.fail(JSON.stringify(answer.right))
  }
  const brief = ({ items }: BatchResult) =>
    items.map(({ id, outcome }) => [id, E.isRight(outcome) ? outcome.right.status : outcome.left._tag])
  const everything = () =>
    stores.ask(`SELECT (SELECT jsonb_agg(to_jsonb(s) ORDER BY id) FROM sessions s) AS sessions,
                       (SELECT count(*) FROM session_events) AS events, (SELECT count(*) FROM outbox) AS commands`)
  const several = (count: number, overrides: Partial<Session> = {}) =>
    Promise.all(Array.from({ length: count }, () => aSessionOn(stores, agentId, overrides)))

  it('decides on each as it would be alone, and answers for each', async () => {
    const [one, two] = (await several(2)) as [Session, Session]
    const pending = await commit(stores, aCreation(nowhere))
    const unknown = ids.session()
    const { woken, batch } = batching()
    const which = { ids: [two.id, unknown, pending.id, one.id] }
    const answer = await batch(operator, { action: 'stop', which })()
    expect(E.isRight(answer) && brief(answer.right)).to.deep.equal([
      [two.id, 'stopping'],
      [unknown, 'NotFound'],
      [pending.id, 'stopped'],
      [one.id, 'stopping'],
    ])
    expect(woken).to.deep.equal([agentId])
    for (const { id } of [one, two]) {
      const session = await theSession(stores, id)
      expect(session).to.deep.include({ status: 'stopping', desiredState: 'stopped', generation: 2, version: 2 })
      expect((await commandsOf(stores, id)).map(({ type, status }) => [type, status])).to.deep.equal([
        ['start_session', 'superseded'],
        ['stop_session', 'pending'],
      ])
      const [event] = await stores.ask(
        `SELECT type, actor, generation FROM session_events WHERE session_id = $1 ORDER BY id DESC`,
        id,
      )
      expect(event).to.deep.equal({ type: 'stop_requested', actor: 'user:ben', generation: 2 })
    }
    expect(await allocatedOn(stores, agentId)).to.deep.equal(await heldOn(stores, agentId))
  })

  it('refuses what one cannot do for that one alone', async () => {
    const [running, starting] = (await several(2)) as [Session, Session]
    const peer = { agentId, epoch: 1 }
    await stores.reports.write([aWrite(peer, reported(running, peer, 'running'))])
    const result = await done({ action: 'hibernate', which: { ids: [running.id, starting.id] } })
    expect(brief(result)).to.deep.equal([
      [running.id, 'hibernating'],
      [starting.id, 'TransitionRefused'],
    ])
    expect((await theSession(stores, starting.id)).generation).to.equal(1)
  })

  it('deletes: what no agent has is gone at once, with both of its events', async () => {
    const pending = await commit(stores, aCreation(nowhere, { labels: { team: 'web' } }))
    await done({ action: 'delete', which: { filter: { label: [['team', 'web']] } }, expectedCount: 1 })
    expect((await theSession(stores, pending.id)).deletedAt).to.be.instanceOf(Date)
    const events = await stores.ask('SELECT type FROM session_events WHERE session_id = $1 ORDER BY id', pending.id)
    expect(events.map(({ type }) => type)).to.deep.equal(['created', 'delete_requested', 'deleted'])
    expect(await stores.ask('SELECT * FROM session_labels')).to.deep.equal([])
  })

  it('by a filter is about what the caller sees, and no other org', async () => {
    const [own] = await several(1, { userId: ANNA, labels: { team: 'web' } })
    const [others] = await several(1, { userId: BEN, labels: { team: 'web' } })
    await commit(stores, aCreation(nowhere, { orgId: GLOBEX, labels: { team: 'web' } }))
    const which = { filter: { label: [['team', 'web']] as const } }
    expect(brief(await done({ action: 'stop', which, expectedCount: 1 }, anna))).to.deep.equal([[own?.id, 'stopping']])
    const ofOthers = await done({ action: 'stop', which: { ids: [others?.id as SessionId] } }, anna)
    expect(brief(ofOthers)).to.deep.equal([[others?.id, 'NotFound']])
    expect((await theSession(stores, others?.id as SessionId)).generation).to.equal(1)
  })

  it('with a wrong count changes nothing', async () => {
    const sessions = await several(3, { labels: { team: 'web' } })
    const before = await everything()
    const filter = { label: [['team', 'web']] as const }
    for (const expectedCount of [0, 2, 4])
      expect(await refused({ action: 'delete', which: { filter }, expectedCount })).to.deep.equal({
        _tag: 'UnexpectedCount',
        counted: 3,
        expected: expectedCount,
      })
    const named = [...sessions, ...sessions].map(({ id }) => id)
    expect(await refused({ action: 'delete', which: { ids: named }, expectedCount: 6 })).to.deep.include({ counted: 3 })
    expect(await everything()).to.deep.equal(before)
  })

  it('of more than a thousand changes nothing', async () => {
    for (let made = 0; made < 1_001; made += 91) await several(91)
    const before = await everything()
    expect(await refused({ action: 'stop', which: { filter: {} }, expectedCount: 1_001 })).to.deep.equal({
      _tag: 'BatchTooLarge',
      limit: 1_000,
      counted: null,
    })
    const named = Array.from({ length: 1_001 }, () => ids.session())
    expect(await refused({ action: 'stop', which: { ids: named } })).to.deep.include({ counted: 1_001 })
    expect(await everything()).to.deep.equal(before)
  })

  it('of a viewer is refused', async () => {
    expect(
      await refused({ action: 'stop', which: { ids: [ids.session()] } }, { ...operator, role: 'viewer' }),
    ).to.deep.include({
      _tag: 'Forbidden',
    })
  })

  it('of a thousand takes about a second, and is one transaction', async () => {
    let batches = 0
    await quickestOf(3, 3_000, async () => {
      for (let made = 0; made < 1_000; made += 100) await several(100)
      const took = await timed(async () => {
        const { items } = await done({ action: 'stop', which: { filter: {} }, expectedCount: 1_000 })
        expect(items).to.have.length(1_000)
      })
      batches += 1
      const [{ transactions }] = (await stores.ask(
        `SELECT count(DISTINCT xid) AS transactions FROM session_events WHERE type = 'stop_requested'`,
      )) as [{ transactions: number }]
      expect(transactions).to.equal(batches)
      console.log(`      a batch of 1,000 took ${Math.round(took)} ms`)
      await stores.ask('UPDATE sessions SET deleted_at = now()')
      return took
    })
  })

  it('looks at what it has found again when it has waited for it', async () => {
    const [one, two] = (await several(2)) as [Session, Session]
    const peer = { agentId, epoch: 1 }
    await stores.reports.write([
      aWrite(peer, reported(one, peer, 'running')),
      aWrite(peer, reported(two, peer, 'running')),
    ])
    // Somebody has one of them, and makes something else of it.
    const held = await holding(stores.url, [
      `UPDATE sessions SET status = 'failed', revision = revision + 1 WHERE id = $1`,
      one.id,
    ])
    const answer = ask({ action: 'stop', which: { filter: { status: ['running'] } }, expectedCount: 2 })
    await lockWaits(stores.ask, 1)
    await held.release()
    expect(await answer).to.deep.equal(E.left({ _tag: 'UnexpectedCount', counted: 1, expected: 2 }))
    expect((await theSession(stores, two.id)).desiredState).to.equal('running')
  })

  it('of the same sessions in another order, at once with others, ends without a deadlock', async () => {
    const sessions = (await several(40)).map(({ id }) => id)
    const answers = await Promise.all(
      Array.from({ length: 8 }, (_, index) =>
        done({
          action: index % 2 === 0 ? 'stop' : 'delete',
          which: { ids: index % 3 === 0 ? sessions : sessions.toReversed() },
        }),
      ),
    )
    expect(answers).to.have.length(8)
    const rows = await stores.ask(
      'SELECT session_id, count(*) AS n FROM outbox GROUP BY 1, generation, agent_id HAVING count(*) > 1',
    )
    expect(rows).to.deep.equal([])
    for (const id of sessions) expect((await theSession(stores, id)).desiredState).to.equal('deleted')
  })

  it('keeps its answer with the change, once', async () => {
    const [one] = (await several(1)) as [Session]
    const kept = (body: string): Kept => ({
      orgId: ACME,
      audit: anAuditEntry({ action: 'batchSessions', resourceId: body }),
      answer: {
        orgId: ACME,
        caller: 'user:ben',
        keyHash: '01'.repeat(32),
        fingerprint: '02'.repeat(32),
        status: 200,
        location: null,
        body,
      },
    })
    await ask({ action: 'stop', which: { ids: [one.id] } }, operator, ({ items }) => kept(JSON.stringify(items.length)))
    const store = createIdempotencyStore(stores.database)
    expect((await store.find(ACME, 'user:ben', '01'.repeat(32)))?.body).to.equal('1')
    expect(await stores.ask('SELECT action, resource_id FROM audit_events')).to.deep.equal([
      { action: 'batchSessions', resource_id: '1' },
    ])
    const before = await everything()
    const again = await ask({ action: 'delete', which: { ids: [one.id] } }, operator, () => kept('another'))
    expect(again).to.deep.equal(E.left({ _tag: 'Answered' }))
    expect(await everything()).to.deep.equal(before)
  })
})
