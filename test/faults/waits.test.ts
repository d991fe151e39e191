/** What is looked at while a run lasts: waits without an end or a reason, and commands that leave a lane out of order. */
import { expect } from 'chai'
import { createLaneOrder } from '../../scripts/faults/lane-order.ts'
import { type Calm, type WaitingRow, waitsTooLong } from '../../scripts/faults/waits.ts'

const aRow = (row: Partial<WaitingRow> = {}): WaitingRow => ({
  id: 's',
  status: 'stopping',
  reason: 'by_request',
  waitingForMs: 60_000,
  overdueMs: -1_000,
  generation: 2,
  onlyOn: null,
  ...row,
})

const peace = (agents: Readonly<Record<string, number>> = { 'edge-1': 60_000 }, service = 60_000): Calm => ({
  service,
  agents: new Map(Object.entries(agents)),
})

const said = (row: Partial<WaitingRow>, calm = peace()): readonly string[] =>
  waitsTooLong([aRow(row)], calm).map(({ kind, what }) => `${kind}: ${what}`)

describe('the watch of what waits', () => {
  it('has nothing to say of a session before its deadline, nor in the seconds that acting on it takes', () => {
    expect(said({})).to.deep.equal([])
    expect(said({ overdueMs: 9_000 })).to.deep.equal([])
  })

  it('stuck: a deadline that passed long ago', () => {
    expect(said({ overdueMs: 11_000 })).to.deep.equal([
      'stuck: stopping (by_request) at 2: its deadline passed and nobody acted on it',
    ])
  })

  it('nobody has to act while the database or every server was struck a moment ago', () => {
    expect(said({ overdueMs: 60_000 }, peace({}, 9_000))).to.deep.equal([])
  })

  it('stuck at once: a wait without a time, a deadline or a reason', () => {
    const row = { waitingForMs: null, overdueMs: null, reason: null }
    expect(said(row, peace({}, 0))).to.deep.equal([
      'stuck: stopping (null) at 2: without a time since when it waits and a deadline and a reason',
    ])
  })

  it('stuck: a session that an agent could take for long enough', () => {
    const pending = { status: 'pending', reason: 'no_agent_online' }
    expect(said(pending)).to.deep.equal([
      'stuck: pending (no_agent_online) at 2: an agent could take it and was not given it',
    ])
    expect(said({ ...pending, waitingForMs: 7_000 })).to.deep.equal([])
    expect(said(pending, peace({ 'edge-1': 7_000 }))).to.deep.equal([])
    expect(said(pending, peace({}))).to.deep.equal([])
  })

  it('a session that can go to one agent alone waits for that one', () => {
    const pending = { status: 'pending', reason: 'no_agent_online', onlyOn: 'edge-2' }
    expect(said(pending)).to.deep.equal([])
    expect(said(pending, peace({ 'edge-1': 0, 'edge-2': 60_000 }))).to.have.length(1)
  })
})

describe('the order of a lane, as seen on the wire', () => {
  const heard = (...frames: readonly (readonly [connection: object, session: string, generation: number])[]) => {
    const order = createLaneOrder('edge-1')
    for (const [connection, session, generation] of frames) order.command(connection, session, generation)
    return order.findings().map(({ kind, session, what }) => `${kind} ${session}: ${what}`)
  }
  const one = {}
  const other = {}

  it('the same generation again, and any order of different sessions, is in order', () => {
    expect(heard([one, 's', 1], [one, 't', 9], [one, 's', 2], [one, 's', 2], [one, 't', 10])).to.deep.equal([])
  })

  it('reordered: a lower generation of a session after a higher one', () => {
    expect(heard([one, 's', 2], [one, 's', 1], [one, 's', 3])).to.deep.equal([
      'reordered s: the command of 1 was sent to edge-1 after that of 2, on one connection',
    ])
  })

  it('another connection begins anew: the database may have been restored meanwhile', () => {
    expect(heard([one, 's', 5], [other, 's', 2])).to.deep.equal([])
  })
})
