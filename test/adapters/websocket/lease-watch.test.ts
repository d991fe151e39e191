import { expect } from 'chai'
import { createDatabaseState } from '../../../adapters/websocket/database-state.ts'
import { createLeaseWatch, WATCH_EVERY_MS } from '../../../adapters/websocket/lease-watch.ts'
import type { AgentId, ReplicaId } from '../../../domain/ids.ts'
import type { HeldLease, LostLease } from '../../../domain/ports/agents.ts'
import { virtualTime } from './support/virtual-time.ts'

describe('the watch over leases', () => {
  const start = () => {
    const time = virtualTime()
    const warnings: string[] = []
    const log = {
      debug: () => {},
      info: () => {},
      error: () => {},
      warn: (_: object, text: string) => warnings.push(text),
    }
    const asked: (readonly string[])[] = []
    let answer: (held: readonly HeldLease[]) => Promise<readonly LostLease[]> = async () => []
    const watch = createLeaseWatch(
      {
        lost: (held) => {
          asked.push(held.map(({ agentId, epoch }) => `${agentId}/${epoch}`))
          return answer(held)
        },
      },
      'replica-1' as ReplicaId,
      createDatabaseState(log, time),
      time,
    )
    const add = (agentId: string, epoch = 1) => {
      const ended: (readonly [number, string])[] = []
      const watched = {
        agentId: agentId as AgentId,
        epoch,
        tokenHash: undefined,
        end: (code: number, reason: string) => {
          ended.push([code, reason])
          watch.remove(watched)
        },
      }
      watch.add(watched)
      return { watched, ended }
    }
    return {
      time,
      warnings,
      asked,
      watch,
      add,
      answers: (by: typeof answer) => {
        answer = by
      },
    }
  }

  it('asks once for all connections, again and again, and not at all when there is none', async () => {
    const { time, asked, add, watch } = start()
    await time.pass(10 * WATCH_EVERY_MS)
    expect([asked, time.timers()]).to.deep.equal([[], 0])
    const [one] = [add('one'), add('two', 7)]
    await time.pass(WATCH_EVERY_MS)
    expect(asked).to.deep.equal([['one/1', 'two/7']])
    watch.remove(one.watched)
    await time.pass(2 * WATCH_EVERY_MS)
    expect(asked.slice(1)).to.deep.equal([['two/7'], ['two/7']])
  })

  it('ends what is lost, each for its own reason, and leaves the others', async () => {
    const { time, add, answers } = start()
    const [kept, revoked, replaced] = [add('kept'), add('revoked'), add('replaced')]
    answers(async (held) =>
      held.flatMap(({ agentId }, index): LostLease[] => (agentId === 'kept' ? [] : [{ index, why: agentId as never }])),
    )
    await time.pass(WATCH_EVERY_MS)
    expect([kept.ended.length, revoked.ended[0]?.[0], replaced.ended[0]?.[0]]).to.deep.equal([0, 4004, 4003])
  })

  it('asks at once about one that was fenced, once, and ends it for the reason that there is', async () => {
    const { time, asked, watch, add, answers } = start()
    for (const [why, code] of [
      ['revoked', 4004],
      ['replaced', 4003],
    ] as const) {
      const { watched, ended } = add(why)
      answers(async () => [{ index: 0, why }])
      for (let n = 0; n < 3; n += 1) watch.fenced(watched)
      await time.settle()
      expect(ended.map(([given]) => given)).to.deep.equal([code])
    }
    expect(asked).to.have.length(2)
    expect(time.timers()).to.equal(0)
  })

  it('ends one that was fenced also when nobody can say why', async () => {
    const { time, watch, add, answers } = start()
    for (const answer of [async () => [], async () => Promise.reject(new Error('no database'))]) {
      const { watched, ended } = add('one')
      answers(answer)
      watch.fenced(watched)
      await time.settle()
      expect(ended.map(([code]) => code)).to.deep.equal([4003])
    }
  })

  it('ends nothing while the database is away, says so once, and looks again', async () => {
    const { time, warnings, add, answers } = start()
    const { ended } = add('one')
    answers(async () => Promise.reject(new Error('no database')))
    await time.pass(5 * WATCH_EVERY_MS)
    expect([ended, warnings.length]).to.deep.equal([[], 1])
    answers(async () => [{ index: 0, why: 'revoked' }])
    await time.pass(WATCH_EVERY_MS)
    expect(ended).to.have.length(1)
  })

  it('does not end what has ended by itself while it was asking, nor ask twice at a time', async () => {
    const { time, asked, watch, add, answers } = start()
    const { watched, ended } = add('one')
    let tell = (_: readonly LostLease[]): void => {}
    answers(
      () =>
        new Promise((resolve) => {
          tell = resolve
        }),
    )
    await time.pass(3 * WATCH_EVERY_MS)
    expect(asked).to.have.length(1)
    watch.remove(watched)
    tell([{ index: 0, why: 'revoked' }])
    await time.settle()
    expect(ended).to.deep.equal([])
    add('another')
    await time.pass(WATCH_EVERY_MS)
    expect(asked).to.have.length(2)
    watch.stop()
    expect(time.timers()).to.equal(0)
  })
})
