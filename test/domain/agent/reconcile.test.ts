import { expect } from 'chai'
import fc from 'fast-check'
import { RESTORED_AT_MOST, type ReconcileAction, reconcile } from '../../../domain/agent/reconcile.ts'
import type { SessionId } from '../../../domain/ids.ts'
import type { InventoryEntry } from '../../../domain/ports/delivery.ts'
import type { Session } from '../../../domain/session/session.ts'
import { observedStatuses, type SessionStatus, sessionStatuses } from '../../../domain/session/words.ts'
import { AGENT, aSession, aTombstone, OTHER_AGENT, SESSION } from '../../support/a-session.ts'

const anEntry = (changes: Partial<InventoryEntry> = {}): InventoryEntry => ({
  sessionId: SESSION,
  generation: 3,
  status: 'running',
  ...changes,
})
const told = (session: Session | null, entry: InventoryEntry | null): readonly string[] =>
  reconcile(AGENT, session === null ? [] : [session], entry === null ? [] : [entry]).map(wordsOf)
const wordsOf = (action: ReconcileAction): string => {
  switch (action.type) {
    case 'observe':
      return action.settles ? 'observe, settles' : 'observe'
    case 'orphan':
      return `orphan, ${action.reason}`
    default:
      return action.type
  }
}

describe('what an agent has', () => {
  it('and nobody knows is an orphan', () => {
    expect(told(null, anEntry())).to.deep.equal(['orphan, unknown'])
  })

  it('of a session that belongs to another agent by now is an orphan here, whatever its generation', () => {
    const moved = aSession({ agentId: OTHER_AGENT, reservedOn: OTHER_AGENT })
    for (const generation of [2, 3, 4])
      expect(told(moved, anEntry({ generation }))).to.deep.equal(['orphan, not_yours'])
    expect(told(aTombstone({ agentId: OTHER_AGENT }), anEntry())).to.deep.equal(['orphan, not_yours'])
  })

  it('of a session that holds capacity here is not', () => {
    expect(told(aSession({ agentId: OTHER_AGENT, reservedOn: AGENT }), anEntry())).to.deep.equal(['observe, settles'])
  })

  it('of a tombstone is deleted again', () => {
    for (const generation of [2, 3, 4]) expect(told(aTombstone(), anEntry({ generation }))).to.deep.equal(['redeliver'])
  })

  it('at a lower generation gets the current command again', () => {
    for (const status of ['scheduling', 'running', 'hibernating', 'stopping', 'stopped', 'failed', 'deleting'] as const)
      expect(told(aSession({ status }), anEntry({ generation: 2 })), status).to.deep.equal(['redeliver'])
  })

  it('of a session that waits for a place is left alone: there is no command yet', () => {
    expect(told(aSession({ status: 'pending' }), anEntry({ generation: 2 }))).to.deep.equal([])
    expect(told(aSession({ status: 'pending' }), null)).to.deep.equal([])
  })

  it('at a higher generation is newer than the database', () => {
    expect(told(aSession(), anEntry({ generation: 4 }))).to.deep.equal(['restore'])
    expect(told(aSession({ status: 'deleting' }), anEntry({ generation: 4 }))).to.deep.equal(['restore'])
    expect(told(aSession(), anEntry({ generation: 3 + RESTORED_AT_MOST }))).to.deep.equal(['restore'])
  })

  it('at a generation that no database can have lost is not believed', () => {
    expect(told(aSession(), anEntry({ generation: 4 + RESTORED_AT_MOST }))).to.deep.equal(['orphan, unknown'])
  })

  it('at the row’s generation is what it is; its command is done when that is an end of what was asked', () => {
    const settles = (status: SessionStatus, said: InventoryEntry['status']) =>
      told(aSession({ status }), anEntry({ status: said }))
    for (const said of ['running', 'stopped', 'hibernated', 'failed'] as const)
      expect(settles('scheduling', said), said).to.deep.equal(['observe, settles'])
    expect(settles('scheduling', 'starting')).to.deep.equal(['observe'])
    for (const status of ['stopping', 'hibernating'] as const) {
      for (const said of ['stopped', 'hibernated', 'failed'] as const)
        expect(settles(status, said), said).to.deep.equal(['observe, settles'])
      // It runs though it is to rest: the command is carried out again, however often it was said to be done.
      for (const said of ['starting', 'running'] as const)
        expect(settles(status, said), said).to.deep.equal(['redeliver'])
    }
  })

  it('of a session that is to be deleted is deleted again', () => {
    expect(told(aSession({ status: 'deleting' }), anEntry())).to.deep.equal(['redeliver'])
  })
})

describe('what an agent has not', () => {
  it('of a generation that it was never seen at gets the command again', () => {
    for (const status of ['scheduling', 'stopping', 'hibernating', 'deleting'] as const)
      expect(told(aSession({ status }), null), status).to.deep.equal(['redeliver'])
  })

  it('is started though its deadline has passed: only the waiting had ended', () => {
    for (const statusReason of ['start_timeout', 'agent_unreachable'] as const)
      expect(told(aSession({ status: 'failed', statusReason, observedGeneration: 2 }), null)).to.deep.equal([
        'redeliver',
      ])
  })

  it('though it ran at this generation was removed outside', () => {
    expect(told(aSession(), null)).to.deep.equal(['removed_outside'])
    expect(told(aSession({ status: 'scheduling', observedGeneration: 3 }), null)).to.deep.equal(['removed_outside'])
  })

  it('and should not have is converged', () => {
    for (const status of ['stopped', 'hibernated', 'failed'] as const)
      expect(told(aSession({ status }), null), status).to.deep.equal([])
  })

  it('but holds capacity for gives it back', () => {
    for (const status of ['stopped', 'hibernated', 'failed'] as const)
      expect(told(aSession({ status, reservedOn: AGENT }), null), status).to.deep.equal(['release'])
    expect(told(aSession({ status: 'failed', observedGeneration: 2, reservedOn: AGENT }), null)).to.deep.equal([
      'release',
    ])
  })

  it('of a tombstone confirms it', () => {
    expect(told(aTombstone({ reservedOn: AGENT }), null)).to.deep.equal(['release'])
    expect(told(aTombstone({ reservedOn: null }), null)).to.deep.equal([])
  })

  it('of another agent’s session is no news', () => {
    expect(told(aSession({ agentId: OTHER_AGENT, reservedOn: OTHER_AGENT }), null)).to.deep.equal([])
  })
})

describe('an inventory', () => {
  const ids = [1, 2, 3, 4].map((n) => `01890a5d-ac96-774b-bcce-b302099a800${n}` as SessionId)
  const rows = fc.array(
    fc.record({
      id: fc.constantFrom(...ids),
      status: fc.constantFrom(...sessionStatuses),
      agentId: fc.constantFrom(AGENT, OTHER_AGENT, null),
      observedGeneration: fc.constantFrom(2, 3),
    }),
    { maxLength: 4 },
  )
  const entries = fc.array(
    fc.record({
      sessionId: fc.constantFrom(...ids),
      generation: fc.nat(6),
      status: fc.constantFrom(...observedStatuses),
    }),
    { maxLength: 5 },
  )

  it('gives each session at most one action, and destroys nothing of what nobody knows', () => {
    fc.assert(
      fc.property(rows, entries, (changes, inventory) => {
        const sessions = [...new Map(changes.map((change) => [change.id, aSession(change)])).values()]
        const actions = reconcile(AGENT, sessions, inventory)
        const about = actions.map((action) => (action.type === 'orphan' ? action.entry.sessionId : action.session.id))
        expect(new Set(about).size).to.equal(about.length)
        for (const { sessionId } of inventory)
          if (!sessions.some(({ id }) => id === sessionId)) {
            const action = actions.find((one) => one.type === 'orphan' && one.entry.sessionId === sessionId)
            expect(action?.type).to.equal('orphan')
          }
        for (const action of actions)
          if (action.type !== 'orphan') expect([action.session.agentId, action.session.reservedOn]).to.include(AGENT)
      }),
      { numRuns: 200 },
    )
  })
})
