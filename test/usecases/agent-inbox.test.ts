import { expect } from 'chai'
import type { ReplicaId, SessionId } from '../../domain/ids.ts'
import type { Heartbeat } from '../../domain/ports/agents.ts'
import type { ReportAnswer } from '../../domain/ports/delivery.ts'
import { createAgentInbox } from '../../src/usecases/agent-inbox.ts'
import type { AgentReport } from '../../src/usecases/apply-reports.ts'
import { AGENT, later, OTHER_AGENT, SESSION } from '../support/a-session.ts'

const peer = { agentId: AGENT, epoch: 1 }
const beat = (changes: Partial<Heartbeat> = {}): Heartbeat => ({
  ...peer,
  activeSessions: 0,
  inventoryHash: '',
  capacity: null,
  degradedReason: null,
  ...changes,
})

const receiving = () => {
  const batches: (readonly AgentReport[])[] = []
  const activity: unknown[] = []
  const inventories: { readonly spokenSince: ReadonlySet<SessionId>; readonly end: (answer: ReportAnswer) => void }[] =
    []
  let offered = 0
  const inbox = createAgentInbox({
    leases: { heartbeat: async (beats) => beats.filter(({ epoch }) => epoch < 1) },
    reports: {
      activity: async (touched) => {
        activity.push(touched)
        return touched.map(({ peer }) => (peer.agentId === AGENT ? 'accepted' : 'not_yours'))
      },
    },
    applyReports: async (items) => {
      batches.push(items)
      return items.map(() => 'accepted')
    },
    reconcileInventory: (_peer, _items, spokenSince) =>
      new Promise((end) => {
        inventories.push({ spokenSince, end })
      }),
    replicaId: 'replica-1' as ReplicaId,
    capacityChanged: () => {
      offered += 1
    },
  })
  return { inbox, batches, activity, inventories, offered: () => offered }
}

describe('what agents send', () => {
  it('is gathered: results and statuses of one turn are one batch', async () => {
    const { inbox, batches } = receiving()
    const answers = await Promise.all([
      inbox.status(peer, SESSION, 3, { status: 'running' }),
      inbox.result(peer, {
        commandId: 'c' as never,
        sessionId: SESSION,
        generation: 3,
        outcome: 'applied',
        error: null,
        observed: null,
      }),
    ])
    expect(answers).to.deep.equal(['accepted', 'accepted'])
    expect(batches.map((items) => items.map(({ kind }) => kind))).to.deep.equal([['status', 'result']])
  })

  it('as a heartbeat is answered by whether the connection still counts', async () => {
    const { inbox, offered } = receiving()
    expect(await Promise.all([inbox.heartbeat(beat()), inbox.heartbeat(beat({ epoch: 0 }))])).to.deep.equal([
      'accepted',
      'fenced',
    ])
    expect(offered()).to.equal(0)
  })

  it('with another capacity is told to those who place', async () => {
    const { inbox, offered } = receiving()
    await inbox.heartbeat(beat({ capacity: { maxSessions: 1, cpuMillis: 1, memoryMib: 1 } }))
    expect(offered()).to.equal(1)
  })

  it('of a session’s activity is written once, with the latest', async () => {
    const { inbox, activity } = receiving()
    const stranger = { agentId: OTHER_AGENT, epoch: 4 }
    const answers = await Promise.all([
      inbox.activity(peer, SESSION, later(2)),
      inbox.activity(stranger, SESSION, later(3)),
      inbox.activity(peer, SESSION, later(1)),
    ])
    expect(answers).to.deep.equal(['accepted', 'not_yours', 'accepted'])
    expect(activity).to.deep.equal([
      [
        { peer, sessionId: SESSION, at: later(2) },
        { peer: stranger, sessionId: SESSION, at: later(3) },
      ],
    ])
  })

  it('after an inventory is known to be newer than it, while that is compared', async () => {
    const { inbox, inventories } = receiving()
    const answer = inbox.inventory(peer, [])
    await inbox.status(peer, SESSION, 3, { status: 'running' })
    await inbox.status({ agentId: OTHER_AGENT, epoch: 1 }, 'other' as SessionId, 3, { status: 'running' })
    expect([...(inventories[0]?.spokenSince ?? [])]).to.deep.equal([SESSION])
    inventories[0]?.end('accepted')
    expect(await answer).to.equal('accepted')
    const next = inbox.inventory(peer, [])
    expect(inventories[1]?.spokenSince.size).to.equal(0)
    inventories[1]?.end('fenced')
    expect(await next).to.equal('fenced')
  })

  it('after an inventory is known to be newer than it, also while that waits for the one before it', async () => {
    const { inbox, inventories } = receiving()
    const first = inbox.inventory(peer, [])
    const second = inbox.inventory(peer, [])
    await inbox.status(peer, SESSION, 3, { status: 'running' })
    inventories[0]?.end('accepted')
    await first
    expect([...(inventories[1]?.spokenSince ?? [])]).to.deep.equal([SESSION])
    inventories[1]?.end('accepted')
    expect(await second).to.equal('accepted')
  })

  it('as the word that a command is superseded says nothing that is newer than an inventory', async () => {
    const { inbox, inventories } = receiving()
    const answer = inbox.inventory(peer, [])
    const result = { commandId: 'c' as never, sessionId: SESSION, generation: 3, error: null, observed: null }
    await inbox.result(peer, { ...result, outcome: 'superseded' })
    expect(inventories[0]?.spokenSince.size).to.equal(0)
    await inbox.result(peer, { ...result, outcome: 'applied' })
    expect([...(inventories[0]?.spokenSince ?? [])]).to.deep.equal([SESSION])
    inventories[0]?.end('accepted')
    expect(await answer).to.equal('accepted')
  })
})
