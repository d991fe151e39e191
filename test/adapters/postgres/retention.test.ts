import { expect } from 'chai'
import {
  REMOVE_ANSWERS,
  REMOVE_COMMANDS,
  REMOVE_EVENTS,
  REMOVE_TOMBSTONES,
} from '../../../adapters/postgres/retention.ts'
import type { RetentionPosition, RetentionWalk } from '../../../domain/ports/retention.ts'
import { forceRemove, remove, stop } from '../../../domain/session/decide.ts'
import { deleted } from '../../../domain/session/observe.ts'
import type { Session } from '../../../domain/session/session.ts'
import { explain, planned } from '../../support/explain.ts'
import { holding, letGo, lockWaits } from '../../support/locks.ts'
import { manyCommands, manySessions } from '../../support/many-rows.ts'
import {
  aCreation,
  anAgent,
  anIntent,
  aSessionOn,
  aWrite,
  commandsOf,
  commit,
  connected,
  nowhere,
  ofAcme,
  openStores,
  right,
  type Stores,
  theSession,
  timeouts,
} from '../../support/rows.ts'

const DAY_MS = 86_400_000
const OLD = `now() - interval '2 days'`

describe('what is kept for a time', () => {
  let stores: Stores
  beforeEach(async () => {
    stores = await openStores()
  })
  afterEach(async () => {
    await letGo()
    await stores.close()
  })

  /** A whole round, in steps of `limit`. */
  const round = async (walk: RetentionWalk, limit = 100, olderThanMs = DAY_MS): Promise<readonly number[]> => {
    const removed: number[] = []
    let from: RetentionPosition | null = null
    do {
      const step = await walk(olderThanMs, from, limit)
      removed.push(step.removed)
      from = step.next
    } while (from !== null)
    return removed
  }
  const age = (session: Session) =>
    stores.ask(
      `UPDATE outbox SET created_at = ${OLD}, finished_at = CASE WHEN status <> 'pending' THEN ${OLD} END WHERE session_id = $1`,
      session.id,
    )
  const statusesOf = async (session: Session) => (await commandsOf(stores, session.id)).map((row) => row.status)
  const exists = async (session: Session): Promise<boolean> =>
    (await stores.sessions.loadMany([session.id])).length === 1

  describe('commands', () => {
    it('go when a newer generation exists and they have been finished for long enough', async () => {
      const peer = await anAgent(stores, { id: 'commands' })
      const session = await aSessionOn(stores, peer.agentId)
      const stopped = await commit(stores, right(stop(session, anIntent())))
      await age(stopped)
      const young = await commit(stores, right(stop(await aSessionOn(stores, peer.agentId), anIntent())))
      expect(await round(stores.retention.commands)).to.deep.equal([1])
      expect(await statusesOf(stopped)).to.deep.equal(['pending'])
      expect(await statusesOf(young)).to.deep.equal(['superseded', 'pending'])
    })

    it('stay while they are the newest of their session, finished or not, however old', async () => {
      const peer = await anAgent(stores, { id: 'newest' })
      const sessions = []
      for (const status of ['done', 'failed', 'dead', 'expired', 'cancelled', 'superseded', 'pending']) {
        const session = await aSessionOn(stores, peer.agentId)
        await stores.ask('UPDATE outbox SET status = $2 WHERE session_id = $1', session.id, status)
        await age(session)
        sessions.push(session)
      }
      expect(await round(stores.retention.commands)).to.deep.equal([0])
      for (const session of sessions) expect(await statusesOf(session)).to.have.length(1)
    })

    it('stay while they are pending, even of a session that is gone', async () => {
      await manyCommands(stores, 3, { created_at: OLD })
      expect(await round(stores.retention.commands)).to.deep.equal([0])
      await stores.ask(`UPDATE outbox SET status = 'cancelled', finished_at = ${OLD}`)
      expect(await round(stores.retention.commands)).to.deep.equal([3])
    })

    it('are looked at a few at a time, those that stay among them, and the walk begins anew behind the last', async () => {
      await manySessions(stores, 1)
      await manyCommands(stores, 25, { created_at: OLD, status: `'done'`, finished_at: OLD })
      await manyCommands(stores, 10, { created_at: OLD })
      expect(await round(stores.retention.commands, 10)).to.deep.equal([10, 10, 5, 0])
      expect(await round(stores.retention.commands, 10)).to.deep.equal([0, 0])
    })

    it('that somebody holds are passed by, and nobody who commits is waited for or made to wait', async () => {
      const peer = await anAgent(stores, { id: 'held' })
      const session = await aSessionOn(stores, peer.agentId)
      const stopped = await commit(stores, right(stop(session, anIntent())))
      await age(stopped)
      const holder = await holding(stores.url, [`SELECT FROM outbox WHERE session_id = $1 FOR UPDATE`, session.id])
      expect(await round(stores.retention.commands)).to.deep.equal([0])
      await lockWaits(stores.ask, 0)
      await holder.release()

      // The other way round: what was removed and not committed yet keeps no intent and no lane from going on.
      const remover = await holding(stores.url, [REMOVE_COMMANDS, '0', 100, DAY_MS])
      const newest = await commit(stores, right(remove(stopped, anIntent())))
      expect((await stores.due(peer, 10, [])).map(({ sessionId }) => sessionId)).to.deep.equal([newest.id])
      await remover.release()
      expect(await statusesOf(newest)).to.deep.equal(['superseded', 'pending'])
    })
  })

  describe('events', () => {
    it('go when they are old, a few at a time, and the young stay', async () => {
      await stores.ask(`INSERT INTO session_events (org_id, session_id, type, generation, data, actor, at)
                        SELECT 'acme', gen_random_uuid(), 'created', 1, '{}', 'test', ${OLD} FROM generate_series(1, 25)`)
      await commit(stores, aCreation(nowhere))
      const before = await stores.ask('SELECT count(*)::int AS n FROM session_events')
      expect(await round(stores.retention.events, 10)).to.deep.equal([10, 10, 5])
      expect(await stores.ask('SELECT count(*)::int AS n FROM session_events')).to.deep.equal([{ n: before[0].n - 25 }])
      expect(await round(stores.retention.events, 10)).to.deep.equal([0])
    })
  })

  describe('tombstones', () => {
    const deletedAt = (session: Session, when = OLD) =>
      stores.ask(`UPDATE sessions SET deleted_at = ${when}, updated_at = ${when} WHERE id = $1`, session.id)
    const confirm = async (peer: Awaited<ReturnType<typeof anAgent>>, session: Session) => {
      const outcome = deleted(session, session.generation, { agentId: peer.agentId, at: new Date(), timeouts })
      if (outcome.kind !== 'decided') throw new Error(outcome.kind)
      await stores.reports.write([aWrite(peer, outcome.decision, { doneUpTo: session.generation })])
      return theSession(stores, session.id)
    }

    it('go when their agent has confirmed and the time has passed, and then their commands do', async () => {
      const peer = await anAgent(stores, { id: 'confirmed' })
      const asked = await commit(stores, right(remove(await aSessionOn(stores, peer.agentId), anIntent())))
      const gone = await confirm(peer, asked)
      await age(gone)
      expect(await round(stores.retention.tombstones)).to.deep.equal([0])
      await deletedAt(gone)
      expect(await round(stores.retention.commands)).to.deep.equal([1])
      expect(await statusesOf(gone)).to.deep.equal(['done'])
      expect(await round(stores.retention.tombstones)).to.deep.equal([1])
      expect(await exists(gone)).to.equal(false)
      expect(await round(stores.retention.commands)).to.deep.equal([1])
      expect(await statusesOf(gone)).to.deep.equal([])
    })

    it('stay until it has, however long ago they were forced; the time counts from the confirmation', async () => {
      const peer = await anAgent(stores, { id: 'forced' })
      const forced = await commit(stores, forceRemove(await aSessionOn(stores, peer.agentId), anIntent()))
      await deletedAt(forced)
      expect(await round(stores.retention.tombstones)).to.deep.equal([0])
      const confirmed = await confirm(peer, await theSession(stores, forced.id))
      expect(await round(stores.retention.tombstones)).to.deep.equal([0])
      await deletedAt(confirmed)
      expect(await round(stores.retention.tombstones)).to.deep.equal([1])
    })

    it('go when nobody is left who could confirm: never placed, or the agent was removed', async () => {
      const peer = await anAgent(stores, { id: 'leaves' })
      const [never, left] = [
        await commit(stores, right(remove(await commit(stores, aCreation(nowhere)), anIntent()))),
        await commit(stores, forceRemove(await aSessionOn(stores, peer.agentId), anIntent())),
      ]
      await stores.agents.remove(ofAcme(peer.agentId))
      for (const session of [never, left]) await deletedAt(session)
      expect(await round(stores.retention.tombstones)).to.deep.equal([2])
    })

    it('stay while a command of theirs is pending: an inventory may have spoken of them once more', async () => {
      const peer = await anAgent(stores, { id: 'again' })
      const asked = await commit(stores, right(remove(await aSessionOn(stores, peer.agentId), anIntent())))
      const gone = await confirm(peer, asked)
      await deletedAt(gone)
      await stores.reports.redeliver([gone.id])
      expect(await round(stores.retention.tombstones)).to.deep.equal([0])
      expect((await stores.due(await connected(stores, peer.agentId), 10, [])).length).to.equal(1)
    })

    it('stay when an inventory is just making their command due again, and are not waited for', async () => {
      const peer = await anAgent(stores, { id: 'races' })
      const asked = await commit(stores, right(remove(await aSessionOn(stores, peer.agentId), anIntent())))
      const gone = await confirm(peer, asked)
      await deletedAt(gone)
      const blocker = await holding(
        stores.url,
        ['UPDATE sessions SET revision = revision + 1 WHERE id = $1', gone.id],
        [
          `UPDATE outbox SET status = 'pending', finished_at = NULL WHERE session_id = $1 AND generation = $2`,
          gone.id,
          gone.generation,
        ],
      )
      expect(await round(stores.retention.tombstones)).to.deep.equal([0])
      await blocker.release()
      expect(await round(stores.retention.tombstones)).to.deep.equal([0])
      expect(await exists(gone)).to.equal(true)
    })

    it('are walked through a few at a time, past those that stay, and living sessions are not touched', async () => {
      await manySessions(stores, 12, { agent_id: `'nobody'` })
      await manySessions(stores, 25, {
        deleted_at: `now() - (n + 90) * interval '1 day'`,
        updated_at: OLD,
        reserved_on: `CASE WHEN n % 5 = 0 THEN 'away' END`,
      })
      const removed = await round(stores.retention.tombstones, 10)
      expect(removed).to.deep.equal([8, 8, 4])
      expect(await stores.ask('SELECT count(*)::int AS n FROM sessions')).to.deep.equal([{ n: 12 + 5 }])
    })
  })

  it('orphans leave a day after they went by themselves; what was removed stays as long as the brake counts it', async () => {
    const { agentId } = await anAgent(stores, { id: 'with-orphans' })
    const orphan = (state: string, seen: string, begun: string | null, ended: string | null) =>
      stores.ask(
        `INSERT INTO orphans (agent_id, session_id, generation, status, reason, state, first_seen_at, last_seen_at, removal_begun_at, ended_at)
         VALUES ($1, gen_random_uuid(), 1, 'running', 'unknown', '${state}', ${seen}, ${seen}, ${begun}, ${ended})`,
        agentId,
      )
    await orphan('gone', OLD, null, OLD)
    await orphan('removed', OLD, OLD, OLD)
    await orphan('gone', OLD, null, 'now()')
    await orphan('removed', OLD, `now() - interval '23 hours'`, 'now()')
    await orphan('seen', OLD, null, null)
    const removed = await round(stores.retention.orphans, 2)
    expect(removed.reduce((sum, one) => sum + one, 0)).to.equal(2)
    const left = await stores.ask('SELECT state FROM orphans ORDER BY id')
    expect(left.map(({ state }) => state)).to.deep.equal(['gone', 'removed', 'seen'])
  })

  it('what happened to an agent’s orphans leaves with time', async () => {
    const { agentId } = await anAgent(stores, { id: 'with-history' })
    for (const at of [OLD, 'now()'])
      await stores.ask(
        `INSERT INTO agent_events (agent_id, type, data, actor, at) VALUES ($1, 'orphans_seen', '{}', 'test', ${at})`,
        agentId,
      )
    expect(await round(stores.retention.agentEvents)).to.deep.equal([1])
  })

  describe('answers to an Idempotency-Key', () => {
    const someAnswers = (count: number, made: string, caller: string) =>
      stores.ask(
        `INSERT INTO idempotency_keys (org_id, caller, key_hash, fingerprint, status, created_at)
         SELECT 'acme', $1, int4send(n), '\\x00', 201, ${made} FROM generate_series(1, ${count}) n`,
        caller,
      )
    const left = async (): Promise<readonly unknown[]> =>
      stores.ask('SELECT caller, count(*) AS n FROM idempotency_keys GROUP BY caller ORDER BY caller')

    it('go after a day, a few at a time, as many as there are of one moment too, and the young stay', async () => {
      await someAnswers(25, OLD, 'of one moment')
      await someAnswers(7, `now() - interval '25 hours' - n * interval '1 minute'`, 'of several')
      await someAnswers(3, `now() - interval '23 hours'`, 'young')
      expect(await round(stores.retention.answers, 10)).to.deep.equal([10, 10, 10, 2])
      expect(await left()).to.deep.equal([{ caller: 'young', n: 3 }])
      expect(await round(stores.retention.answers, 10)).to.deep.equal([0])
    })

    it('that were made anew while the old one was seen stay', async () => {
      await someAnswers(1, OLD, 'key:1')
      const holder = await holding(stores.url, [
        `WITH old AS (DELETE FROM idempotency_keys RETURNING *)
         SELECT count(*) FROM old`,
      ])
      const walk = round(stores.retention.answers)
      await lockWaits(stores.ask, 1)
      await holder.release()
      expect(await walk).to.deep.equal([0])
      await someAnswers(1, 'now()', 'key:1')
      expect(await round(stores.retention.answers)).to.deep.equal([0])
      expect(await left()).to.deep.equal([{ caller: 'key:1', n: 1 }])
    })
  })

  describe('among many rows', () => {
    const ROWS = 50_000
    const AT_ONCE = 1_000

    it('is found by index: a step costs what it looks at, not what is there', async function () {
      this.timeout(120_000)
      await manySessions(stores, ROWS, { deleted_at: `CASE WHEN n % 2 = 0 THEN ${OLD} END`, updated_at: OLD })
      await manyCommands(stores, ROWS, { created_at: OLD, status: `'done'`, finished_at: OLD })
      await stores.ask(`INSERT INTO session_events (org_id, session_id, type, generation, data, actor, at)
                        SELECT 'acme', gen_random_uuid(), 'created', 1, '{}', 'test', ${OLD} FROM generate_series(1, ${ROWS})`)
      await stores.ask(`INSERT INTO idempotency_keys (org_id, caller, key_hash, fingerprint, status, created_at)
                        SELECT 'acme', 'key:1', int4send(n), '\\x00', 201, ${OLD} + n * interval '1 second' FROM generate_series(1, ${ROWS}) n`)
      await stores.ask('ANALYZE')
      const statements: readonly (readonly [string, string, readonly unknown[]])[] = [
        ['outbox', REMOVE_COMMANDS, ['0', AT_ONCE, DAY_MS]],
        ['session_events', REMOVE_EVENTS, ['0', '0', AT_ONCE, DAY_MS]],
        ['sessions', REMOVE_TOMBSTONES, ['-infinity', '00000000-0000-0000-0000-000000000000', AT_ONCE, DAY_MS]],
        ['idempotency_keys', REMOVE_ANSWERS, ['-infinity', AT_ONCE, DAY_MS]],
      ]
      for (const [table, text, values] of statements)
        for (const plan of ['custom', 'generic']) {
          const { scanned, buffers, text: shown } = await explain(stores.url, text, values, [planned(plan)])
          // Some tens of blocks of index and heap for each row that is removed, whatever the table's size.
          if (scanned.includes(table) || buffers > 40 * AT_ONCE) expect.fail(`${table}, ${buffers} buffers: ${shown}`)
        }
    })
  })
})
