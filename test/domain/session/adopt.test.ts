import { expect } from 'chai'
import type { OrgId, SessionId } from '../../../domain/ids.ts'
import { type Adoptable, adopt } from '../../../domain/session/adopt.ts'
import { restart, stop } from '../../../domain/session/decide.ts'
import { observe } from '../../../domain/session/observe.ts'
import { reportOf } from '../../../domain/session/report.ts'
import type { ObservedStatus } from '../../../domain/session/words.ts'
import {
  AGENT,
  anEndpoint,
  anIntent,
  aSession,
  heard,
  later,
  ORG,
  placedOn,
  timeouts,
} from '../../support/a-session.ts'
import { anAgent, full } from '../../support/an-agent.ts'
import { leftOf, rightOf } from '../../support/fake-ports.ts'

const LOST = '01890a5d-ac96-774b-bcce-b302099a8fff' as SessionId
const draft = aSession({
  status: 'pending',
  agentId: null,
  reservedOn: null,
  generation: 1,
  observedGeneration: 0,
  version: 1,
  revision: 1,
})
const by = { actor: 'user:olga', at: later(100), timeouts }

const found = (
  changes: Partial<Adoptable['orphan']> = {},
  rest: Partial<Omit<Adoptable, 'orphan'>> = {},
): Adoptable => ({
  orphan: { sessionId: LOST, generation: 7, status: 'running', reason: 'unknown', ...changes },
  removal: null,
  agent: anAgent(),
  ...rest,
})
const adopted = (adoptable: Adoptable) => rightOf(adopt(draft, adoptable, by))

describe('adopting an orphan', () => {
  type Case = readonly [ObservedStatus, status: string, desired: string, reservedOn: typeof AGENT | null]
  const cases: readonly Case[] = [
    ['starting', 'scheduling', 'running', AGENT],
    ['running', 'running', 'running', AGENT],
    ['failed', 'failed', 'running', null],
    ['stopped', 'stopped', 'stopped', null],
    ['hibernated', 'hibernated', 'hibernated', null],
  ]
  for (const [said, status, desiredState, reservedOn] of cases)
    it(`that is ${said} makes a new session that is ${status}, at its generation, without a command`, () => {
      const { previous, session, events, command } = adopted(found({ status: said }))
      expect([previous, command]).to.deep.equal([null, null])
      const waits = status === 'scheduling'
      expect(session).to.deep.include({
        id: LOST,
        orgId: draft.orgId,
        userId: draft.userId,
        agentId: AGENT,
        platform: 'process',
        region: 'eu',
        generation: 7,
        observedGeneration: 7,
        status,
        desiredState,
        statusReason: 'restored',
        reservedOn,
        version: 1,
        revision: 1,
        waitingSince: waits ? later(100) : null,
        statusDeadline: waits ? later(400) : null,
      })
      expect(events.map(({ type, actor, generation }) => [type, actor, generation])).to.deep.equal([
        ['restored', 'user:olga', 7],
      ])
      expect(events[0]?.data).to.deep.include({ status, adopted: true, overbooked: false, template: 'hello-web' })
    })

  it('the next inventory adds where it is served and changes nothing else', () => {
    const { session } = adopted(found())
    const outcome = observe(
      session,
      reportOf(7, { status: 'running', reason: 'restored', endpoint: anEndpoint }),
      heard(),
    )
    if (outcome.kind !== 'decided') throw new Error(outcome.kind)
    expect(outcome.decision.session).to.deep.include({ status: 'running', statusReason: 'restored', generation: 7 })
    expect(outcome.decision.session.observed.endpoint).to.deep.equal(anEndpoint)
  })

  it('what is asked of it then is above what the agent has, and a restart is one that it has not made', () => {
    const { session } = adopted(found())
    expect(rightOf(stop(session, anIntent())).command).to.deep.include({ type: 'stop_session', generation: 8 })
    // Of seven generations the first was no restart.
    expect(rightOf(restart(session, placedOn(), anIntent())).session.incarnation).to.be.above(6)
  })

  it('that has no room any more is adopted all the same, and says so', () => {
    const crowded = anAgent({ ...full, cordoned: true, status: 'offline' })
    const { session, events } = adopted(found({}, { agent: crowded }))
    expect(session.reservedOn).to.equal(AGENT)
    expect(session.statusMessage).to.match(/more than its capacity now: without it, it holds 10 of 10 sessions/)
    expect(events[0]?.data).to.include({ overbooked: true })
    // What takes no room overbooks nothing.
    expect(adopted(found({ status: 'stopped' }, { agent: crowded })).events[0]?.data).to.include({ overbooked: false })
  })

  it('that is another agent’s session, or on its way out, is refused', () => {
    expect(leftOf(adopt(draft, found({ reason: 'not_yours' }), by))).to.deep.equal({
      _tag: 'OrphanNotAdoptable',
      sessionId: LOST,
      why: 'not_yours',
    })
    expect(leftOf(adopt(draft, found({}, { removal: 'pending' }), by))).to.deep.include({ why: 'being_removed' })
    for (const removal of ['dead', 'failed', 'cancelled'] as const) adopted(found({}, { removal }))
  })

  it('of a platform that the template is not for, or an agent of another org, is refused', () => {
    const other = leftOf(adopt(draft, found({}, { agent: anAgent({ platform: 'docker' }) }), by))
    expect(other._tag === 'NoAgent' && other.refusals.map(({ reason }) => reason)).to.deep.equal(['other_platform'])
    const theirs = leftOf(adopt(draft, found({}, { agent: anAgent({ orgId: 'globex' as OrgId }) }), by))
    expect(theirs._tag === 'NoAgent' && theirs.detail).to.equal('agent edge-1, which has it, belongs to another org')
    expect(adopted(found({}, { agent: anAgent({ orgId: null }) })).session.orgId).to.equal(ORG)
  })
})
