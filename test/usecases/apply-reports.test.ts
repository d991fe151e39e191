import { expect } from 'chai'
import type { AgentId, CommandId, SessionId } from '../../domain/ids.ts'
import type { CommandResult, WireReport } from '../../domain/ports/delivery.ts'
import type { Session } from '../../domain/session/session.ts'
import { type AgentReport, applyReports } from '../../src/usecases/apply-reports.ts'
import { AGENT, aSession, OTHER_AGENT, SESSION, timeouts } from '../support/a-session.ts'
import { fixedClock } from '../support/fake-ports.ts'
import { reportStore } from '../support/report-store.ts'

const COMMAND = 'command-1' as CommandId
const SECOND = '01890a5d-ac96-774b-bcce-b302099a8059' as SessionId

const peer = (agentId: AgentId = AGENT, epoch = 1) => ({ agentId, epoch })
const status = (said: WireReport, changes: Partial<Extract<AgentReport, { kind: 'status' }>> = {}): AgentReport => ({
  kind: 'status',
  peer: peer(),
  sessionId: SESSION,
  generation: 3,
  said,
  ...changes,
})
const result = (changes: Partial<CommandResult> = {}, from = peer()): AgentReport => ({
  kind: 'result',
  peer: from,
  sessionId: SESSION,
  result: {
    commandId: COMMAND,
    sessionId: SESSION,
    generation: 3,
    outcome: 'applied',
    error: null,
    observed: null,
    ...changes,
  },
})

const applying = (
  sessions: readonly Session[],
  epochs: { readonly [agentId: string]: number } = { [AGENT]: 1, [OTHER_AGENT]: 1 },
  setting: Parameters<typeof reportStore>[2] = {},
) => {
  const store = reportStore(sessions, epochs, setting)
  let freed = 0
  const apply = applyReports({
    sessions: store,
    reports: store,
    clock: fixedClock,
    timeouts,
    random: () => 0.5,
    capacityFreed: () => {
      freed += 1
    },
  })
  return { apply, store, row: () => store.rows.get(SESSION), freed: () => freed }
}

describe('reports of agents', () => {
  it('several of one session are one write, with the events of each', async () => {
    const before = aSession({ status: 'scheduling' })
    const { apply, store, row } = applying([before])
    const answers = await apply([
      status({ status: 'starting', reason: 'pulling_image', message: '10 %' }),
      status({ status: 'starting', reason: 'starting' }),
      result({ observed: { status: 'running' } }),
    ])
    expect(answers).to.deep.equal(['accepted', 'accepted', 'accepted'])
    expect(store.batches.map((writes) => writes.length)).to.deep.equal([1])
    const [write] = store.batches[0] ?? []
    expect(write?.decision?.previous).to.equal(before)
    expect(write?.decision?.events.map(({ type }) => type)).to.deep.equal(['starting', 'starting', 'running'])
    expect(write?.outcomes).to.deep.equal([{ commandId: COMMAND, fate: { status: 'done', error: null } }])
    expect(row()).to.deep.include({ status: 'running', revision: before.revision + 1 })
  })

  it('of many sessions are one statement', async () => {
    const { apply, store } = applying([aSession(), aSession({ id: SECOND })])
    await apply([status({ status: 'stopped' }), status({ status: 'failed' }, { sessionId: SECOND })])
    expect(store.batches.map((writes) => writes.length)).to.deep.equal([2])
  })

  it('that say nothing new are written nowhere', async () => {
    const { apply, store } = applying([aSession()])
    expect(await apply([status({ status: 'running' }), status({ status: 'failed' }, { generation: 2 })])).to.deep.equal(
      ['accepted', 'accepted'],
    )
    expect(store.batches).to.deep.equal([])
  })

  it('that change only a command leave the row alone', async () => {
    const { apply, store } = applying([aSession()])
    await apply([result({ generation: 2 })])
    expect(store.batches[0]).to.deep.include({
      peer: peer(),
      sessionId: SESSION,
      decision: null,
      outcomes: [{ commandId: COMMAND, fate: { status: 'done', error: null } }],
      doneUpTo: null,
    })
  })

  it('of what is not theirs, or was not asked for, are answered so; the others of the batch are written', async () => {
    const { apply, row } = applying([aSession()])
    expect(
      await apply([
        status({ status: 'failed' }, { sessionId: SECOND }),
        status({ status: 'failed' }, { generation: 4 }),
        status({ status: 'stopped' }),
        status({ status: 'failed' }, { peer: peer(OTHER_AGENT) }),
      ]),
    ).to.deep.equal(['not_yours', 'unexpected_generation', 'accepted', 'not_yours'])
    expect(row()?.status).to.equal('stopped')
  })

  it('of a superseded command tell when the agent knows more than the row: nothing newer was sent', async () => {
    const { apply, store } = applying([aSession({ status: 'scheduling', observedGeneration: 2 })])
    expect(
      await apply([
        result({ outcome: 'superseded', generation: 2, commandId: 'command-0' as CommandId }),
        result({ outcome: 'superseded' }),
      ]),
    ).to.deep.equal(['accepted', 'outpaced'])
    expect(store.batches.flat().flatMap(({ outcomes }) => outcomes.map(({ fate }) => fate.status))).to.deep.equal([
      'superseded',
      'superseded',
    ])
  })

  it('of a row that someone else changed meanwhile are decided again on what there is now', async () => {
    const { apply, store, row } = applying([aSession({ status: 'scheduling' })], undefined, {
      meanwhile: [(rows) => rows.set(SESSION, aSession({ status: 'stopping', generation: 4, revision: 10 }))],
    })
    const answers = await apply([result({ observed: { status: 'running' } })])
    expect(answers).to.deep.equal(['accepted'])
    expect(store.batches.map(([write]) => write?.decision === null)).to.deep.equal([false, true])
    expect(store.batches[1]?.[0]?.outcomes, 'its command is done all the same').to.have.length(1)
    expect(row()).to.deep.include({ status: 'stopping', generation: 4 })
  })

  it('that never win are handed back, to be handed over again', async () => {
    let revision = 100
    const { apply, store } = applying([aSession({ status: 'scheduling' })], undefined, {
      meanwhile: Array(50).fill((rows: Map<SessionId, Session>) =>
        rows.set(SESSION, aSession({ status: 'scheduling', revision: revision++ })),
      ),
    })
    const lost = await apply([status({ status: 'running' })]).then(
      () => null,
      (error: Error) => error.message,
    )
    expect(lost).to.contain('lost 10 races')
    expect(store.batches).to.have.length(10)
  })

  it('under an epoch that has moved on are fenced, and the same agent’s newer connection is not', async () => {
    const { apply, row, store } = applying([aSession({ status: 'scheduling' }), aSession({ id: SECOND })], {
      [AGENT]: 2,
    })
    const answers = await apply([
      status({ status: 'failed' }, { peer: peer(AGENT, 1) }),
      status({ status: 'failed' }, { peer: peer(AGENT, 1), sessionId: SECOND }),
      status({ status: 'running' }, { peer: peer(AGENT, 2) }),
      status({ status: 'stopped' }, { peer: peer(AGENT, 2), sessionId: SECOND }),
    ])
    expect(answers).to.deep.equal(['fenced', 'fenced', 'accepted', 'accepted'])
    expect([row()?.status, store.rows.get(SECOND)?.status]).to.deep.equal(['running', 'stopped'])
  })

  it('of two agents about one session are taken one after the other, and only its own counts', async () => {
    const moved = aSession({ agentId: OTHER_AGENT, reservedOn: OTHER_AGENT, status: 'scheduling' })
    const { apply, row } = applying([moved])
    expect(
      await apply([
        status({ status: 'failed' }),
        status({ status: 'running' }, { peer: peer(OTHER_AGENT) }),
        status({ status: 'stopped' }),
      ]),
    ).to.deep.equal(['not_yours', 'accepted', 'not_yours'])
    expect(row()?.status).to.equal('running')
  })

  it('that free capacity say so, once it is written', async () => {
    const ended = applying([aSession()])
    await ended.apply([status({ status: 'stopped' })])
    expect(ended.freed()).to.equal(1)
    const fenced = applying([aSession()], { [AGENT]: 7 })
    await fenced.apply([status({ status: 'stopped' })])
    expect(fenced.freed()).to.equal(0)
  })

  it('of a failure that may pass are counted with those before', async () => {
    const error = { code: 'engine', message: 'busy', retryable: true }
    const { apply, store, row } = applying([aSession({ status: 'scheduling' })], undefined, {
      failures: [[COMMAND, 9]],
    })
    await apply([result({ outcome: 'failed', error })])
    expect(store.batches[0]?.[0]?.outcomes[0]?.fate.status).to.equal('dead')
    expect(row()).to.deep.include({ status: 'failed', statusReason: 'delivery_failed' })
    const first = applying([aSession({ status: 'scheduling' })])
    await first.apply([result({ outcome: 'failed', error })])
    expect(first.store.batches[0]?.[0]?.outcomes[0]?.fate).to.deep.include({ status: 'pending', retryInMs: 500 })
  })
})
