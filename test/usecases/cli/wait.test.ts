import { expect } from 'chai'
import type { Session } from '../../../src/api/session.ts'
import { outcomeOf, waitFor } from '../../../src/cli/wait.ts'
import { UnreachableError } from '../../../src/client/errors.ts'

const session = (changes: Partial<Session>): Session =>
  ({ id: 'x', name: 'mine', desiredState: 'running', status: 'scheduling', deletedAt: null, ...changes }) as Session

describe('waiting for a session', () => {
  it('ends with what was asked, or with what will not become it', () => {
    const kind = (changes: Partial<Session>, wanted: Session['desiredState'] = 'running') =>
      outcomeOf(session({ desiredState: wanted, ...changes }), wanted)?.kind ?? null
    expect(kind({ status: 'pending' })).to.equal(null)
    expect(kind({ status: 'running' })).to.equal('reached')
    expect(kind({ status: 'failed' })).to.equal('failed')
    expect(kind({ status: 'stopped' })).to.equal('failed')
    expect(kind({ status: 'scheduling', desiredState: 'stopped' })).to.equal('overruled')
    expect(kind({ status: 'hibernated' }, 'hibernated')).to.equal('reached')
    expect(kind({ status: 'stopping' }, 'stopped')).to.equal(null)
    expect(kind({ status: 'failed' }, 'deleted')).to.equal(null)
    expect(kind({ status: 'deleting', deletedAt: '2026-01-01T00:00:00Z' }, 'deleted')).to.equal('reached')
  })

  it('looks often at first and then once a second, and bears with a server that is away', async () => {
    let clock = 0
    const pauses: number[] = []
    const troubles: (string | null)[] = []
    const outcome = await waitFor(session({}), 'running', {
      timeoutMs: 10_000,
      now: () => clock,
      sleep: async (ms) => {
        pauses.push(ms)
        clock += ms
      },
      onLook: (_, __, trouble) => troubles.push(trouble),
      client: {
        sessions: {
          getIfChanged: async () => {
            if (clock < 1_000) throw new UnreachableError('http://x', 'broken', 'gone')
            return clock < 8_000 ? null : { session: session({ status: 'running' }), etag: null }
          },
        },
      },
    })
    expect(outcome.kind).to.equal('reached')
    expect(pauses.slice(0, 3)).to.deep.equal([100, 150, 225])
    expect(Math.max(...pauses)).to.equal(1_000)
    expect(troubles[0]).to.equal('no answer from http://x: gone')
    expect(troubles.at(-1)).to.equal(null)
  })

  it('ends in time', async () => {
    let clock = 0
    const outcome = await waitFor(session({}), 'running', {
      timeoutMs: 2_500,
      now: () => clock,
      sleep: async (ms) => {
        clock += ms
      },
      onLook: () => {},
      client: { sessions: { getIfChanged: async () => null } },
    })
    expect(outcome.kind).to.equal('timeout')
    expect(clock).to.equal(2_500)
  })
})
