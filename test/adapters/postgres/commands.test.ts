import { expect } from 'chai'
import { E } from '../../../domain/fp.ts'
import type { CommandId } from '../../../domain/ids.ts'
import { cancel, redrive } from '../../../domain/outbox/intervene.ts'
import type { CommandView } from '../../../domain/ports/sessions.ts'
import { remove, stop } from '../../../domain/session/decide.ts'
import type { Session } from '../../../domain/session/session.ts'
import { holding, isFree, letGo, lockWaits } from '../../support/locks.ts'
import {
  acme,
  allocatedOn,
  anAgent,
  anIntent,
  aSessionOn,
  aWrite,
  commandIdOf,
  commandsOf,
  commit,
  connected,
  globex,
  heldOn,
  openStores,
  PLENTY,
  reported,
  right,
  TTL_MS,
  theSession,
  timeouts,
} from '../../support/rows.ts'

describe('commands in an operator’s hands', () => {
  let stores: Awaited<ReturnType<typeof openStores>>
  before(async () => {
    stores = await openStores()
  })
  afterEach(letGo)
  after(() => stores.close())

  const operation = () => ({ actor: 'user:anna', at: new Date(), timeouts })
  const theCommand = async (session: Session): Promise<CommandView> => {
    const command = await stores.commands.get(acme, await commandIdOf(stores, session.id))
    return command ?? expect.fail('a session has a command')
  }
  const redriven = async (session: Session) =>
    right(redrive(await theSession(stores, session.id), await theCommand(session), operation()))
  const cancelled = async (session: Session) =>
    right(cancel(await theSession(stores, session.id), await theCommand(session), operation()))
  const typesOf = async (session: Session) =>
    (await stores.ask('SELECT type FROM session_events WHERE session_id = $1 ORDER BY id', session.id)).map(
      ({ type }) => type,
    )

  /** Its start went unanswered too often, and the sweep has told it so. */
  const givenUp = async (session: Session, status: 'dead' | 'expired' = 'dead'): Promise<Session> => {
    await stores.ask(
      `UPDATE outbox SET status = $2, finished_at = now(), unacked = 20, failures = 3, last_error = 'no ack'
        WHERE session_id = $1 AND status = 'pending'`,
      session.id,
      status,
    )
    await stores.ask(
      `UPDATE sessions SET status = 'failed', status_reason = 'delivery_failed', waiting_since = NULL,
              status_deadline = NULL, revision = revision + 1 WHERE id = $1`,
      session.id,
    )
    return theSession(stores, session.id)
  }

  const sound = async (agentId: Session['agentId']) => {
    if (agentId === null) return
    expect(await allocatedOn(stores, agentId)).to.deep.equal(await heldOn(stores, agentId))
  }

  it('are read within their org, and by a user only if the session is the user’s', async () => {
    const { agentId } = await anAgent(stores, { id: 'read' })
    const session = await aSessionOn(stores, agentId)
    const id = await commandIdOf(stores, session.id)
    expect((await stores.commands.get(acme, id))?.sessionId).to.equal(session.id)
    expect((await stores.commands.get({ ...acme, ownerId: session.userId }, id))?.id).to.equal(id)
    expect(await stores.commands.get({ ...acme, ownerId: 'ben' as Session['userId'] }, id)).to.equal(null)
    expect(await stores.commands.get(globex, id)).to.equal(null)
    expect(await stores.commands.get(acme, '01890a5d-ac96-774b-bcce-b302099a8057' as CommandId)).to.equal(null)
  })

  for (const fate of ['dead', 'expired'] as const)
    it(`that are ${fate} and redriven are due again with a fresh time and fresh attempts`, async () => {
      const peer = await anAgent(stores, { id: `redriven-${fate}` })
      const session = await aSessionOn(stores, peer.agentId)
      await givenUp(session, fate)
      expect(await stores.due(peer, 10, [])).to.deep.equal([])
      const change = await redriven(session)
      expect(await stores.commands.change(change)).to.deep.equal(E.right(undefined))
      expect((await stores.due(peer, 10, [])).map(({ commandId }) => commandId)).to.deep.equal([change.command.id])
      const [row] = await commandsOf(stores, session.id)
      expect(row).to.deep.include({ status: 'pending', unacked: 0, failures: 0, finished_at: null })
      expect(row.expires_at.getTime()).to.equal(change.decision.session.updatedAt.getTime() + TTL_MS)
      expect(await theSession(stores, session.id)).to.deep.equal(change.decision.session)
      expect((await typesOf(session)).at(-1)).to.equal('command_redriven')
      await sound(peer.agentId)
    })

  it('that never expire do not expire because they are redriven', async () => {
    const { agentId } = await anAgent(stores, { id: 'no-expiry' })
    const session = await aSessionOn(stores, agentId)
    await commit(stores, right(stop(session, anIntent())))
    await givenUp(session)
    await stores.commands.change(await redriven(session))
    expect((await commandsOf(stores, session.id)).at(-1)).to.deep.include({ status: 'pending', expires_at: null })
    expect((await theSession(stores, session.id)).status).to.equal('stopping')
  })

  it('take the capacity again that was given back, or change nothing when it is not there', async () => {
    const peer = await anAgent(stores, { id: 'room-again', capacity: { ...PLENTY, maxSessions: 1 } })
    const session = await aSessionOn(stores, peer.agentId)
    const failed = await givenUp(session)
    const released = { ...failed, reservedOn: null, revision: failed.revision + 1 }
    await stores.reports.write([aWrite(peer, { previous: failed, session: released, events: [], command: null }, {})])
    const other = await aSessionOn(stores, peer.agentId)

    const refused = await stores.commands.change(await redriven(session))
    expect(refused).to.deep.equal(E.left({ _tag: 'NotReserved', agentId: peer.agentId }))
    expect(await theSession(stores, session.id)).to.deep.equal(released)
    expect((await commandsOf(stores, session.id))[0].status).to.equal('dead')
    await sound(peer.agentId)

    await stores.reports.write([aWrite(peer, reported(other, peer, 'failed'))])
    expect(await stores.commands.change(await redriven(session))).to.deep.equal(E.right(undefined))
    expect(await theSession(stores, session.id)).to.deep.include({ status: 'scheduling', reservedOn: peer.agentId })
    await sound(peer.agentId)
  })

  it('that are cancelled leave what is due, and their session waits no longer', async () => {
    const peer = await anAgent(stores, { id: 'cancelled' })
    const session = await aSessionOn(stores, peer.agentId)
    const change = await cancelled(session)
    expect(await stores.commands.change(change)).to.deep.equal(E.right(undefined))
    expect(await stores.due(peer, 10, [])).to.deep.equal([])
    const [row] = await commandsOf(stores, session.id)
    expect(row).to.deep.include({ status: 'cancelled', last_error: 'cancelled by user:anna' })
    expect(row.finished_at).to.be.instanceOf(Date)
    expect(await theSession(stores, session.id)).to.deep.equal(change.decision.session)
    expect((await typesOf(session)).at(-1)).to.equal('command_cancelled')
    await sound(peer.agentId)
  })

  it('that were cancelled stay so on a new connection and whatever an inventory says', async () => {
    const peer = await anAgent(stores, { id: 'stays-cancelled' })
    const session = await aSessionOn(stores, peer.agentId)
    await stores.commands.change(await cancelled(session))
    const again = await connected(stores, peer.agentId)
    expect(await stores.reports.redeliver([session.id], again)).to.deep.equal([])
    expect(await stores.due(again, 10, [])).to.deep.equal([])
  })

  it('that were given up or cancelled are due again for what is left of a session that is gone', async () => {
    const peer = await anAgent(stores, { id: 'left-over' })
    for (const status of ['dead', 'cancelled']) {
      const session = await aSessionOn(stores, peer.agentId)
      await commit(stores, right(remove(session, anIntent())))
      await stores.ask(`UPDATE sessions SET deleted_at = now() WHERE id = $1`, session.id)
      await stores.ask(`UPDATE outbox SET status = $2 WHERE session_id = $1 AND status = 'pending'`, session.id, status)
      expect(await stores.reports.redeliver([session.id], peer)).to.deep.equal([peer.agentId])
      expect((await commandsOf(stores, session.id)).at(-1)?.status).to.equal('pending')
    }
  })

  describe('that are redriven take their locks in the order of all writers', () => {
    const order = ['agents', 'sessions', 'outbox'] as const
    for (const [index, at] of order.entries())
      it(`held at ${at}, it has ${order.slice(0, index).join(', ') || 'nothing'} and nothing beyond`, async () => {
        const { agentId } = await anAgent(stores, { id: `locks-${at}` })
        const session = await aSessionOn(stores, agentId)
        await givenUp(session)
        await stores.ask('UPDATE sessions SET reserved_on = NULL WHERE id = $1', session.id)
        const change = await redriven(session)
        const keys = { agents: agentId, sessions: session.id, outbox: change.command.id } as const
        const columns = { agents: 'id', sessions: 'id', outbox: 'command_id' } as const
        const held = await holding(stores.url, [`SELECT FROM ${at} WHERE ${columns[at]} = $1 FOR UPDATE`, keys[at]])
        const changing = stores.commands.change(change)
        await lockWaits(stores.ask, 1)
        const free = await Promise.all(order.map((place) => isFree(stores.url, place, columns[place], keys[place])))
        expect(free).to.deep.equal(order.map((_, place) => place > index))
        await held.release()
        expect(await changing).to.deep.equal(E.right(undefined))
      })
  })

  describe('that meet something else', () => {
    it('are cancelled once: the second of two has to decide again', async () => {
      const { agentId } = await anAgent(stores, { id: 'twice' })
      const session = await aSessionOn(stores, agentId)
      const row = await holding(stores.url, ['SELECT FROM outbox WHERE session_id = $1 FOR UPDATE', session.id])
      const change = await cancelled(session)
      const first = stores.commands.change(change)
      await lockWaits(stores.ask, 1)
      const second = stores.commands.change(change)
      await lockWaits(stores.ask, 2)
      await row.release()
      expect([await first, await second]).to.deep.equal([E.right(undefined), E.left({ _tag: 'Conflict' })])
      expect((await typesOf(session)).filter((type) => type === 'command_cancelled')).to.have.length(1)
    })

    it('are redriven once, and the capacity is taken once', async () => {
      const { agentId } = await anAgent(stores, { id: 'redriven-twice' })
      const session = await aSessionOn(stores, agentId)
      await givenUp(session)
      await stores.ask('UPDATE sessions SET reserved_on = NULL WHERE id = $1', session.id)
      await stores.ask(
        'UPDATE agents SET allocated_sessions = 0, allocated_cpu_millis = 0, allocated_memory_mib = 0 WHERE id = $1',
        agentId,
      )
      const row = await holding(stores.url, ['SELECT FROM outbox WHERE session_id = $1 FOR UPDATE', session.id])
      const change = await redriven(session)
      const first = stores.commands.change(change)
      await lockWaits(stores.ask, 1)
      const second = stores.commands.change(change)
      await lockWaits(stores.ask, 2)
      await row.release()
      expect([await first, await second]).to.deep.equal([E.right(undefined), E.left({ _tag: 'Conflict' })])
      expect((await allocatedOn(stores, agentId))[0]).to.equal(1)
      await sound(agentId)
    })

    it('are not cancelled when their result comes first', async () => {
      const peer = await anAgent(stores, { id: 'result-first' })
      const session = await aSessionOn(stores, peer.agentId)
      const change = await cancelled(session)
      const row = await holding(stores.url, ['SELECT FROM outbox WHERE session_id = $1 FOR UPDATE', session.id])
      const outcomes = [{ commandId: change.command.id as CommandId, fate: { status: 'done', error: null } as const }]
      const writing = stores.reports.write([aWrite(peer, reported(session, peer, 'running'), { outcomes })])
      await lockWaits(stores.ask, 1)
      const cancelling = stores.commands.change(change)
      await lockWaits(stores.ask, 2)
      await row.release()
      await writing
      expect(await cancelling).to.deep.equal(E.left({ _tag: 'Conflict' }))
      expect((await theSession(stores, session.id)).status).to.equal('running')
      expect((await commandsOf(stores, session.id))[0].status).to.equal('done')
      expect(
        cancel(await theSession(stores, session.id), await theCommand(session), operation()),
      ).to.have.nested.property('left._tag', 'CommandNotCancellable')
    })

    it('keep the fate of being cancelled when their result comes second, and the session shows what is', async () => {
      const peer = await anAgent(stores, { id: 'result-second' })
      const session = await aSessionOn(stores, peer.agentId)
      const change = await cancelled(session)
      const outcomes = [{ commandId: change.command.id as CommandId, fate: { status: 'done', error: null } as const }]
      const row = await holding(stores.url, ['SELECT FROM outbox WHERE session_id = $1 FOR UPDATE', session.id])
      const cancelling = stores.commands.change(change)
      await lockWaits(stores.ask, 1)
      const writing = stores.reports.write([aWrite(peer, reported(session, peer, 'running'), { outcomes })])
      await lockWaits(stores.ask, 2)
      await row.release()
      await cancelling
      expect((await writing).conflicts).to.deep.equal(new Set([session.id]))
      const fresh = await theSession(stores, session.id)
      expect(fresh.status).to.equal('failed')
      await stores.reports.write([aWrite(peer, reported(fresh, peer, 'running'), { outcomes })])
      expect((await theSession(stores, session.id)).status).to.equal('running')
      expect((await commandsOf(stores, session.id))[0].status).to.equal('cancelled')
      await sound(peer.agentId)
    })

    it('are not noted as received once they are cancelled', async () => {
      const peer = await anAgent(stores, { id: 'ack-late' })
      const session = await aSessionOn(stores, peer.agentId)
      const change = await cancelled(session)
      const row = await holding(stores.url, ['SELECT FROM outbox WHERE session_id = $1 FOR UPDATE', session.id])
      const cancelling = stores.commands.change(change)
      await lockWaits(stores.ask, 1)
      const now = new Date()
      const commandId = change.command.id as CommandId
      const noting = stores.outbox.note([{ ...peer, commandId, sentAt: now, ackedAt: now, unacked: 0 }])
      await lockWaits(stores.ask, 2)
      await row.release()
      await Promise.all([cancelling, noting])
      expect((await commandsOf(stores, session.id))[0]).to.deep.include({ status: 'cancelled', acked_epoch: null })
    })

    it('are cancelled also when the note of their ack comes first', async () => {
      const peer = await anAgent(stores, { id: 'ack-first' })
      const session = await aSessionOn(stores, peer.agentId)
      const change = await cancelled(session)
      const row = await holding(stores.url, ['SELECT FROM outbox WHERE session_id = $1 FOR UPDATE', session.id])
      const now = new Date()
      const commandId = change.command.id as CommandId
      const noting = stores.outbox.note([{ ...peer, commandId, sentAt: now, ackedAt: now, unacked: 0 }])
      await lockWaits(stores.ask, 1)
      const cancelling = stores.commands.change(change)
      await lockWaits(stores.ask, 2)
      await row.release()
      await noting
      expect(await cancelling).to.deep.equal(E.right(undefined))
      expect((await commandsOf(stores, session.id))[0].status).to.equal('cancelled')
    })

    it('are given up or cancelled, not both', async () => {
      const { agentId } = await anAgent(stores, { id: 'given-up-first' })
      const session = await aSessionOn(stores, agentId)
      const change = await cancelled(session)
      const givingUp = await holding(stores.url, [
        `UPDATE outbox SET status = 'expired', finished_at = now() WHERE session_id = $1`,
        session.id,
      ])
      const cancelling = stores.commands.change(change)
      await lockWaits(stores.ask, 1)
      await givingUp.release()
      expect(await cancelling).to.deep.equal(E.left({ _tag: 'Conflict' }))
      expect(await theSession(stores, session.id)).to.deep.equal(session)
      expect((await commandsOf(stores, session.id))[0].status).to.equal('expired')
    })

    it('are superseded by an intent that commits first, and redriven no more', async () => {
      const { agentId } = await anAgent(stores, { id: 'intent-first' })
      const failed = await givenUp(await aSessionOn(stores, agentId))
      const change = await redriven(failed)
      const row = await holding(stores.url, ['SELECT FROM sessions WHERE id = $1 FOR UPDATE', failed.id])
      const stopping = commit(stores, right(stop(failed, anIntent())))
      await lockWaits(stores.ask, 1)
      const redriving = stores.commands.change(change)
      await lockWaits(stores.ask, 2)
      await row.release()
      await stopping
      expect(await redriving).to.deep.equal(E.left({ _tag: 'Conflict' }))
      expect((await commandsOf(stores, failed.id)).map(({ status }) => status)).to.deep.equal(['dead', 'pending'])
    })

    it('are superseded by an intent that commits second: one of them is left', async () => {
      const { agentId } = await anAgent(stores, { id: 'intent-second' })
      const failed = await givenUp(await aSessionOn(stores, agentId))
      const change = await redriven(failed)
      const row = await holding(stores.url, ['SELECT FROM outbox WHERE session_id = $1 FOR UPDATE', failed.id])
      const redriving = stores.commands.change(change)
      await lockWaits(stores.ask, 1)
      const stopping = stores.unitOfWork.commit(right(stop(failed, anIntent())))
      await lockWaits(stores.ask, 2)
      await row.release()
      expect([await redriving, await stopping]).to.deep.equal([E.right(undefined), E.left({ _tag: 'Conflict' })])
      await commit(stores, right(stop(await theSession(stores, failed.id), anIntent())))
      expect((await commandsOf(stores, failed.id)).map(({ status }) => status)).to.deep.equal(['superseded', 'pending'])
    })
  })
})
