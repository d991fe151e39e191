/** The judge of fault runs: each kind of wrong is called by its name, and what is right by none. */
import { expect } from 'chai'
import {
  alwaysWrong,
  createLedgers,
  type Facts,
  type OutboxRow,
  type Restore,
  type SessionRow,
  wrongAtTheEnd,
} from '../../scripts/faults/check.ts'
import type { LedgerLine, LedgerState } from '../../scripts/faults/ledger.ts'
import { newPromise, type Promised, promise } from '../../scripts/faults/promises.ts'

const aRow = (row: Partial<SessionRow> = {}): SessionRow => ({
  id: 's',
  agentId: 'edge-1',
  reservedOn: 'edge-1',
  desired: 'running',
  generation: 1,
  observedGeneration: 1,
  status: 'running',
  reason: null,
  deleted: false,
  label: null,
  ...row,
})

const aCommand = (row: Partial<OutboxRow> = {}): OutboxRow => ({
  session: 's',
  generation: 1,
  agentId: 'edge-1',
  status: 'done',
  sentAtMs: 1_000,
  ...row,
})

const anEffect = (at: number, generation: number, state: LedgerState = 'running', session = 's'): LedgerLine => ({
  what: 'effect',
  at,
  session,
  generation,
  state,
  incarnation: 0,
  epoch: 1,
  left: state !== 'deleted',
  home: true,
})

const said = (generation: number, desiredState: LedgerState = 'running') => ({
  id: 's',
  agentId: 'edge-1',
  status: 'scheduling',
  generation,
  desiredState,
})

const promised = (...later: readonly (readonly [number, LedgerState])[]): Promised => {
  const made = newPromise(said(1), 'default')
  for (const [generation, desired] of later) promise(made, said(generation, desired))
  return made
}

type Given = Partial<Omit<Facts, 'ledgers'>> & {
  readonly lines?: { readonly [agentId: string]: readonly LedgerLine[] }
}

const facts = ({ lines = { 'edge-1': [anEffect(1, 1)] }, ...given }: Given = {}): Facts => {
  const ledgers = createLedgers()
  for (const [agentId, of] of Object.entries(lines)) for (const line of of) ledgers.add(agentId, line)
  return {
    sessions: [aRow()],
    outbox: [aCommand()],
    agents: [{ id: 'edge-1', allocatedSessions: 1, reservedSessions: 1 }],
    promises: [promised()],
    restores: [],
    ...given,
    ledgers: ledgers.done(),
  }
}

const kindsOf = (given: Given): readonly string[] => {
  const all = facts(given)
  return [...alwaysWrong(all), ...wrongAtTheEnd(all)].map(({ kind }) => kind)
}

const stoppedTwo = {
  sessions: [aRow({ desired: 'stopped', status: 'stopped', generation: 2, observedGeneration: 2, reservedOn: null })],
  outbox: [aCommand(), aCommand({ generation: 2 })],
  promises: [promised([2, 'stopped'])],
  lines: { 'edge-1': [anEffect(1, 1), anEffect(2, 2, 'stopped')] },
} as const satisfies Given

describe('the judge of a fault run', () => {
  it('finds nothing where everything is as it was promised', () => {
    expect(kindsOf({})).to.deep.equal([])
    expect(kindsOf(stoppedTwo)).to.deep.equal([])
  })

  it('lost: a promised session without a row', () => {
    expect(kindsOf({ sessions: [], lines: {} })).to.deep.equal(['lost'])
  })

  it('lost: a promised generation that the row never reached', () => {
    expect(kindsOf({ promises: [promised([2, 'stopped'])] })).to.include('lost')
  })

  it('lost: a promised generation without a command', () => {
    expect(kindsOf({ ...stoppedTwo, outbox: [aCommand()] })).to.deep.equal(['lost'])
  })

  it('lost: a label that was promised and is not there', () => {
    expect(kindsOf({ promises: [{ ...promised(), patch: 'mine' }] })).to.deep.equal(['lost'])
  })

  it('what was asked without an answer may have been done, and need not', () => {
    const unsure = { ...promised(), loose: ['stopped' as const] }
    expect(kindsOf({ promises: [unsure] })).to.deep.equal([])
    expect(kindsOf({ ...stoppedTwo, promises: [unsure] })).to.deep.equal([])
  })

  it('doubled: two effects at one generation', () => {
    expect(kindsOf({ lines: { 'edge-1': [anEffect(1, 1), anEffect(2, 1)] } })).to.deep.equal(['doubled'])
  })

  it('doubled: a session that runs on two agents', () => {
    const lines = { 'edge-2': [anEffect(0, 0)], 'edge-1': [anEffect(1, 1)] }
    expect(kindsOf({ lines })).to.deep.equal(['doubled'])
  })

  it('reordered: an older generation after a newer one', () => {
    const lines = { 'edge-1': [anEffect(1, 2, 'stopped'), anEffect(2, 1)] }
    expect(kindsOf({ ...stoppedTwo, lines })).to.include('reordered')
  })

  it('what a session left behind on an agent is removed after it has begun on another', () => {
    const lines = { 'edge-2': [anEffect(1, 1), anEffect(4, 2, 'deleted')], 'edge-1': [anEffect(2, 2), anEffect(3, 3)] }
    const moved = {
      sessions: [aRow({ generation: 3, observedGeneration: 3 })],
      outbox: [1, 2, 3].map((generation) => aCommand({ generation })),
    }
    const promises = [promised([2, 'running'], [3, 'running'])]
    expect(kindsOf({ ...moved, promises, lines })).to.deep.equal([])
    const twice = { ...lines, 'edge-2': [anEffect(1, 2), anEffect(4, 2, 'deleted')] }
    expect(kindsOf({ ...moved, promises, lines: twice })).to.include('doubled')
  })

  it('reordered: a command that was sent long after a newer one was promised, or still may be', () => {
    const newer = aCommand({ generation: 2 })
    const late = aCommand({ status: 'superseded', sentAtMs: Date.now() + 5_000 })
    expect(kindsOf({ ...stoppedTwo, promises: [promised([2, 'stopped'])], outbox: [late, newer] })).to.deep.equal([
      'reordered',
    ])
    const pending = aCommand({ status: 'pending', sentAtMs: null })
    expect(kindsOf({ ...stoppedTwo, outbox: [pending, newer] })).to.include('reordered')
    const superseded = aCommand({ status: 'superseded', sentAtMs: null })
    expect(kindsOf({ ...stoppedTwo, outbox: [superseded, newer] })).to.deep.equal([])
  })

  it('stale: a row that says what the agent does not have', () => {
    const lines = { 'edge-1': [anEffect(1, 1), { what: 'crashed', at: 2, session: 's' } as const] }
    expect(kindsOf({ lines })).to.deep.equal(['stale'])
    const failed = aRow({ status: 'failed', reason: 'exited_early' })
    expect(kindsOf({ lines, sessions: [failed] })).to.deep.equal([])
  })

  it('stale: a tombstone of which something is left', () => {
    const sessions = [aRow({ deleted: true, desired: 'deleted', status: 'deleting', generation: 2 })]
    expect(kindsOf({ sessions, promises: [] })).to.deep.equal(['stale'])
  })

  it('stuck: a session that waits, and a command that is pending', () => {
    expect(kindsOf({ sessions: [aRow({ status: 'scheduling', observedGeneration: 0 })] })).to.deep.equal(['stuck'])
    expect(kindsOf({ outbox: [aCommand({ status: 'pending', sentAtMs: null })] })).to.deep.equal(['stuck'])
  })

  it('a start that was given up while nobody could take it is no news, unless it runs after all', () => {
    const sessions = [aRow({ status: 'failed', reason: 'placement_timeout', generation: 3, observedGeneration: 2 })]
    const promises = [promised([2, 'stopped'], [3, 'running'])]
    const outbox = [aCommand(), aCommand({ generation: 2 }), aCommand({ generation: 3, status: 'superseded' })]
    const stopped = { 'edge-1': [anEffect(1, 1), anEffect(2, 2, 'stopped')] }
    expect(kindsOf({ sessions, promises, outbox, lines: stopped })).to.deep.equal([])
    const runs = { 'edge-1': [...stopped['edge-1'], anEffect(3, 3)] }
    expect(kindsOf({ sessions, promises, outbox, lines: runs })).to.deep.equal(['stale'])
  })

  it('each look sees every promise: what one has found hides nothing from the next', () => {
    const lost = { ...promised(), patch: 'mine' }
    const late = [promised([2, 'stopped']), lost]
    const outbox = [aCommand({ status: 'pending', sentAtMs: null }), aCommand({ generation: 2 })]
    expect(kindsOf({ ...stoppedTwo, promises: late, outbox })).to.include.members(['lost', 'reordered'])
  })

  it('capacity: what is allocated is not what sessions hold', () => {
    const agents = [{ id: 'edge-1', allocatedSessions: 2, reservedSessions: 1 }]
    expect(kindsOf({ agents })).to.deep.equal(['capacity'])
  })

  it('lost: after a restore, what is beyond what was asked, unless an agent had it before and it is what was asked', () => {
    const lines = { 'edge-1': [anEffect(1, 1), anEffect(3, 3)] }
    const restores = [
      { at: 5, resumedAt: 7, asked: new Set<string>(), touched: new Set(['s']), running: new Set(['s']) },
    ]
    const sessions = [aRow({ generation: 3, observedGeneration: 3 })]
    expect(kindsOf({ sessions, lines, restores })).to.deep.equal([])
    expect(kindsOf({ sessions, lines, restores, promises: [promised([3, 'running'])] })).to.deep.equal([])
    expect(kindsOf({ sessions, lines })).to.deep.equal(['lost'])
    expect(kindsOf({ sessions, lines, restores, promises: [promised([2, 'stopped'])] })).to.include('lost')
  })

  it('destroyed: what ran when an older database was put back, and was ended by nobody', () => {
    const restore: Restore = {
      at: 5,
      resumedAt: 7,
      asked: new Set<string>(),
      touched: new Set(['s', 'forgotten']),
      running: new Set(['s', 'forgotten']),
    }
    const given = { restores: [restore], promises: [] }
    expect(
      kindsOf({ ...given, ...stoppedTwo, lines: { 'edge-1': [anEffect(1, 1), anEffect(6, 2, 'stopped')] } }),
    ).to.include('destroyed')
    // The older database has that it was asked for, at this very generation, before the copy.
    for (const [asked, found] of [
      ['s:2', []],
      ['s:3', ['destroyed']],
    ] as const)
      expect(
        kindsOf({
          ...given,
          ...stoppedTwo,
          restores: [{ ...restore, asked: new Set([asked]) }],
          lines: { 'edge-1': [anEffect(1, 1), anEffect(6, 2, 'stopped')] },
        }),
      ).to.deep.equal(found)
    // Later it is what somebody asked for; of what no row remembers nobody can ask anything.
    expect(
      kindsOf({ ...given, ...stoppedTwo, lines: { 'edge-1': [anEffect(1, 1), anEffect(8, 2, 'stopped')] } }),
    ).to.deep.equal([])
    const forgotten = [anEffect(1, 1), anEffect(1, 1, 'running', 'forgotten'), anEffect(9, 2, 'deleted', 'forgotten')]
    expect(kindsOf({ ...given, lines: { 'edge-1': forgotten } })).to.include('destroyed')
  })
})
