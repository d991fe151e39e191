import { expect } from 'chai'
import { AGENT, aSession, aTombstone, SESSION } from '../support/a-session.ts'
import { anEntry, reconciling } from '../support/reconciling.ts'

describe('an inventory that knows more than the database', () => {
  it('raises above what the agent knows an intent that it called superseded, and shows nothing of', async () => {
    for (const [status, desiredState, type] of [
      ['scheduling', 'running', 'start_session'],
      ['deleting', 'deleted', 'delete_session'],
      ['stopping', 'stopped', 'stop_session'],
    ] as const) {
      const asked = aSession({ status, desiredState, observedGeneration: 2 })
      const { told, row, store, woken } = reconciling([asked], { outpaced: new Set([SESSION]) })
      await told([])
      expect(store.redelivered).to.deep.equal([])
      expect(row()).to.deep.include({ status, desiredState, generation: 1_003, statusReason: 'restored' })
      expect(store.repairs[0]?.command).to.deep.include({ type, generation: 1_003 })
      expect(woken).to.deep.equal([AGENT])
    }
  })

  it('raises above it what was done by the agent’s word, while it has something else at that very generation', async () => {
    const done = new Set([SESSION])
    const stopping = aSession({ status: 'stopping', desiredState: 'stopped', observedGeneration: 2 })
    for (const asked of [stopping, aTombstone()]) {
      const { told, row, store } = reconciling([asked], { done })
      await told([anEntry({ generation: asked.generation })])
      expect(row()).to.deep.include({ generation: asked.generation + 1_000, desiredState: asked.desiredState })
      expect(row()?.deletedAt).to.equal(asked.deletedAt)
      expect(store.repairs).to.have.lengthOf(1)
      const older = reconciling([asked], { done })
      await older.told([anEntry({ generation: asked.generation - 1 })])
      expect(older.store.repairs).to.deep.equal([])
      expect(older.store.redelivered).to.deep.equal([SESSION])
    }
  })

  it('takes over what the agent has at a later generation, also when it called a command superseded', async () => {
    const asked = aSession({ status: 'stopping', desiredState: 'stopped', observedGeneration: 2 })
    const { told, row, store } = reconciling([asked], { outpaced: new Set([SESSION]) })
    await told([anEntry({ generation: 9 })])
    expect(row()).to.deep.include({ status: 'running', desiredState: 'running', generation: 9 })
    expect(store.repairs).to.deep.equal([])
  })

  it('at a later generation does not undo what was asked after the database was restored', async () => {
    const askedSince = new Set([SESSION])
    for (const [desiredState, status, has, command] of [
      ['stopped', 'stopping', 'running', 'stop_session'],
      ['deleted', 'deleting', 'running', 'delete_session'],
      ['hibernated', 'hibernating', 'stopped', 'hibernate_session'],
      ['running', 'scheduling', 'stopped', 'start_session'],
      ['running', 'scheduling', 'failed', 'start_session'],
    ] as const) {
      const asked = aSession({ status, desiredState, observedGeneration: 2 })
      const { told, row, store } = reconciling([asked], { askedSince })
      await told([anEntry({ generation: 9, status: has })])
      expect(row()).to.deep.include({ status, desiredState, generation: 1_009 })
      expect(store.repairs.map((repair) => repair.command?.type)).to.deep.equal([command])
    }
  })

  it('at a later generation is what was asked after the database was restored', async () => {
    const asked = aSession({ status: 'scheduling', observedGeneration: 2 })
    const { told, row, store } = reconciling([asked], { askedSince: new Set([SESSION]) })
    await told([anEntry({ generation: 9 })])
    expect(row()).to.deep.include({ status: 'running', desiredState: 'running', generation: 9 })
    expect(store.repairs).to.deep.equal([])
  })

  it('at a later generation says nothing yet of a session that waits for room to be asked', async () => {
    const asked = aSession({ status: 'pending', observedGeneration: 2, reservedOn: null })
    const { told, row } = reconciling([asked], { askedSince: new Set([SESSION]) })
    await told([anEntry({ generation: 9, status: 'stopped' })])
    expect(row()).to.deep.equal(asked)
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
})
