/** What holds whatever people ask, agents say and time does, in any order. */
import { expect } from 'chai'
import fc from 'fast-check'
import { type Decision, isUnchanged } from '../../../domain/session/session.ts'
import type { DesiredState, SessionStatus } from '../../../domain/session/words.ts'
import { begin, beginnings, type History, happen, type Step, steps, type Told } from '../../support/session-history.ts'

/** Status against desired state: what there can be, and nothing else. */
const combinations: { readonly [D in DesiredState]: readonly SessionStatus[] } = {
  running: ['pending', 'scheduling', 'running', 'failed', 'stopped', 'hibernated'],
  hibernated: ['hibernating', 'hibernated', 'failed'],
  stopped: ['stopping', 'stopped', 'failed'],
  deleted: ['deleting'],
}
const settled: readonly SessionStatus[] = ['running', 'hibernated', 'stopped', 'failed']

const intents: readonly Step['kind'][] = ['asked', 'forced']
const reports: readonly Step['kind'][] = ['status', 'result', 'inventory']
const raisesVersion: readonly Step['kind'][] = [...intents, 'patched']
const places: readonly Step['kind'][] = ['asked', 'placement']

const isRestored = (told: Told) => told.decision?.events.some(({ type }) => type === 'restored') === true
const isRepaired = ({ events }: Decision) => events.some(({ type }) => type === 'repair_requested')
const isRepair = (told: Told) => told.decision !== null && isRepaired(told.decision)

const always = (check: (history: History) => void, checkStep: (told: Told) => void = () => {}) =>
  fc.assert(
    fc.property(beginnings, steps, (beginning, happenings) => {
      let history = begin(beginning)
      check(history)
      for (const step of happenings) {
        const told = happen(history, step)
        checkStep(told)
        history = told.after
        check(history)
      }
    }),
    { numRuns: 120 },
  )
const eachStep = (checkStep: (told: Told) => void) => always(() => {}, checkStep)

describe('whatever happens to a session', () => {
  it('status and desired state go together', () => {
    always(({ session }) => expect(combinations[session.desiredState]).to.include(session.status))
  })

  it('what waits has since when, until when and why; what is settled or gone has no wait', () => {
    always(({ session }) => {
      if (settled.includes(session.status) || session.deletedAt !== null)
        expect([session.waitingSince, session.statusDeadline]).to.deep.equal([null, null])
      else {
        expect(session.waitingSince).not.to.equal(null)
        expect(session.statusDeadline?.getTime()).to.be.greaterThan(session.waitingSince?.getTime() ?? Infinity)
        expect(session.statusReason).not.to.equal(null)
      }
      if (session.status === 'failed') expect(session.statusReason).not.to.equal(null)
    })
  })

  it('nothing is observed of a generation that was not asked for', () => {
    always(({ session }) => expect(session.observedGeneration).to.be.at.most(session.generation))
  })

  it('generation and version rise by one with each intent that changes something, version also with a change', () => {
    eachStep((told) => {
      const { before, after, step, decision } = told
      const generation = after.session.generation - before.session.generation
      const version = after.session.version - before.session.version
      const changed = decision !== null && !isUnchanged(decision)
      if (isRestored(told)) {
        expect(generation).to.be.greaterThan(0)
        expect(version).to.equal(1)
      } else {
        expect(generation).to.equal((changed && intents.includes(step.kind)) || isRepair(told) ? 1 : 0)
        expect(version).to.equal((changed && raisesVersion.includes(step.kind)) || isRepair(told) ? 1 : 0)
      }
    })
  })

  it('reports change what was asked only when the row is older than the agent, or to repair', () => {
    eachStep((told) => {
      if (!reports.includes(told.step.kind) || isRestored(told) || isRepair(told)) return
      const { desiredState, generation, version, incarnation, deletedAt } = told.before.session
      expect(told.after.session).to.deep.include({ desiredState, generation, version, incarnation })
      if (desiredState !== 'deleted') expect(told.after.session.deletedAt).to.equal(deletedAt)
    })
  })

  it('revision rises by one with every write, and what is not written stays the very same', () => {
    eachStep(({ before, decision }) => {
      if (decision === null) return
      expect(decision.previous).to.equal(before.session)
      if (isUnchanged(decision)) expect([decision.events, decision.command]).to.deep.equal([[], null])
      else expect(decision.session.revision).to.equal(before.session.revision + 1)
    })
  })

  it('events are of the row’s generation', () => {
    eachStep(({ decision }) => {
      for (const event of decision?.events ?? []) expect(event.generation).to.equal(decision?.session.generation)
    })
  })

  it('each generation has at most one command, of that generation and to the row’s agent', () => {
    always(
      ({ commands }) => expect(new Set(commands.map(({ generation }) => generation)).size).to.equal(commands.length),
      ({ decision }) => {
        if (decision?.command == null) return
        expect(decision.command).to.deep.include({
          generation: decision.session.generation,
          agentId: decision.session.agentId,
          payload: {
            state: decision.session.desiredState,
            incarnation: decision.session.incarnation,
            ...(isRepaired(decision) ? { repair: 1 } : {}),
          },
        })
      },
    )
  })

  it('each generation that an agent must know of has its command', () => {
    eachStep((told) => {
      const { after, decision } = told
      if (decision === null || after.session.generation === told.before.session.generation || isRestored(told)) return
      expect(decision.command !== null).to.equal(after.session.agentId !== null && after.session.status !== 'pending')
    })
  })

  it('capacity is held wherever something may run, and only there', () => {
    always(({ session, mayRun }) => {
      for (const agentId of mayRun) expect(session.reservedOn).to.equal(agentId)
      if (session.reservedOn !== null) expect(session.reservedOn).to.equal(session.agentId)
    })
  })

  it('capacity is taken by a placement or by the agent’s word, and released by its word alone', () => {
    eachStep(({ before, after, step }) => {
      const [held, holds] = [before.session.reservedOn, after.session.reservedOn]
      if (held === holds) return
      if (reports.includes(step.kind)) expect('agentId' in step && step.agentId).to.equal(held ?? holds)
      else {
        expect(places).to.include(step.kind)
        expect(held).to.equal(null)
      }
    })
  })

  it('a tombstone stays one, dated as it was, and asks nothing of anybody', () => {
    eachStep(({ before, after, decision }) => {
      if (before.session.deletedAt === null) return
      expect(after.session).to.deep.include({
        deletedAt: before.session.deletedAt,
        desiredState: 'deleted',
        status: 'deleting',
        generation: before.session.generation,
      })
      expect(decision?.command ?? null).to.equal(null)
      expect(decision?.events ?? []).to.deep.equal([])
    })
  })

  it('the last output is there only when it failed', () => {
    always(({ session }) => {
      if (session.observed.lastOutput !== null) expect(session.status).to.equal('failed')
    })
  })

  it('delete is accepted, and what may be asked does not depend on anything but the row', () => {
    eachStep(({ before, step, decision }) => {
      if (step.kind === 'asked' && step.action === 'delete' && before.session.deletedAt === null)
        expect(decision?.session.desiredState).to.equal('deleted')
    })
  })
})
