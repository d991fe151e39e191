import { expect } from 'chai'
import { E } from '../../domain/fp.ts'
import type { Caller } from '../../domain/identity/caller.ts'
import type { CommandId } from '../../domain/ids.ts'
import type { CommandChange } from '../../domain/outbox/intervene.ts'
import type { CommandView } from '../../domain/ports/sessions.ts'
import type { CommitConflict } from '../../domain/ports/unit-of-work.ts'
import { changeCommands } from '../../src/usecases/change-command.ts'
import { aCaller } from '../support/a-caller.ts'
import { AGENT, aSession, ORG, SESSION, T0, timeouts } from '../support/a-session.ts'
import { anAgent } from '../support/an-agent.ts'
import { conflict, fixedClock, leftOf, notReserved, recordedWake, rightOf } from '../support/fake-ports.ts'

const ID = 'command-1' as CommandId
const dead: CommandView = {
  id: ID,
  sessionId: SESSION,
  agentId: AGENT,
  type: 'start_session',
  generation: 3,
  status: 'dead',
  attempts: 20,
  nextAttemptAt: null,
  expiresAt: null,
  lastError: null,
  createdAt: T0,
  sentAt: null,
  ackedAt: null,
  finishedAt: T0,
  revision: 1,
}
const pending: CommandView = { ...dead, status: 'pending' }

/** Each try meets the next of `conflicts`; after them it is written. `reads`: what each reading finds, the last one stays. */
const operating = (
  reads: readonly (CommandView | null)[],
  setting: { conflicts?: readonly CommitConflict[]; cordoned?: boolean } = {},
) => {
  const log: string[] = []
  const tried: CommandChange[] = []
  const scopes: unknown[] = []
  let read = 0
  const { wake, woken } = recordedWake(log)
  const commands = changeCommands({
    commands: {
      get: async (scope) => {
        scopes.push(scope)
        return reads[Math.min(read++, reads.length - 1)] ?? null
      },
      change: async (change) => {
        tried.push(change)
        const refusal = setting.conflicts?.[tried.length - 1]
        if (refusal !== undefined) return E.left(refusal)
        log.push('committed')
        return E.right(undefined)
      },
    },
    sessions: { loadMany: async () => [aSession({ status: 'failed', statusReason: 'delivery_failed' })] },
    agents: { get: async () => anAgent({ cordoned: setting.cordoned ?? false }) },
    wake,
    clock: fixedClock,
    timeouts,
  })
  return { commands, log, tried, woken, scopes }
}

const viewer: Caller = aCaller({ role: 'viewer' })
const user: Caller = aCaller({ role: 'user' })

describe('an operator’s word on a command', () => {
  it('redrives: committed, and the agent is woken after that', async () => {
    const { commands, log, tried, woken } = operating([dead, pending])
    expect(rightOf(await commands.redrive(aCaller(), ID, null)()).status).to.equal('pending')
    expect(log).to.deep.equal(['committed', 'woke'])
    expect(woken).to.deep.equal([AGENT])
    expect(tried[0]?.decision.events[0]?.actor).to.equal('user:ada')
  })

  it('cancels, and wakes nobody for it', async () => {
    const { commands, tried, woken } = operating([pending])
    await commands.cancel(aCaller(), ID, null)()
    expect(tried.map(({ becomes }) => becomes)).to.deep.equal(['cancelled'])
    expect(woken).to.deep.equal([])
  })

  it('is decided again when someone else was faster, with what is so by then', async () => {
    const { commands, tried } = operating([pending, { ...pending, status: 'done' }], { conflicts: [conflict] })
    expect(leftOf(await commands.cancel(aCaller(), ID, null)())).to.deep.include({
      _tag: 'CommandNotCancellable',
      status: 'done',
    })
    expect(tried).to.have.length(1)
  })

  it('that always meets someone faster is given up and said', async () => {
    const { commands, tried } = operating([dead], { conflicts: Array(20).fill(conflict) })
    expect(leftOf(await commands.redrive(aCaller(), ID, null)())._tag).to.equal('Contended')
    expect(tried).to.have.length(10)
  })

  for (const cordoned of [false, true])
    it(`says that the agent ${cordoned ? 'is cordoned' : 'has no room'} when it cannot have its capacity again`, async () => {
      const { commands, woken } = operating([dead], { conflicts: [notReserved], cordoned })
      expect(leftOf(await commands.redrive(aCaller(), ID, null)())).to.deep.equal({
        _tag: 'NoCapacity',
        agentId: AGENT,
        cordoned,
      })
      expect(woken).to.deep.equal([])
    })

  it('is for operators: others who see the command are told so, those who do not see it are not', async () => {
    for (const caller of [viewer, user]) {
      for (const operation of ['redrive', 'cancel'] as const) {
        const { commands, tried } = operating([dead])
        expect(leftOf(await commands[operation](caller, ID, null)())).to.deep.equal({
          _tag: 'Forbidden',
          permission: 'operate',
        })
        expect(tried).to.deep.equal([])
        expect(leftOf(await operating([null]).commands[operation](caller, ID, null)())._tag).to.equal('NotFound')
      }
    }
  })

  it('is within the scope of the caller', async () => {
    const { commands, scopes } = operating([dead])
    expect(rightOf(await commands.get(viewer, ID)()).id).to.equal(ID)
    expect(leftOf(await commands.get(user, ID)())._tag).to.equal('Forbidden')
    expect(leftOf(await operating([null]).commands.get(viewer, ID)())._tag).to.equal('NotFound')
    expect(scopes).to.deep.equal([
      { orgId: ORG, ownerId: null },
      { orgId: ORG, ownerId: 'ada' },
    ])
  })
})
