import { expect } from 'chai'
import { createOutbox } from '../../../adapters/postgres/outbox.ts'
import { createSealer } from '../../../adapters/secrets/sealer.ts'
import type { DeliveryNote } from '../../../domain/ports/delivery.ts'
import { stop } from '../../../domain/session/decide.ts'
import {
  ACME,
  ANNA,
  aCreation,
  agentNamed,
  anAgent,
  anIntent,
  aSessionOn,
  commandIdOf,
  commandsOf,
  commit,
  connected,
  on,
  openStores,
  right,
  type Stores,
  timeouts,
} from '../../support/rows.ts'

describe('the outbox', () => {
  let stores: Stores
  before(async () => {
    stores = await openStores()
  })
  after(() => stores.close())

  const aNote = async (
    peer: { agentId: DeliveryNote['agentId']; epoch: number },
    sessionId: Parameters<typeof commandIdOf>[1],
    overrides: Partial<DeliveryNote> = {},
  ): Promise<DeliveryNote> => ({
    ...peer,
    commandId: await commandIdOf(stores, sessionId),
    sentAt: new Date(),
    ackedAt: null,
    unacked: 0,
    ...overrides,
  })

  describe('what is due', () => {
    it('is read in the order of the lane, up to the limit, without what is in flight', async () => {
      const peer = await anAgent(stores, { id: 'in-order' })
      const sessions = []
      for (let n = 0; n < 5; n += 1) sessions.push(await aSessionOn(stores, peer.agentId))
      const all = await stores.due(peer, 10, [])
      expect(all.map(({ sessionId }) => sessionId)).to.deep.equal(sessions.map(({ id }) => id))
      const inFlight = [all[0]!.id, all[2]!.id]
      const some = await stores.due(peer, 2, inFlight)
      expect(some.map(({ id }) => id)).to.deep.equal([all[1]!.id, all[3]!.id])
      const later = await stores.due(peer, 2, [], all[1]!.id)
      expect(later.map(({ id }) => id)).to.deep.equal([all[2]!.id, all[3]!.id])
    })

    it('carries everything that its frame has to say', async () => {
      const peer = await anAgent(stores, { id: 'carries' })
      const session = await aSessionOn(stores, peer.agentId, { name: 'mine', env: { A: '1' }, persistentHome: false })
      const [command] = await stores.due(peer, 1, [])
      const [row] = await commandsOf(stores, session.id)
      expect(command).to.deep.equal({
        id: row.id,
        commandId: row.command_id,
        agentId: peer.agentId,
        sessionId: session.id,
        generation: 1,
        type: 'start_session',
        attempts: 0,
        expiresAt: row.expires_at,
        desired: {
          state: 'running',
          incarnation: 0,
          spec: { ...session.spec, env: { A: '1' }, startTimeoutSeconds: 300 },
          persistentHome: false,
          orgId: ACME,
          userId: ANNA,
          name: 'mine',
          template: { name: 'hello-web', version: 1 },
        },
      })
    })

    it('is nothing for a connection that is not the agent’s any more, and nothing for an unknown one', async () => {
      const old = await anAgent(stores, { id: 'old-reads' })
      await aSessionOn(stores, old.agentId)
      await connected(stores, old.agentId)
      expect(await stores.due(old, 10, [])).to.deep.equal([])
      expect(await stores.due({ agentId: agentNamed('unknown'), epoch: 1 }, 10, [])).to.deep.equal([])
    })

    it('is nothing that is finished, acked or resting, and nothing of another agent', async () => {
      const [peer, other] = [await anAgent(stores, { id: 'reads' }), await anAgent(stores, { id: 'other-reads' })]
      await aSessionOn(stores, other.agentId)
      const changes = [
        `status = 'done'`,
        `status = 'superseded'`,
        `status = 'dead'`,
        `acked_epoch = 1`,
        `next_attempt_at = now() + interval '1 second'`,
        // Over, but nobody has ended it: the sweep does.
        `next_attempt_at = now() - interval '1 second'`,
      ]
      for (const change of changes) {
        const session = await aSessionOn(stores, peer.agentId)
        await stores.ask(`UPDATE outbox SET ${change} WHERE session_id = $1`, session.id)
      }
      const due = await aSessionOn(stores, peer.agentId)
      expect((await stores.due(peer, 10, [])).map(({ sessionId }) => sessionId)).to.deep.equal([due.id])
    })

    it('finds a lower id that was committed after a higher one', async () => {
      const peer = await anAgent(stores, { id: 'late-commit' })
      const [early, late] = [await aSessionOn(stores, peer.agentId), await aSessionOn(stores, peer.agentId)]
      await stores.ask(`UPDATE outbox SET status = 'done' WHERE session_id = $1`, early.id)
      const [seen] = await stores.due(peer, 10, [])
      await stores.ask(`UPDATE outbox SET status = 'pending' WHERE session_id = $1`, early.id)
      const due = await stores.due(peer, 10, [seen!.id])
      expect(due.map(({ sessionId }) => sessionId)).to.deep.equal([early.id])
      expect(seen?.sessionId).to.equal(late.id)
    })
  })

  it('leaves out for each lane what it has in flight itself', async () => {
    const peers = [
      await anAgent(stores, { id: 'lane-1' }),
      await anAgent(stores, { id: 'lane-2' }),
      await anAgent(stores, { id: 'lane-3' }),
    ]
    for (const { agentId } of peers) for (let n = 0; n < 3; n += 1) await aSessionOn(stores, agentId)
    const ids = await Promise.all(peers.map(async (peer) => (await stores.due(peer, 10, [])).map(({ id }) => id)))
    const inFlight = [[ids[0]![0]!, ids[0]![1]!], [], [ids[2]![1]!]]
    const outbox = createOutbox(stores.database, {
      unseal: createSealer({ current: 'key', previous: [] }).unseal,
      startTimeoutMs: timeouts.startMs,
    })
    const due = await outbox.due(peers.map((peer, lane) => ({ peer, limit: 10, after: 0, inFlight: inFlight[lane]! })))
    expect(due.map(({ commands }) => commands.map(({ id }) => id))).to.deep.equal([
      [ids[0]![2]],
      ids[1],
      [ids[2]![0], ids[2]![2]],
    ])
  })

  describe('secrets that cannot be unsealed', () => {
    it('keep the start that needs them from being sent, and nothing else', async () => {
      const peer = await anAgent(stores, { id: 'unreadable' })
      const other = await anAgent(stores, { id: 'readable' })
      const sealed = await commit(stores, aCreation(on(peer.agentId)), { PASSWORD: 'of another key' })
      const plain = await aSessionOn(stores, peer.agentId)
      const ending = await commit(stores, aCreation(on(peer.agentId)), { PASSWORD: 'of another key' })
      await commit(stores, right(stop(ending, anIntent())))
      const theirs = await aSessionOn(stores, other.agentId)

      const unreadable: unknown[] = []
      const outbox = createOutbox(stores.database, {
        unseal: createSealer({ current: 'another key', previous: [] }).unseal,
        startTimeoutMs: timeouts.startMs,
        onUnreadable: (command) => unreadable.push(command),
      })
      const reads = [peer, other].map((lane) => ({ peer: lane, limit: 10, after: 0, inFlight: [] }))
      const due = await outbox.due(reads)
      expect(due.map(({ commands }) => commands.map(({ sessionId, type }) => [sessionId, type]))).to.deep.equal([
        [
          [plain.id, 'start_session'],
          [ending.id, 'stop_session'],
        ],
        [[theirs.id, 'start_session']],
      ])
      const commandId = await commandIdOf(stores, sealed.id)
      expect(unreadable).to.deep.equal([{ commandId, sessionId: sealed.id }])
      await outbox.due(reads)
      expect(unreadable, 'told once').to.have.length(1)
    })

    it('do not look like the end of what is due', async () => {
      const peer = await anAgent(stores, { id: 'unreadable-head' })
      for (let n = 0; n < 2; n += 1) await commit(stores, aCreation(on(peer.agentId)), { PASSWORD: 'of another key' })
      const plain = await aSessionOn(stores, peer.agentId)
      const outbox = createOutbox(stores.database, {
        unseal: createSealer({ current: 'another key', previous: [] }).unseal,
        startTimeoutMs: timeouts.startMs,
      })
      const read = { peer, limit: 2, after: 0, inFlight: [] }
      const [head] = await outbox.due([read])
      expect(head?.commands).to.deep.equal([])
      const [rest] = await outbox.due([{ ...read, after: head?.readUpTo ?? 0 }])
      expect(rest?.commands.map(({ sessionId }) => sessionId)).to.deep.equal([plain.id])
      expect(rest?.readUpTo).to.equal(null)
    })
  })

  describe('a note', () => {
    it('of a send counts it, and an ack takes the command out of what is due', async () => {
      const peer = await anAgent(stores, { id: 'noted' })
      const session = await aSessionOn(stores, peer.agentId)
      const sentAt = new Date('2026-01-01T00:00:00Z')
      await stores.outbox.note([await aNote(peer, session.id, { sentAt, unacked: 1 })])
      const [sent] = await commandsOf(stores, session.id)
      expect(sent).to.deep.include({ attempts: 1, unacked: 1, sent_at: sentAt, acked_at: null, acked_epoch: null })
      expect(await stores.due(peer, 10, [])).to.have.length(1)

      const ackedAt = new Date('2026-01-01T00:00:01Z')
      await stores.outbox.note([await aNote(peer, session.id, { ackedAt })])
      const [acked] = await commandsOf(stores, session.id)
      expect(acked).to.deep.include({ attempts: 2, unacked: 1, acked_at: ackedAt, acked_epoch: peer.epoch })
      expect(await stores.due(peer, 10, [])).to.deep.equal([])
    })

    it('is written for many of many agents in one statement, each under its own epoch', async () => {
      const [old, fresh] = [await anAgent(stores, { id: 'notes-old' }), await anAgent(stores, { id: 'notes-fresh' })]
      const [a, b] = [await aSessionOn(stores, old.agentId), await aSessionOn(stores, fresh.agentId)]
      const now = new Date()
      const notes = [
        await aNote(old, a.id, { ackedAt: now }),
        await aNote(fresh, b.id, { ackedAt: now }),
        // Another agent's command.
        { ...(await aNote(fresh, a.id, { ackedAt: now })), agentId: fresh.agentId },
      ]
      await connected(stores, old.agentId)
      await stores.outbox.note(notes.slice(1))
      await stores.outbox.note(notes.slice(0, 1))
      expect((await commandsOf(stores, a.id))[0]).to.deep.include({ acked_epoch: null, attempts: 0 })
      expect((await commandsOf(stores, b.id))[0]).to.deep.include({ acked_epoch: fresh.epoch, attempts: 1 })
    })

    it('changes nothing that is finished', async () => {
      const peer = await anAgent(stores, { id: 'note-late' })
      const session = await aSessionOn(stores, peer.agentId)
      const note = await aNote(peer, session.id, { ackedAt: new Date(), unacked: 1 })
      await commit(stores, right(stop(session, anIntent())))
      await stores.outbox.note([note])
      expect((await commandsOf(stores, session.id))[0]).to.deep.include({
        status: 'superseded',
        attempts: 0,
        unacked: 0,
      })
    })

    it('of the ack of a send that failed since does not keep the command from being sent again', async () => {
      const peer = await anAgent(stores, { id: 'ack-after-failure' })
      const session = await aSessionOn(stores, peer.agentId)
      const late = await aNote(peer, session.id, { ackedAt: new Date(Date.now() - 50) })
      const fate = { status: 'pending', error: 'busy', retryInMs: 0 } as const
      const failed = { commandId: late.commandId, fate }
      await stores.reports.write([{ peer, sessionId: session.id, decision: null, outcomes: [failed], doneUpTo: null }])
      await stores.outbox.note([late])
      expect(await stores.duties.endBackOffs(10)).to.include(peer.agentId)
      expect(await stores.due(peer, 10, [])).to.have.length(1)
      await stores.outbox.note([late])
      expect(await stores.due(peer, 10, [])).to.have.length(1)
      await stores.outbox.note([{ ...late, ackedAt: new Date(Date.now() + 1_000) }])
      expect(await stores.due(peer, 10, [])).to.deep.equal([])
    })

    it('of nothing is no statement that fails', async () => {
      await stores.outbox.note([])
    })
  })
})
