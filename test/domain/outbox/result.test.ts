import { expect } from 'chai'
import fc from 'fast-check'
import type { CommandId } from '../../../domain/ids.ts'
import { applyResult, LONGEST_RETRY_MS, MAX_FAILURES, retryInMs } from '../../../domain/outbox/result.ts'
import type { CommandResult } from '../../../domain/ports/delivery.ts'
import { isUnchanged, type Session } from '../../../domain/session/session.ts'
import { AGENT, anEndpoint, aSession, aTombstone, heard, later, OTHER_AGENT, SESSION } from '../../support/a-session.ts'

const aResult = (changes: Partial<CommandResult> = {}): CommandResult => ({
  commandId: '01890a5d-ac96-774b-bcce-b302099a8c01' as CommandId,
  sessionId: SESSION,
  generation: 3,
  outcome: 'applied',
  error: null,
  observed: null,
  ...changes,
})
const failure = (retryable: boolean, code = 'engine', message = 'no space left') => ({
  outcome: 'failed' as const,
  error: { code, message, retryable },
})
const apply = (session: Session, result: Partial<CommandResult>, failures = 0, agentId = AGENT) =>
  applyResult(session, aResult(result), heard({ agentId }), { failures, random: 0.5 })

const applied = (session: Session, result: Partial<CommandResult>, failures = 0) => {
  const { outcome, fate } = apply(session, result, failures)
  if (outcome.kind !== 'decided') expect.fail(`it was ${outcome.kind}`)
  return { ...outcome.decision, decision: outcome.decision, fate }
}

describe('the result of a command', () => {
  it('of another agent or of a generation that nobody asked for says nothing, not even of its row in the outbox', () => {
    for (const outcome of ['applied', 'superseded', 'failed', 'rejected'] as const) {
      expect(apply(aSession(), { outcome }, 0, OTHER_AGENT)).to.deep.equal({
        outcome: { kind: 'not_yours' },
        fate: null,
      })
      expect(apply(aSession(), { outcome, generation: 4 })).to.deep.equal({
        outcome: { kind: 'unexpected_generation' },
        fate: null,
      })
    }
  })

  it('of an older generation finishes its row and does not touch the session', () => {
    const fateOf = (result: Partial<CommandResult>) => {
      const { outcome, fate } = apply(aSession(), { ...result, generation: 2 })
      expect(outcome).to.deep.equal({ kind: 'stale' })
      return fate?.status
    }
    expect(fateOf({ outcome: 'applied' })).to.equal('done')
    expect(fateOf({ outcome: 'superseded' })).to.equal('superseded')
    expect(fateOf({ outcome: 'rejected' })).to.equal('dead')
    expect(fateOf(failure(false))).to.equal('failed')
  })

  it('applied: what was asked is so, also when the agent does not say what it sees', () => {
    for (const [status, becomes] of [
      ['scheduling', 'running'],
      ['hibernating', 'hibernated'],
      ['stopping', 'stopped'],
    ] as const) {
      const { session, fate } = applied(aSession({ status }), {})
      expect(session.status).to.equal(becomes)
      expect(session.observedGeneration).to.equal(3)
      expect(fate).to.deep.equal({ status: 'done', error: null })
    }
  })

  it('applied: what the agent sees is taken over', () => {
    const { session } = applied(aSession({ status: 'scheduling' }), {
      observed: { status: 'running', endpoint: anEndpoint },
    })
    expect(session.observed.endpoint).to.deep.equal(anEndpoint)
    const starting = applied(aSession({ status: 'scheduling' }), { observed: { status: 'starting' } })
    expect([starting.session.status, starting.fate?.status]).to.deep.equal(['scheduling', 'done'])
  })

  it('applied: a deleted session is a tombstone', () => {
    const { session, fate } = applied(aSession({ status: 'deleting' }), {})
    expect(session).to.deep.include({ deletedAt: later(100), reservedOn: null })
    expect(fate?.status).to.equal('done')
  })

  it('applied, while something runs that is to rest or to be gone: the generation meant something else to the agent', () => {
    for (const status of ['stopping', 'hibernating', 'deleting'] as const)
      for (const has of ['running', 'starting'] as const) {
        const { decision, fate } = applied(aSession({ status }), { observed: { status: has } })
        expect(isUnchanged(decision)).to.equal(true)
        expect(fate?.status).to.equal('superseded')
      }
    expect(applied(aSession({ status: 'deleting' }), { observed: { status: 'stopped' } }).fate?.status).to.equal('done')
  })

  it('superseded: the session stays as it is', () => {
    const { decision, fate } = applied(aSession({ status: 'stopping' }), { outcome: 'superseded' })
    expect(isUnchanged(decision)).to.equal(true)
    expect(fate).to.deep.equal({ status: 'superseded', error: null })
  })

  it('rejected: dead, and the session failed with what the agent says; its capacity is not known to be free', () => {
    const error = { code: 'unsupported', message: 'no such platform feature', retryable: false }
    const { session, fate } = applied(aSession({ status: 'scheduling' }), { outcome: 'rejected', error })
    expect(session).to.deep.include({
      status: 'failed',
      statusReason: 'rejected',
      statusMessage: 'no such platform feature',
      reservedOn: AGENT,
    })
    expect(fate).to.deep.equal({ status: 'dead', error: 'unsupported: no such platform feature' })
    expect(applied(aSession({ status: 'scheduling' }), { outcome: 'rejected' }).fate?.error).to.match(/rejected/)
  })
})

describe('a final failure', () => {
  it('of a start: the session failed, nothing runs, its capacity is free', () => {
    const { session, fate, events } = applied(aSession({ status: 'scheduling' }), {
      ...failure(false, 'image_not_found', 'no such image'),
      observed: { status: 'failed', exitCode: 125, lastOutput: 'boom' },
    })
    expect(session).to.deep.include({
      status: 'failed',
      statusReason: 'image_not_found',
      statusMessage: 'no such image',
      reservedOn: null,
      observedGeneration: 3,
    })
    expect(session.observed).to.deep.include({ exitCode: 125, lastOutput: 'boom' })
    expect(events.map(({ type }) => type)).to.deep.equal(['failed'])
    expect(fate).to.deep.equal({ status: 'failed', error: 'image_not_found: no such image' })
  })

  it('of a restart, while the process of before runs on: failed, and its capacity stays held', () => {
    for (const status of ['running', 'starting'] as const) {
      const { session, fate } = applied(aSession({ status: 'scheduling' }), {
        ...failure(false),
        observed: { status, endpoint: anEndpoint },
      })
      expect(session).to.deep.include({ status: 'failed', statusReason: 'platform_error', reservedOn: AGENT })
      expect(fate?.status).to.equal('failed')
    }
  })

  it('has the reason that was observed, else the error’s code where it is one of ours, else the platform’s', () => {
    const reasonOf = (result: Partial<CommandResult>) =>
      applied(aSession({ status: 'scheduling' }), result).session.statusReason
    const observed = { status: 'failed', reason: 'out_of_memory' } as const
    expect(reasonOf({ ...failure(false, 'image_not_found'), observed })).to.equal('out_of_memory')
    expect(reasonOf(failure(false, 'image_not_found'))).to.equal('image_not_found')
    expect(reasonOf(failure(false, 'ENOSPC'))).to.equal('platform_error')
    expect(reasonOf({ outcome: 'failed' })).to.equal('platform_error')
  })

  it('of a stop or a hibernation: failed, and something may still run', () => {
    for (const status of ['stopping', 'hibernating'] as const) {
      const before = aSession({ status })
      const { session, fate } = applied(before, failure(false))
      expect(session).to.deep.include({ status: 'failed', reservedOn: AGENT, desiredState: before.desiredState })
      expect(fate?.status).to.equal('failed')
    }
  })

  it('of a deletion: it stays deleting, undeliverable', () => {
    const { session } = applied(aSession({ status: 'deleting' }), failure(false))
    expect(session).to.deep.include({ status: 'deleting', statusReason: 'delivery_failed', reservedOn: AGENT })
  })

  it('of a forced deletion leaves the tombstone alone', () => {
    expect(isUnchanged(applied(aTombstone(), failure(false)).decision)).to.equal(true)
  })
})

describe('a failure that may pass', () => {
  it('is noted, and the command is sent again later', () => {
    const before = aSession({ status: 'scheduling' })
    const { session, events, fate } = applied(before, failure(true))
    expect(session).to.deep.include({
      status: 'scheduling',
      statusMessage: 'failed and is tried again: no space left',
      statusDeadline: before.statusDeadline,
      reservedOn: AGENT,
    })
    expect(events).to.deep.equal([])
    expect(fate).to.deep.equal({ status: 'pending', error: 'engine: no space left', retryInMs: 500 })
  })

  it('said twice in the same words is noted once', () => {
    const once = applied(aSession({ status: 'scheduling' }), failure(true)).session
    expect(isUnchanged(applied(once, failure(true), 1).decision)).to.equal(true)
  })

  it('is dead at the tenth time', () => {
    expect(applied(aSession({ status: 'scheduling' }), failure(true), MAX_FAILURES - 2).fate?.status).to.equal(
      'pending',
    )
    const { session, fate } = applied(aSession({ status: 'scheduling' }), failure(true), MAX_FAILURES - 1)
    expect(session).to.deep.include({ status: 'failed', statusReason: 'delivery_failed', reservedOn: AGENT })
    expect(session.statusMessage).to.match(/failed 10 times; last: no space left/)
    expect(fate).to.deep.equal({ status: 'dead', error: 'failed 10 times; last: engine: no space left' })
  })

  it('waits at least half a second, up to twice as long each time, and at most five minutes', () => {
    expect([0, 1, 2, 3].map((failures) => retryInMs(failures, 0.999_999))).to.deep.equal([1000, 2000, 4000, 8000])
    expect(retryInMs(9, 0)).to.equal(500)
    fc.assert(
      fc.property(fc.nat(100), fc.double({ min: 0, max: 0.999_999, noNaN: true }), (failures, random) => {
        expect(retryInMs(failures, random)).to.be.within(500, LONGEST_RETRY_MS)
      }),
      { numRuns: 100 },
    )
  })
})
