import { expect } from 'chai'
import type { Agent } from '../../../domain/agent/agent.ts'
import { E } from '../../../domain/fp.ts'
import { type Outlook, outlookOf } from '../../../domain/placement/outlook.ts'
import { slotFor } from '../../../domain/placement/slot.ts'
import { arrive, leave } from '../../../domain/session/move.ts'
import type { Session } from '../../../domain/session/session.ts'
import { AGENT, anIntent, aSession, OTHER_AGENT } from '../../support/a-session.ts'
import { anAgent, full } from '../../support/an-agent.ts'

const here = anAgent({ cordoned: true, draining: true })
const other = anAgent({ id: OTHER_AGENT })
/** Runs, and has nothing that it could not leave behind. */
const light = (changes: Partial<Session> = {}): Session => aSession({ persistentHome: false, ...changes })

const outlook = (session: Session, agents: readonly Agent[] = [here, other], moving = false): Outlook =>
  outlookOf(session, agents.find(({ id }) => id === AGENT) ?? here, agents, moving)
const brief = (...about: Parameters<typeof outlook>): readonly [string, string] => {
  const { state, reason } = outlook(...about)
  return [state, reason]
}

describe('what becomes of a session when its agent is drained', () => {
  const cases: readonly (readonly [why: string, found: readonly [string, string], Parameters<typeof outlook>])[] = [
    ['it is on its way', ['moving', 'moving'], [light({ status: 'hibernating' }), [here, other], true]],
    ['it runs, and there is room elsewhere', ['waiting', 'in_turn'], [light()]],
    ['its home is kept', ['staying', 'home_kept'], [aSession()]],
    ['it rests with its home', ['staying', 'home_kept'], [aSession({ status: 'hibernated' })]],
    ['it rests without one', ['at_rest', 'nothing_here'], [light({ status: 'stopped' })]],
    [
      'it was made for this agent',
      ['staying', 'agent_asked'],
      [light({ placement: { platforms: ['process'], platform: null, region: null, agentId: AGENT } })],
    ],
    [
      'it was made for an agent that is gone',
      ['waiting', 'in_turn'],
      [
        light({
          placement: { platforms: ['process'], platform: null, region: null, agentId: anAgent({ id: 'gone' }).id },
        }),
      ],
    ],
    ['it is starting', ['waiting', 'starting'], [light({ status: 'scheduling' })]],
    ['it is being stopped', ['waiting', 'ending'], [light({ status: 'stopping' })]],
    ['it is being deleted', ['waiting', 'ending'], [aSession({ status: 'deleting' })]],
    ['it failed, and holds room still', ['waiting', 'unsettled'], [light({ status: 'failed', reservedOn: AGENT })]],
    ['its agent is away', ['waiting', 'agent_unreachable'], [light(), [anAgent({ status: 'offline' }), other]]],
    ['the others are full', ['waiting', 'no_other_agent'], [light(), [here, anAgent({ id: OTHER_AGENT, ...full })]]],
    ['there is no other', ['staying', 'no_other_agent'], [light(), [here]]],
    [
      'no other has its platform',
      ['staying', 'no_other_agent'],
      [light(), [here, anAgent({ id: 'x', platform: 'docker' })]],
    ],
  ]
  for (const [why, found, about] of cases)
    it(`${found.join(', ')}: ${why}`, () => {
      expect(brief(...about)).to.deep.equal(found)
    })

  it('is told with the reasons of the other agents', () => {
    expect(outlook(light(), [here, anAgent({ id: OTHER_AGENT, ...full })]).message).to.match(
      /no other agent can take it now: edge-2: holds 10 of 10 sessions/,
    )
  })
})

describe('a session that is moved', () => {
  it('is put to rest where it is, then started elsewhere, each time at the next generation', () => {
    const running = light()
    const left = leave(running, anIntent({ actor: 'drain' }))
    expect(left.session).to.deep.include({
      status: 'hibernating',
      statusReason: 'draining',
      desiredState: 'hibernated',
      generation: 4,
      agentId: AGENT,
      reservedOn: AGENT,
    })
    expect(left.command).to.deep.include({ type: 'hibernate_session', agentId: AGENT, generation: 4 })
    expect(left.events[0]).to.deep.include({ type: 'hibernate_requested', actor: 'drain' })

    const resting: Session = { ...left.session, status: 'hibernated', observedGeneration: 4, reservedOn: null }
    const arrived = arrive(resting, slotFor(resting, [here, other]), anIntent({ actor: 'drain' }))
    if (E.isLeft(arrived)) return expect.fail('refused')
    expect(arrived.right.session).to.deep.include({
      status: 'scheduling',
      desiredState: 'running',
      generation: 5,
      agentId: OTHER_AGENT,
      reservedOn: OTHER_AGENT,
    })
    expect(arrived.right.command).to.deep.include({ type: 'wake_session', agentId: OTHER_AGENT, generation: 5 })
  })
})
