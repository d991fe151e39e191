import { expect } from 'chai'
import { cancel, type Operation, redrive } from '../../../domain/outbox/intervene.ts'
import { type CommandStatus, type CommandView, commandStatuses } from '../../../domain/ports/sessions.ts'
import { leave } from '../../../domain/session/move.ts'
import { type DesiredState, desiredStates, type SessionStatus } from '../../../domain/session/words.ts'
import {
  AGENT,
  anIntent,
  aSession,
  aTombstone,
  later,
  OTHER_AGENT,
  SESSION,
  T0,
  timeouts,
} from '../../support/a-session.ts'
import { leftOf, rightOf } from '../../support/fake-ports.ts'

const operation: Operation = { actor: 'user:ada', at: later(500), timeouts }

const aCommand = (changes: Partial<CommandView> = {}): CommandView => ({
  id: 'command-1',
  sessionId: SESSION,
  agentId: AGENT,
  type: 'start_session',
  generation: 3,
  status: 'dead',
  attempts: 20,
  nextAttemptAt: null,
  expiresAt: null,
  lastError: 'sent 20 times without an ack',
  createdAt: T0,
  sentAt: T0,
  ackedAt: null,
  finishedAt: T0,
  revision: 1,
  ...changes,
})

const givenUp = (desiredState: DesiredState) =>
  desiredState === 'deleted'
    ? aSession({ status: 'deleting', statusReason: 'delivery_failed' })
    : aSession({ status: 'failed', desiredState, statusReason: 'delivery_failed', observedGeneration: 2 })

describe('a command that is redriven', () => {
  const awaited: { readonly [D in DesiredState]: readonly [SessionStatus, number] } = {
    running: ['scheduling', 300],
    hibernated: ['hibernating', 60],
    stopped: ['stopping', 60],
    deleted: ['deleting', 60],
  }
  for (const desiredState of desiredStates)
    it(`lets a session that is to be ${desiredState} wait for that anew, at the same generation and version`, () => {
      const before = givenUp(desiredState)
      const { becomes, decision } = rightOf(redrive(before, aCommand(), operation))
      const [status, seconds] = awaited[desiredState]
      expect(becomes).to.equal('pending')
      expect(decision.session).to.deep.include({
        status,
        desiredState,
        statusReason: 'queued_for_agent',
        waitingSince: operation.at,
        statusDeadline: later(500 + seconds),
        generation: before.generation,
        version: before.version,
        revision: before.revision + 1,
      })
      expect(decision.events).to.deep.equal([
        {
          type: 'command_redriven',
          generation: 3,
          actor: 'user:ada',
          at: operation.at,
          data: {
            status,
            reason: 'queued_for_agent',
            message: 'sent again by user:ada; on its way to agent edge-1',
            commandId: 'command-1',
            command: 'start_session',
            agentId: AGENT,
            was: 'dead',
          },
        },
      ])
    })

  it('takes capacity again for what is to run, and for nothing else', () => {
    for (const desiredState of desiredStates) {
      const before = { ...givenUp(desiredState), reservedOn: null }
      const { decision } = rightOf(redrive(before, aCommand(), operation))
      expect(decision.session.reservedOn, desiredState).to.equal(desiredState === 'running' ? AGENT : null)
    }
  })

  it('changes nothing of a session that is as asked, or gone, but its revision', () => {
    for (const before of [aSession(), aSession({ status: 'stopped' }), aTombstone()]) {
      const { decision } = rightOf(redrive(before, aCommand(), operation))
      expect(decision.session).to.deep.equal({
        ...before,
        updatedAt: operation.at,
        revision: before.revision + 1,
      })
    }
  })

  it('is the operator’s where a drain has sent it first, also of a session that rests already', () => {
    const leaving = leave(aSession(), anIntent({ actor: 'drain' })).session
    const rests = { ...leaving, status: 'hibernated', observedGeneration: leaving.generation } as const
    const command = aCommand({ type: 'hibernate_session', generation: leaving.generation })
    const { decision } = rightOf(redrive(rests, command, operation))
    expect(decision.session).to.deep.equal({
      ...rests,
      statusReason: 'by_request',
      statusMessage: null,
      updatedAt: operation.at,
      revision: rests.revision + 1,
    })
  })

  it('is dead or expired', () => {
    const refused = commandStatuses.filter((status) => {
      const answer = redrive(givenUp('running'), aCommand({ status }), operation)
      return answer._tag === 'Left' && answer.left._tag === 'CommandNotRedrivable' && answer.left.status === status
    })
    expect(refused).to.deep.equal(['pending', 'done', 'failed', 'superseded', 'cancelled'] satisfies CommandStatus[])
  })

  it('is the newest of its session, which is still on its agent', () => {
    expect(leftOf(redrive(givenUp('running'), aCommand({ generation: 2 }), operation))).to.deep.equal({
      _tag: 'CommandOutdated',
      commandId: 'command-1',
      generation: 2,
      sessionGeneration: 3,
    })
    const elsewhere = aSession({ agentId: OTHER_AGENT })
    expect(leftOf(redrive(elsewhere, aCommand(), operation))._tag).to.equal('CommandOutdated')
  })
})

describe('a command that is cancelled', () => {
  const pending = aCommand({ status: 'pending', lastError: null, finishedAt: null })

  for (const status of ['scheduling', 'hibernating', 'stopping'] as const)
    it(`ends the wait of a session that is ${status}, and says by whom`, () => {
      const before = aSession({ status })
      const { becomes, error, decision } = rightOf(cancel(before, pending, operation))
      expect([becomes, error]).to.deep.equal(['cancelled', 'cancelled by user:ada'])
      expect(decision.session).to.deep.include({
        status: 'failed',
        statusReason: 'delivery_failed',
        statusMessage: 'start_session was cancelled by user:ada before it was carried out',
        waitingSince: null,
        statusDeadline: null,
        // Whether the agent has begun is not known here: it says so itself.
        reservedOn: AGENT,
        desiredState: before.desiredState,
        generation: before.generation,
        version: before.version,
      })
      expect(decision.events.map(({ type, actor }) => [type, actor])).to.deep.equal([['command_cancelled', 'user:ada']])
    })

  it('leaves a session deleting, with the reason that lets it be deleted again', () => {
    const { decision } = rightOf(cancel(aSession({ status: 'deleting' }), pending, operation))
    expect(decision.session).to.deep.include({ status: 'deleting', statusReason: 'delivery_failed', deletedAt: null })
  })

  it('of an earlier generation, or already carried out, changes nothing of the session but its revision', () => {
    for (const [before, command] of [
      [aSession({ status: 'stopping' }), { ...pending, generation: 2 }],
      [aSession(), pending],
      [aSession({ status: 'stopped' }), pending],
    ] as const) {
      const { decision } = rightOf(cancel(before, command, operation))
      expect(decision.session).to.deep.equal({
        ...before,
        updatedAt: operation.at,
        revision: before.revision + 1,
      })
    }
  })

  it('is pending, and not all that still removes what is left of a session that is gone', () => {
    for (const status of commandStatuses.filter((one) => one !== 'pending'))
      expect(leftOf(cancel(aSession(), aCommand({ status }), operation))).to.deep.equal({
        _tag: 'CommandNotCancellable',
        commandId: 'command-1',
        status,
      })
    expect(leftOf(cancel(aTombstone(), pending, operation)).status).to.equal('pending')
  })
})
