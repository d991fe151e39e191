import { expect } from 'chai'
import fc from 'fast-check'
import type { SessionId } from '../../domain/ids.ts'
import type { Session } from '../../domain/session/session.ts'
import { desiredStates, observedStatuses, sessionStatuses } from '../../domain/session/words.ts'
import { AGENT, aSession, aTombstone, OTHER_AGENT, SESSION } from '../support/a-session.ts'
import { anEntry, id, reconciling, restarting } from '../support/reconciling.ts'

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
      const { told, store, woken } = reconciling([restarting(policy)])
      await told([])
      expect(store.repairs.map(({ session, events }) => [session.generation, events[0]?.actor])).to.deep.equal([
        [4, 'reconciler'],
      ])
      expect(woken).to.deep.equal([AGENT])
    }
  })

  it('decides again about what someone else has changed meanwhile', async () => {
    const theirs = {
      ...restarting('always'),
      desiredState: 'stopped',
      status: 'stopping',
      generation: 4,
      revision: 99,
    } as const
    const { told, row, store, woken } = reconciling([restarting('always')], {
      meanwhile: [(rows) => rows.set(SESSION, theirs)],
    })
    expect(await told([])).to.equal('accepted')
    expect(row()).to.deep.equal(theirs)
    expect(store.repairs).to.deep.equal([])
    expect(store.redelivered).to.deep.equal([SESSION])
    expect(woken).to.deep.equal([AGENT])
  })

  it('is not lost when a row changed while it was written', async () => {
    const overdue = aSession({ status: 'failed', statusReason: 'start_timeout', revision: 99 })
    const { told, row } = reconciling([aSession({ status: 'scheduling' })], {
      meanwhile: [(rows) => rows.set(SESSION, overdue)],
    })
    expect(await told([anEntry()])).to.equal('accepted')
    expect(row()?.status).to.equal('running')
  })

  it('that loses every race for a row is refused, so that another one is asked for', async () => {
    let revision = 100
    const again = (rows: Map<SessionId, Session>): void => {
      revision += 1
      rows.set(SESSION, aSession({ status: 'scheduling', revision }))
    }
    const { told } = reconciling([aSession({ status: 'scheduling' })], { meanwhile: Array(20).fill(again) })
    const error = await told([anEntry()]).catch((thrown: Error) => thrown.message)
    expect(error).to.equal('an inventory lost 5 races for 1 rows')
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

  it('without a tombstone confirms it, and its capacity is free', async () => {
    const { told, row, freed } = reconciling([aTombstone({ reservedOn: AGENT })])
    await told([])
    expect(row()).to.deep.include({ reservedOn: null, observedGeneration: 3 })
    expect(freed()).to.equal(1)
  })

  it('under an epoch that has moved on is fenced, and nothing of it is done', async () => {
    const { told, row, store, woken, freed } = reconciling(
      [
        aSession({ status: 'scheduling' }),
        aSession({ id: id(2), status: 'stopping' }),
        { ...restarting('always'), id: id(3) },
      ],
      { epoch: 2 },
    )
    expect(await told([anEntry()])).to.equal('fenced')
    expect(row()?.status).to.equal('scheduling')
    expect([store.redelivered, store.repairs, woken, freed()]).to.deep.equal([[], [], [], 0])
  })

  it('under an epoch that has moved on repairs nothing and asks for nothing, when that is all there is to do', async () => {
    const repairing = reconciling([restarting('always')], { epoch: 2 })
    expect(await repairing.told([])).to.equal('fenced')
    expect([repairing.store.repairs, repairing.woken]).to.deep.equal([[], []])
    const asking = reconciling([aSession({ status: 'scheduling' })], { epoch: 2 })
    await asking.told([])
    expect([asking.store.redelivered, asking.woken]).to.deep.equal([[], []])
  })

  it('without a session whose deletion was given up ends it: there is nothing left to delete', async () => {
    const { told, row, freed } = reconciling([aSession({ status: 'deleting', statusReason: 'delivery_failed' })])
    await told([])
    expect(row()).to.deep.include({ reservedOn: null, observedGeneration: 3 })
    expect(row()?.deletedAt).to.not.equal(null)
    expect(freed()).to.equal(1)
  })

  describe('of anything, compared with any rows,', () => {
    const known = [1, 2, 3].map(id)
    const aRow = fc
      .record({
        id: fc.constantFrom(...known),
        status: fc.constantFrom(...sessionStatuses),
        desiredState: fc.option(fc.constantFrom(...desiredStates), { nil: undefined }),
        statusReason: fc.constantFrom(
          null,
          'delivery_failed' as const,
          'start_timeout' as const,
          'stop_overdue' as const,
        ),
        agentId: fc.constantFrom(AGENT, OTHER_AGENT),
        holds: fc.boolean(),
        observedGeneration: fc.constantFrom(2, 3),
        policy: fc.constantFrom('never' as const, 'always' as const),
        gone: fc.boolean(),
      })
      .map(({ policy, desiredState, gone, holds, ...changes }) => {
        const made = gone ? aTombstone(changes) : aSession(changes)
        return {
          ...made,
          ...(gone ? { status: 'deleting' as const, desiredState: 'deleted' as const } : {}),
          ...(desiredState === undefined || gone || made.status === 'deleting' ? {} : { desiredState }),
          reservedOn: holds ? made.agentId : null,
          spec: { ...made.spec, restart: { policy } },
        }
      })
    const rows = fc.uniqueArray(aRow, { selector: (row) => row.id, maxLength: 3 })
    const inventories = fc.array(
      fc.record({
        sessionId: fc.constantFrom(...known, id(9)),
        generation: fc.nat(6),
        status: fc.constantFrom(...observedStatuses),
      }),
      { maxLength: 5 },
    )

    it('says the second time what it said the first: nothing changes any more', async () => {
      await fc.assert(
        fc.asyncProperty(rows, inventories, async (sessions, inventory) => {
          const { told, store, orphans } = reconciling(sessions)
          await told(inventory)
          const once = { rows: new Map(store.rows), repairs: store.repairs.length, orphans: [...orphans] }
          await told(inventory)
          expect(store.rows).to.deep.equal(once.rows)
          expect(store.repairs).to.have.length(once.repairs)
          expect(orphans.slice(once.orphans.length)).to.deep.equal(once.orphans)
        }),
        { numRuns: 1_000 },
      )
    })

    it('changes no row of another agent’s, and ends nothing that was not to be deleted', async () => {
      await fc.assert(
        fc.asyncProperty(rows, inventories, async (sessions, inventory) => {
          const { told, store } = reconciling(sessions)
          await told(inventory)
          for (const before of sessions) {
            const after = store.rows.get(before.id)
            if (before.agentId === OTHER_AGENT && before.reservedOn !== AGENT) expect(after).to.equal(before)
            if (before.desiredState !== 'deleted') expect(after?.deletedAt).to.equal(before.deletedAt)
          }
          expect([...store.rows.keys()].sort()).to.deep.equal(sessions.map((session) => session.id).sort())
          expect(store.redelivered).to.not.include(id(9))
        }),
        { numRuns: 300 },
      )
    })
  })
})
