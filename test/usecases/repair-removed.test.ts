/** What is removed by hand again and again is repaired as often as its restart policy says, and no more. */
import { expect } from 'chai'
import type { Session } from '../../domain/session/session.ts'
import { reconcileInventory } from '../../src/usecases/reconcile-inventory.ts'
import { AGENT, aSession, later, SESSION, timeouts } from '../support/a-session.ts'
import { countedIds, recordedWake } from '../support/fake-ports.ts'
import { reportStore } from '../support/report-store.ts'

const removing = (restart: Session['spec']['restart']) => {
  const { spec, ...session } = aSession()
  const store = reportStore([{ ...session, spec: { ...spec, ...(restart === undefined ? {} : { restart }) } }], {
    [AGENT]: 1,
  })
  let at = later(100)
  let asked = 0
  const tell = reconcileInventory({
    inventories: { asTold: async () => new Set(), sessions: async () => [...store.rows.values()] },
    sessions: store,
    reports: {
      ...store,
      repairsSoFar: (sessions) => {
        asked += 1
        return store.repairsSoFar(sessions)
      },
    },
    wake: recordedWake().wake,
    clock: { now: () => at },
    ids: countedIds(),
    timeouts,
    capacityFreed: () => {},
    reconcileOrphans: async () => 'accepted',
  })
  const row = () => store.rows.get(SESSION) as Session
  return {
    row,
    asked: () => asked,
    /** It runs for so long, then the agent has it no more. */
    removedAfter: async (seconds: number) => {
      const { generation, revision } = row()
      store.rows.set(SESSION, {
        ...row(),
        status: 'running',
        observedGeneration: generation,
        startedAt: at,
        revision: revision + 1,
      })
      at = new Date(at.getTime() + seconds * 1_000)
      expect(await tell({ agentId: AGENT, epoch: 1 }, [], new Set())).to.equal('accepted')
      return row()
    },
    store,
  }
}

describe('what is removed again and again', () => {
  it('is repaired three times, and then it is failed', async () => {
    const { removedAfter, row, store } = removing({ policy: 'on-failure' })
    for (const nth of [1, 2, 3]) {
      const repaired = await removedAfter(5)
      expect(repaired).to.include({ status: 'scheduling', generation: 3 + nth })
      expect(repaired.statusMessage).to.include(`(${nth} of 3)`)
    }
    expect(await removedAfter(5)).to.include({ status: 'failed', statusReason: 'restart_limit', generation: 6 })
    expect(store.repairs).to.have.length(3)
    expect(row()).to.include({ desiredState: 'running', reservedOn: null })
  })

  it('as often as its template says', async () => {
    const { removedAfter } = removing({ policy: 'always', maxRetries: 1 })
    expect((await removedAfter(5)).status).to.equal('scheduling')
    expect((await removedAfter(5)).statusReason).to.equal('restart_limit')
  })

  it('not at all with no retries: failed, as with the policy `never`', async () => {
    const { removedAfter, store, asked } = removing({ policy: 'always', maxRetries: 0 })
    expect(await removedAfter(5)).to.include({ status: 'failed', statusReason: 'removed_outside' })
    expect([store.repairs, asked()]).to.deep.equal([[], 0])
  })

  it('begins anew after it ran well for ten minutes, and is counted from there', async () => {
    const { removedAfter, asked } = removing({ policy: 'always', maxRetries: 2 })
    await removedAfter(5)
    await removedAfter(5)
    expect(asked()).to.equal(2)
    expect((await removedAfter(600)).statusMessage).to.include('(1 of 2)')
    expect(asked(), 'what does not count is not asked for').to.equal(2)
    expect((await removedAfter(5)).statusMessage).to.include('(2 of 2)')
    expect((await removedAfter(5)).statusReason).to.equal('restart_limit')
  })
})
