import { expect } from 'chai'
import type { Peer } from '../../../domain/ports/agents.ts'
import type { CommandFate } from '../../../domain/ports/reports.ts'
import { hibernate, stop, update } from '../../../domain/session/decide.ts'
import {
  allocatedOn,
  anAgent,
  anIntent,
  aSessionOn,
  aWrite,
  commandIdOf,
  commandsOf,
  commit,
  connected,
  heldOn,
  ids,
  ofAcme,
  openStores,
  reported,
  right,
  type Stores,
  theSession,
} from '../../support/rows.ts'

describe('what agents report', () => {
  let stores: Stores
  before(async () => {
    stores = await openStores()
  })
  after(() => stores.close())

  const typesOf = async (sessionId: string) =>
    (await stores.ask('SELECT type FROM session_events WHERE session_id = $1 ORDER BY id', sessionId)).map(
      (row) => row.type,
    )

  it('is written for several sessions of several agents in one statement', async () => {
    const [first, second] = [await anAgent(stores, { id: 'several-1' }), await anAgent(stores, { id: 'several-2' })]
    const sessions = [
      { peer: first, session: await aSessionOn(stores, first.agentId), status: 'running' as const },
      { peer: first, session: await aSessionOn(stores, first.agentId), status: 'failed' as const },
      { peer: second, session: await aSessionOn(stores, second.agentId), status: 'starting' as const },
    ]
    const decisions = sessions.map(({ peer, session, status }) => ({ peer, decision: reported(session, peer, status) }))
    const written = await stores.reports.write(decisions.map(({ peer, decision }) => aWrite(peer, decision)))
    expect(written).to.deep.equal({ conflicts: new Set(), fenced: new Set() })
    for (const { decision } of decisions)
      expect(await theSession(stores, decision.session.id)).to.deep.equal(decision.session)
    expect(await Promise.all(sessions.map(({ session }) => typesOf(session.id)))).to.deep.equal([
      ['created', 'running'],
      ['created', 'failed'],
      ['created', 'starting'],
    ])
    for (const { agentId } of [first, second])
      expect(await allocatedOn(stores, agentId)).to.deep.equal(await heldOn(stores, agentId))
  })

  it('keeps everything that it says of the workload', async () => {
    const peer = await anAgent(stores, { id: 'observed' })
    const session = await aSessionOn(stores, peer.agentId)
    const running = reported(session, peer, 'running')
    const observed = {
      endpoint: { url: 'http://10.0.0.1:8080', host: '10.0.0.1', port: 8080, protocol: 'http', ports: [] },
      namespace: 'n',
      podName: 'p',
      serviceName: 's',
      containerId: 'c',
      node: 'host-1',
      image: 'i:1',
      imageDigest: 'sha256:0',
      restarts: 3,
      exitCode: 137,
      exitSignal: 'SIGKILL',
      lastOutput: 'the "end"\n\\of it',
    }
    const decision = { ...running, session: { ...running.session, observed } }
    await stores.reports.write([aWrite(peer, decision)])
    expect(await theSession(stores, session.id)).to.deep.equal(decision.session)
  })

  it('is refused for a row that someone else has changed, and the others are written', async () => {
    const peer = await anAgent(stores, { id: 'conflicts' })
    const [changed, other] = [await aSessionOn(stores, peer.agentId), await aSessionOn(stores, peer.agentId)]
    const renamed = await commit(stores, update(changed, { name: 'renamed' }, anIntent()))
    const commandId = await commandIdOf(stores, changed.id)
    const outcome = { commandId, fate: { status: 'done', error: null } as const }
    const { conflicts, fenced } = await stores.reports.write([
      aWrite(peer, reported(changed, peer, 'failed'), { outcomes: [outcome] }),
      aWrite(peer, reported(other, peer, 'running')),
    ])
    expect([conflicts, fenced]).to.deep.equal([new Set([changed.id]), new Set()])
    expect(await theSession(stores, changed.id)).to.deep.equal(renamed)
    expect((await theSession(stores, other.id)).status).to.equal('running')
    expect(await typesOf(changed.id)).to.deep.equal(['created', 'updated'])
    expect((await commandsOf(stores, changed.id))[0].status).to.equal('pending')
    expect(await allocatedOn(stores, peer.agentId)).to.deep.equal(await heldOn(stores, peer.agentId))
  })

  it('is refused under an epoch that has passed, wholly, and the others are written', async () => {
    const old = await anAgent(stores, { id: 'passed' })
    const fresh = await anAgent(stores, { id: 'present' })
    const [session, other] = [await aSessionOn(stores, old.agentId), await aSessionOn(stores, fresh.agentId)]
    await connected(stores, old.agentId)
    const outcomes = [
      { commandId: await commandIdOf(stores, session.id), fate: { status: 'done', error: null } as const },
    ]
    const { conflicts, fenced } = await stores.reports.write([
      aWrite(old, reported(session, old, 'failed'), { outcomes, doneUpTo: 1 }),
      aWrite(fresh, reported(other, fresh, 'running')),
    ])
    expect([conflicts, fenced]).to.deep.equal([new Set(), new Set([old.agentId])])
    expect(await theSession(stores, session.id)).to.deep.equal(session)
    expect((await commandsOf(stores, session.id))[0].status).to.equal('pending')
    expect(await typesOf(session.id)).to.deep.equal(['created'])
    expect((await theSession(stores, other.id)).status).to.equal('running')
  })

  it('of an agent that was removed is refused', async () => {
    const peer = await anAgent(stores, { id: 'removed' })
    const session = await aSessionOn(stores, peer.agentId)
    await stores.agents.remove(ofAcme(peer.agentId))
    const { fenced } = await stores.reports.write([aWrite(peer, reported(session, peer, 'running'))])
    expect(fenced).to.deep.equal(new Set([peer.agentId]))
  })

  it('gives capacity back once, however often it is said', async () => {
    const peer = await anAgent(stores, { id: 'once' })
    const session = await aSessionOn(stores, peer.agentId)
    const ended = aWrite(peer, reported(session, peer, 'failed'))
    await stores.reports.write([ended])
    expect((await stores.reports.write([ended])).conflicts).to.deep.equal(new Set([session.id]))
    expect(await allocatedOn(stores, peer.agentId)).to.deep.equal([0, 0, 0])
  })

  it('takes capacity again when what had failed runs after all', async () => {
    const peer = await anAgent(stores, { id: 'after-all' })
    const session = await aSessionOn(stores, peer.agentId)
    const failed = reported(session, peer, 'failed')
    await stores.reports.write([aWrite(peer, failed)])
    await stores.reports.write([aWrite(peer, reported(failed.session, peer, 'running'))])
    expect(await allocatedOn(stores, peer.agentId)).to.deep.equal([1, 500, 512])
    expect(await heldOn(stores, peer.agentId)).to.deep.equal([1, 500, 512])
  })

  describe('of commands', () => {
    const answered = async (name: string, fate: CommandFate) => {
      const peer = await anAgent(stores, { id: `fate-${name}` })
      const session = await aSessionOn(stores, peer.agentId)
      const commandId = await commandIdOf(stores, session.id)
      const write = { peer, sessionId: session.id, decision: null, outcomes: [{ commandId, fate }], doneUpTo: null }
      await stores.reports.write([write])
      const [row] = await commandsOf(stores, session.id)
      return { peer, session, commandId, row, write }
    }

    for (const status of ['done', 'superseded', 'failed', 'dead'] as const)
      it(`finishes the row as ${status}`, async () => {
        const error = status === 'failed' || status === 'dead' ? 'image_not_found: no such image' : null
        const { row, peer } = await answered(status, { status, error })
        expect(row).to.deep.include({ status, last_error: error, next_attempt_at: null, attempts: 1 })
        expect(row.finished_at).to.be.an.instanceOf(Date)
        expect(await stores.due(peer, 10, [])).to.deep.equal([])
      })

    it('lets the row back off when it may be tried again, and counts that once for each result', async () => {
      const fate = { status: 'pending', error: 'busy: try again', retryInMs: 60_000 } as const
      const { row, peer, session, commandId, write } = await answered('pending', fate)
      expect(row).to.deep.include({ status: 'pending', last_error: 'busy: try again', failures: 1, finished_at: null })
      expect(row.next_attempt_at - Date.now()).to.be.within(50_000, 61_000)
      expect(await stores.due(peer, 10, [])).to.deep.equal([])
      expect(await stores.reports.attempts([commandId])).to.deep.equal([{ commandId, failures: 1, generation: 1 }])
      await stores.reports.write([{ ...write, outcomes: [...write.outcomes, ...write.outcomes] }])
      expect((await commandsOf(stores, session.id))[0].failures).to.equal(2)
    })

    it('changes no row that is finished already', async () => {
      const { session, write, commandId } = await answered('finished', { status: 'done', error: null })
      await stores.reports.write([{ ...write, outcomes: [{ commandId, fate: { status: 'dead', error: 'late' } }] }])
      expect((await commandsOf(stores, session.id))[0]).to.deep.include({ status: 'done', last_error: null })
      expect(await stores.reports.attempts([commandId])).to.deep.equal([])
    })

    it('changes no row of another session or another agent', async () => {
      const [peer, other] = [await anAgent(stores, { id: 'mine' }), await anAgent(stores, { id: 'not-mine' })]
      const session = await aSessionOn(stores, peer.agentId)
      const neighbour = await aSessionOn(stores, peer.agentId)
      const strange = await aSessionOn(stores, other.agentId)
      const outcomes = await Promise.all(
        [neighbour, strange].map(async ({ id }) => ({
          commandId: await commandIdOf(stores, id),
          fate: { status: 'dead', error: 'not yours' } as const,
        })),
      )
      await stores.reports.write([{ peer, sessionId: session.id, decision: null, outcomes, doneUpTo: null }])
      for (const { id } of [neighbour, strange]) expect((await commandsOf(stores, id))[0].status).to.equal('pending')
    })

    it('that nobody sent changes nothing', async () => {
      const peer = await anAgent(stores, { id: 'nobody-sent' })
      const session = await aSessionOn(stores, peer.agentId)
      const outcomes = [{ commandId: ids.command(), fate: { status: 'done', error: null } as const }]
      const written = await stores.reports.write([
        { peer, sessionId: session.id, decision: null, outcomes, doneUpTo: null },
      ])
      expect(written).to.deep.equal({ conflicts: new Set(), fenced: new Set() })
      expect((await commandsOf(stores, session.id))[0].status).to.equal('pending')
    })

    it('are done up to the generation that an inventory has, and not beyond', async () => {
      const peer = await anAgent(stores, { id: 'up-to' })
      const session = await aSessionOn(stores, peer.agentId)
      const other = await aSessionOn(stores, peer.agentId)
      await commit(stores, right(stop(session, anIntent())))
      await stores.ask(`UPDATE outbox SET status = 'pending' WHERE session_id = $1`, session.id)
      await stores.reports.write([{ peer, sessionId: session.id, decision: null, outcomes: [], doneUpTo: 1 }])
      expect((await commandsOf(stores, session.id)).map((row) => row.status)).to.deep.equal(['done', 'pending'])
      expect((await commandsOf(stores, other.id)).map((row) => row.status)).to.deep.equal(['pending'])
    })
  })

  describe('redelivery', () => {
    it('makes the newest command due again, also one that was done, with its time anew', async () => {
      const peer = await anAgent(stores, { id: 'redeliver' })
      const session = await aSessionOn(stores, peer.agentId)
      await stores.ask(
        `UPDATE outbox SET status = 'done', finished_at = now(), acked_epoch = $2, unacked = 7, failures = 3,
                created_at = now() - interval '1 hour', expires_at = now() - interval '45 minutes' WHERE session_id = $1`,
        session.id,
        peer.epoch,
      )
      expect(await stores.reports.redeliver([session.id])).to.deep.equal([peer.agentId])
      const [row] = await commandsOf(stores, session.id)
      expect(row).to.deep.include({ status: 'pending', finished_at: null, acked_epoch: null, unacked: 0, failures: 0 })
      expect(row.expires_at - Date.now()).to.be.within(14 * 60_000, 15 * 60_000)
      expect(await stores.due(peer, 10, [])).to.have.length(1)
      expect(await stores.duties.giveUp(10)).to.deep.equal([])
    })

    it('makes one that backs off or was acked due again and keeps its count', async () => {
      const peer = await anAgent(stores, { id: 'redeliver-held' })
      const [acked, resting] = [await aSessionOn(stores, peer.agentId), await aSessionOn(stores, peer.agentId)]
      await stores.ask(`UPDATE outbox SET acked_epoch = $2, unacked = 7 WHERE session_id = $1`, acked.id, peer.epoch)
      await stores.ask(
        `UPDATE outbox SET next_attempt_at = now() + interval '1 hour' WHERE session_id = $1`,
        resting.id,
      )
      await stores.reports.redeliver([acked.id, resting.id])
      expect(await stores.due(peer, 10, [])).to.have.length(2)
      expect((await commandsOf(stores, acked.id))[0].unacked).to.equal(7)
    })

    it('leaves alone what an older generation asked, and what was given up', async () => {
      const peer = await anAgent(stores, { id: 'redeliver-not' })
      const session = await aSessionOn(stores, peer.agentId)
      await commit(stores, right(stop(session, anIntent())))
      await stores.ask(`UPDATE outbox SET status = 'dead' WHERE session_id = $1 AND generation = 2`, session.id)
      expect(await stores.reports.redeliver([session.id])).to.deep.equal([])
      expect((await commandsOf(stores, session.id)).map((row) => row.status)).to.deep.equal(['superseded', 'dead'])
    })
  })

  describe('activity', () => {
    it('moves forward only, never into the future, and only for the agent that has the session', async () => {
      const [peer, other] = [await anAgent(stores, { id: 'active' }), await anAgent(stores, { id: 'not-active' })]
      const session = await aSessionOn(stores, peer.agentId)
      const lastActivity = async () => Number((await theSession(stores, session.id)).lastActivityAt)
      const created = await lastActivity()
      const tell = (by: Peer, at: number) =>
        stores.reports.activity([{ sessionId: session.id, peer: by, at: new Date(at) }])

      expect(await tell(peer, created - 60_000)).to.deep.equal(['accepted'])
      expect(await tell(other, created + 1)).to.deep.equal(['not_yours'])
      expect(await tell({ ...peer, epoch: peer.epoch - 1 }, created + 1)).to.deep.equal(['fenced'])
      expect(await lastActivity()).to.equal(created)
      expect(await tell(peer, Date.now() + 3_600_000)).to.deep.equal(['accepted'])
      expect(await lastActivity()).to.be.within(created, Date.now() + 1_000)
    })

    it('does not raise the revision: it is in nobody’s way', async () => {
      const peer = await anAgent(stores, { id: 'no-conflict' })
      const session = await aSessionOn(stores, peer.agentId)
      await stores.reports.activity([{ sessionId: session.id, peer, at: new Date() }])
      await commit(stores, right(hibernate({ ...session, status: 'running' }, anIntent())))
    })
  })
})
