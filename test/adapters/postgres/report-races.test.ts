import { expect } from 'chai'
import pg from 'pg'
import { type Database, openDatabase } from '../../../adapters/postgres/pool.ts'
import { E } from '../../../domain/fp.ts'
import type { ReportStore } from '../../../domain/ports/reports.ts'
import { stop } from '../../../domain/session/decide.ts'
import { holding, isFree, letGo, lockWaits } from '../../support/locks.ts'
import {
  allocatedOn,
  anAgent,
  anIntent,
  aSessionOn,
  aWrite,
  commandIdOf,
  commandsOf,
  connected,
  openStores,
  reported,
  right,
  storesOver,
  theSession,
} from '../../support/rows.ts'

describe('reports that meet something else', () => {
  let stores: Awaited<ReturnType<typeof openStores>>
  before(async () => {
    stores = await openStores()
  })
  afterEach(letGo)
  after(() => stores.close())

  describe('a new connection', () => {
    it('fences a batch that began before it and had to wait for it', async () => {
      const peer = await anAgent(stores, { id: 'fences' })
      const session = await aSessionOn(stores, peer.agentId)
      const outcomes = [
        { commandId: await commandIdOf(stores, session.id), fate: { status: 'done', error: null } as const },
      ]
      const connecting = await holding(stores.url, [
        'UPDATE agent_leases SET epoch = epoch + 1 WHERE agent_id = $1',
        peer.agentId,
      ])
      const writing = stores.reports.write([aWrite(peer, reported(session, peer, 'failed'), { outcomes, doneUpTo: 1 })])
      await lockWaits(stores.ask, 1)
      await connecting.release()
      expect((await writing).fenced).to.deep.equal(new Set([peer.agentId]))
      expect(await theSession(stores, session.id)).to.deep.equal(session)
      expect((await commandsOf(stores, session.id))[0].status).to.equal('pending')
      expect((await allocatedOn(stores, peer.agentId))[0]).to.equal(1)
    })

    it('waits for a batch of the old one, and what the new one says comes after it', async () => {
      const old = await anAgent(stores, { id: 'waits' })
      const session = await aSessionOn(stores, old.agentId)
      const inTheWay = await holding(stores.url, ['SELECT FROM sessions WHERE id = $1 FOR UPDATE', session.id])
      const writing = stores.reports.write([aWrite(old, reported(session, old, 'running'))])
      await lockWaits(stores.ask, 1)
      const connecting = connected(stores, old.agentId)
      await lockWaits(stores.ask, 2)
      await inTheWay.release()
      expect((await writing).fenced).to.deep.equal(new Set())
      const fresh = await connecting
      const running = await theSession(stores, session.id)
      expect(running.status).to.equal('running')

      const late = await stores.reports.write([aWrite(old, reported(running, old, 'failed'))])
      expect(late.fenced).to.deep.equal(new Set([old.agentId]))
      await stores.reports.write([aWrite(fresh, reported(running, fresh, 'failed'))])
      expect((await theSession(stores, session.id)).status).to.equal('failed')
    })

    it('makes due what the old one acked while the new one waited for it', async () => {
      const old = await anAgent(stores, { id: 'acked-meanwhile' })
      const session = await aSessionOn(stores, old.agentId)
      const noting = await holding(
        stores.url,
        ['SELECT FROM agent_leases WHERE agent_id = $1 FOR SHARE', old.agentId],
        ['UPDATE outbox SET acked_epoch = $2 WHERE session_id = $1', session.id, old.epoch],
      )
      const connecting = connected(stores, old.agentId)
      await lockWaits(stores.ask, 1)
      await noting.release()
      const due = await stores.due(await connecting, 10, [])
      expect(due.map((command) => command.sessionId)).to.deep.equal([session.id])
    })

    it('keeps a note of the old one from taking a command out of what is due', async () => {
      const old = await anAgent(stores, { id: 'note-fenced' })
      const session = await aSessionOn(stores, old.agentId)
      const commandId = await commandIdOf(stores, session.id)
      const connecting = await holding(stores.url, [
        'UPDATE agent_leases SET epoch = epoch + 1 WHERE agent_id = $1',
        old.agentId,
      ])
      const now = new Date()
      const noting = stores.outbox.note([{ ...old, commandId, sentAt: now, ackedAt: now, unacked: 0 }])
      await lockWaits(stores.ask, 1)
      await connecting.release()
      await noting
      expect(await stores.due({ ...old, epoch: old.epoch + 1 }, 10, [])).to.have.length(1)
    })
  })

  describe('an intent', () => {
    it('that commits while a report waits for the row wins, and the report has to decide again', async () => {
      const peer = await anAgent(stores, { id: 'intent-wins' })
      const session = await aSessionOn(stores, peer.agentId)
      const intent = await holding(stores.url, [
        `UPDATE sessions SET revision = revision + 1, name = 'theirs' WHERE id = $1`,
        session.id,
      ])
      const writing = stores.reports.write([aWrite(peer, reported(session, peer, 'failed'))])
      await lockWaits(stores.ask, 1)
      await intent.release()
      expect((await writing).conflicts).to.deep.equal(new Set([session.id]))
      expect(await theSession(stores, session.id)).to.deep.include({ name: 'theirs', status: 'scheduling' })
      expect((await allocatedOn(stores, peer.agentId))[0]).to.equal(1)
    })

    it('takes capacity while a report that gives some back waits, and neither is lost', async () => {
      const peer = await anAgent(stores, { id: 'neither-lost' })
      const session = await aSessionOn(stores, peer.agentId)
      const reserving = await holding(stores.url, [
        `UPDATE agents SET allocated_sessions = allocated_sessions + 1, allocated_cpu_millis = allocated_cpu_millis + 7
          WHERE id = $1`,
        peer.agentId,
      ])
      const writing = stores.reports.write([aWrite(peer, reported(session, peer, 'failed'))])
      await lockWaits(stores.ask, 1)
      await reserving.release()
      await writing
      expect(await allocatedOn(stores, peer.agentId)).to.deep.equal([1, 7, 0])
    })

    it('that waits while a command is redelivered that was done has to decide again', async () => {
      const peer = await anAgent(stores, { id: 'redelivered-first' })
      const session = await aSessionOn(stores, peer.agentId)
      await stores.ask(`UPDATE outbox SET status = 'done' WHERE session_id = $1`, session.id)
      const row = await holding(stores.url, ['SELECT FROM outbox WHERE session_id = $1 FOR UPDATE', session.id])
      const redelivering = stores.reports.redeliver([session.id])
      await lockWaits(stores.ask, 1)
      const stopping = stores.unitOfWork.commit(right(stop(session, anIntent())))
      await lockWaits(stores.ask, 2)
      await row.release()
      expect(await redelivering).to.deep.equal([peer.agentId])
      expect(await stopping).to.deep.equal(E.left({ _tag: 'Conflict' }))
      const fresh = await theSession(stores, session.id)
      expect(await stores.unitOfWork.commit(right(stop(fresh, anIntent())))).to.deep.equal(E.right(undefined))
      expect((await commandsOf(stores, session.id)).map((command) => command.status)).to.deep.equal([
        'superseded',
        'pending',
      ])
    })

    it('that is being committed keeps an older command from being redelivered', async () => {
      const peer = await anAgent(stores, { id: 'redelivered-meanwhile' })
      const session = await aSessionOn(stores, peer.agentId)
      const row = await holding(stores.url, ['SELECT FROM sessions WHERE id = $1 FOR UPDATE', session.id])
      const stopping = stores.unitOfWork.commit(right(stop(session, anIntent())))
      await lockWaits(stores.ask, 1)
      const redelivering = stores.reports.redeliver([session.id])
      await lockWaits(stores.ask, 2)
      await row.release()
      await Promise.all([stopping, redelivering])
      expect((await commandsOf(stores, session.id)).map((command) => command.status)).to.deep.equal([
        'superseded',
        'pending',
      ])
    })
  })

  for (const plan of ['custom', 'generic'] as const)
    describe(`locks, with ${plan} plans`, () => {
      let planned: Database
      let reports: ReportStore
      before(() => {
        planned = openDatabase({ url: `${stores.url}?options=-c%20plan_cache_mode%3Dforce_${plan}_plan` })
        reports = storesOver(planned).reports
      })
      after(() => planned.close())

      type Place = 'agent_leases' | 'agents' | 'sessions' | 'outbox'
      const order: readonly Place[] = ['agent_leases', 'agents', 'sessions', 'outbox']

      /** A write that touches all four; held at one of them, it has those before and none of those after. */
      for (const [index, at] of order.entries())
        it(`held at ${at}, a write has ${order.slice(0, index).join(', ') || 'nothing'} and nothing beyond`, async () => {
          const peer = await anAgent(stores, { id: `locks-${at}-${plan}` })
          const session = await aSessionOn(stores, peer.agentId)
          const commandId = await commandIdOf(stores, session.id)
          const keys: { readonly [P in Place]: readonly [string, string] } = {
            agent_leases: ['agent_id', peer.agentId],
            agents: ['id', peer.agentId],
            sessions: ['id', session.id],
            outbox: ['command_id', commandId],
          }
          const held = await holding(stores.url, [
            `SELECT FROM ${at} WHERE ${keys[at][0]} = $1 FOR UPDATE`,
            keys[at][1],
          ])
          const outcomes = [{ commandId, fate: { status: 'failed', error: 'no' } as const }]
          const writing = reports.write([aWrite(peer, reported(session, peer, 'failed'), { outcomes })])
          await lockWaits(stores.ask, 1)
          const free = await Promise.all(order.map((place) => isFree(stores.url, place, ...keys[place])))
          expect(free).to.deep.equal(order.map((_, place) => place > index))
          await held.release()
          expect(await writing).to.deep.equal({ conflicts: new Set(), fenced: new Set() })
        })

      for (const place of ['sessions', 'outbox'] as const)
        it(`on ${place} are taken in the order of their ids, in whatever order the reports came`, async () => {
          const peer = await anAgent(stores, { id: `by-id-${place}-${plan}` })
          const sessions = [1, 2, 3].map(() => aSessionOn(stores, peer.agentId))
          const known = (await Promise.all(sessions)).toSorted((a, b) => (a.id < b.id ? -1 : 1))
          const rows = await stores.ask(
            'SELECT id, command_id, session_id FROM outbox WHERE agent_id = $1 ORDER BY id',
            peer.agentId,
          )
          const inOrder = place === 'sessions' ? known.map(({ id }) => id) : rows.map((row) => row.id)
          const held = await holding(stores.url, [`SELECT FROM ${place} WHERE id = $1 FOR UPDATE`, inOrder[1]])
          const commandOf = new Map(rows.map((row) => [row.session_id, row.command_id]))
          const writing = reports.write(
            [known[2]!, known[0]!, known[1]!].map((session) =>
              aWrite(peer, reported(session, peer, 'running'), {
                outcomes: [{ commandId: commandOf.get(session.id), fate: { status: 'done', error: null } }],
              }),
            ),
          )
          await lockWaits(stores.ask, 1)
          const free = await Promise.all(inOrder.map((id) => isFree(stores.url, place, 'id', id)))
          expect(free).to.deep.equal([false, false, true])
          await held.release()
          await writing
        })
    })

  describe('a deadlock', () => {
    it('with someone who keeps to no order is no error: the statement is run again', async () => {
      const peer = await anAgent(stores, { id: 'deadlock' })
      const sessions = await Promise.all([1, 2, 3].map(() => aSessionOn(stores, peer.agentId)))
      const inOrder = sessions.toSorted((a, b) => (a.id < b.id ? -1 : 1))
      const [first, second, third] = inOrder.map(({ id }) => id)
      // Who has waited for its deadlock_timeout looks for a deadlock, once, and gives way: that is to be ours.
      const impatient = openDatabase({ url: `${stores.url}?options=-c%20deadlock_timeout%3D30ms` })
      const { reports } = storesOver(impatient)
      const lock = 'SELECT FROM sessions WHERE id = $1 FOR UPDATE'
      /** Whether it was ours that gave way. */
      const meet = async (): Promise<boolean> => {
        const disorderly = new pg.Client({ connectionString: stores.url, options: '-c deadlock_timeout=3s' })
        await disorderly.connect()
        await disorderly.query('BEGIN')
        await disorderly.query(lock, [third])
        const inBetween = await holding(stores.url, [lock, second])
        const writing = reports.write(inOrder.map((session) => aWrite(peer, reported(session, peer, 'running'))))
        await lockWaits(stores.ask, 1)
        const asking = disorderly.query(lock, [first]).then(
          () => true,
          (error: { code?: string }) => {
            if (error.code === '40P01') return false
            throw error
          },
        )
        await lockWaits(stores.ask, 2)
        await inBetween.release()
        const ours = await asking
        await disorderly.query('ROLLBACK')
        await disorderly.end()
        expect(await writing).to.deep.equal({ conflicts: new Set(), fenced: new Set() })
        return ours
      }
      // Ours, run again, can have the first row before the other one is awake, and looks too early then.
      let ours = false
      for (let tries = 0; !ours && tries < 5; tries += 1) ours = await meet()
      expect(ours).to.equal(true)
      for (const { id } of inOrder) expect((await theSession(stores, id)).status).to.equal('running')
      await impatient.close()
    })
  })
})
