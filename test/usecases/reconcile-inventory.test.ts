import { expect } from 'chai'
import type { SessionId } from '../../domain/ids.ts'
import type { InventoryEntry } from '../../domain/ports/delivery.ts'
import type { Session } from '../../domain/session/session.ts'
import { reconcileInventory } from '../../src/usecases/reconcile-inventory.ts'
import { AGENT, aSession, aTombstone, SESSION, timeouts } from '../support/a-session.ts'
import { conflict, countedIds, fixedClock, recordedWake, scriptedUnitOfWork } from '../support/fake-ports.ts'
import { reportStore } from '../support/report-store.ts'

const id = (n: number) => `01890a5d-ac96-774b-bcce-b302099a800${n}` as SessionId
const anEntry = (changes: Partial<InventoryEntry> = {}): InventoryEntry => ({
  sessionId: SESSION,
  generation: 3,
  status: 'running',
  ...changes,
})

const reconciling = (sessions: readonly Session[], setting: { epoch?: number; conflicts?: [typeof conflict] } = {}) => {
  const store = reportStore(sessions, { [AGENT]: setting.epoch ?? 1 })
  const { unitOfWork, committed } = scriptedUnitOfWork(setting.conflicts)
  const { wake, woken } = recordedWake()
  const orphans: string[] = []
  let freed = 0
  const reconcile = reconcileInventory({
    sessions: { ofAgent: async () => [...store.rows.values()] },
    reports: store,
    unitOfWork,
    wake,
    clock: fixedClock,
    ids: countedIds(),
    timeouts,
    capacityFreed: () => {
      freed += 1
    },
    reconcileOrphans: async (_peer, { found, resources }) => {
      for (const { entry, reason } of found) orphans.push(`${entry.sessionId} ${reason}, of ${resources}`)
      return 'accepted'
    },
  })
  return {
    told: (entries: readonly InventoryEntry[], spokenSince: readonly SessionId[] = []) =>
      reconcile({ agentId: AGENT, epoch: 1 }, entries, new Set(spokenSince)),
    row: (sessionId = SESSION) => store.rows.get(sessionId),
    store,
    committed,
    woken,
    orphans,
    freed: () => freed,
  }
}
const restarting = (policy: 'on-failure' | 'always') => {
  const session = aSession()
  return { ...session, spec: { ...session.spec, restart: { policy } } }
}

describe('an inventory', () => {
  it('takes over what is, and the commands up to there are done', async () => {
    const { told, row, store } = reconciling([aSession({ status: 'scheduling' })])
    expect(await told([anEntry()])).to.equal('accepted')
    expect(row()?.status).to.equal('running')
    expect(store.batches[0]?.[0]?.doneUpTo).to.equal(3)
  })

  it('that says what the row says changes no row', async () => {
    const { told, store } = reconciling([aSession()])
    await told([anEntry()])
    expect(store.batches.flat().map(({ decision }) => decision)).to.deep.equal([null])
  })

  it('keeps the reason that was told when it happened', async () => {
    const failed = aSession({ status: 'failed', statusReason: 'out_of_memory', statusMessage: 'killed' })
    const { told, row } = reconciling([failed])
    await told([anEntry({ status: 'failed' })])
    expect(row()).to.deep.include({ statusReason: 'out_of_memory', statusMessage: 'killed' })
  })

  it('asks again for what it does not have, and wakes the agent', async () => {
    const { told, store, woken } = reconciling([aSession({ status: 'scheduling' })])
    await told([])
    expect(store.redelivered).to.deep.equal([SESSION])
    expect(woken).to.deep.equal([AGENT])
    expect(store.batches).to.deep.equal([])
  })

  it('without what ran: failed by the restart policy `never`, made anew by any other', async () => {
    const never = reconciling([aSession()])
    await never.told([])
    expect(never.row()).to.deep.include({ status: 'failed', statusReason: 'removed_outside', reservedOn: null })
    expect(never.freed()).to.equal(1)
    for (const policy of ['on-failure', 'always'] as const) {
      const { told, committed, woken } = reconciling([restarting(policy)])
      await told([])
      expect(committed.map(({ session, events }) => [session.generation, events[0]?.actor])).to.deep.equal([
        [4, 'reconciler'],
      ])
      expect(woken).to.deep.equal([AGENT])
    }
  })

  it('does not repair what someone else has changed meanwhile', async () => {
    const { told, woken } = reconciling([restarting('always')], { conflicts: [conflict] })
    expect(await told([])).to.equal('accepted')
    expect(woken).to.deep.equal([])
  })

  it('that is older than what the agent has said since says nothing of that session', async () => {
    const { told, row, store } = reconciling([aSession()])
    await told([], [SESSION])
    expect(row()?.status).to.equal('running')
    expect(store.batches).to.deep.equal([])
  })

  it('names orphans and removes nothing', async () => {
    const { told, orphans, store } = reconciling([])
    await told([anEntry({ sessionId: id(7) })])
    expect(orphans).to.deep.equal([`${id(7)} unknown, of 1`])
    expect([store.batches, store.redelivered]).to.deep.equal([[], []])
  })

  it('newer than the database is taken over', async () => {
    const { told, row, woken } = reconciling([aSession({ status: 'stopped' })])
    await told([anEntry({ generation: 9 })])
    expect(row()).to.deep.include({
      generation: 9,
      status: 'running',
      desiredState: 'running',
      statusReason: 'restored',
    })
    expect(woken).to.deep.equal([])
  })

  it('without a tombstone confirms it, and its capacity is free', async () => {
    const { told, row, freed } = reconciling([aTombstone({ reservedOn: AGENT })])
    await told([])
    expect(row()).to.deep.include({ reservedOn: null, observedGeneration: 3 })
    expect(freed()).to.equal(1)
  })

  it('under an epoch that has moved on is fenced, and nothing of it is done', async () => {
    const { told, row, store, committed, freed } = reconciling(
      [
        aSession({ status: 'scheduling' }),
        aSession({ id: id(2), status: 'stopping' }),
        { ...restarting('always'), id: id(3) },
      ],
      { epoch: 2 },
    )
    expect(await told([anEntry()])).to.equal('fenced')
    expect(row()?.status).to.equal('scheduling')
    expect([store.redelivered, committed, freed()]).to.deep.equal([[], [], 0])
  })
})
