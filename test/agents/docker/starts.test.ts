/** What is decided while a session is started, without an engine. */
import { expect } from 'chai'
import { execLook } from '../../../agents/docker/await-ready.ts'
import { endingOfDeath } from '../../../agents/docker/bring-up.ts'
import { cannotStart } from '../../../agents/docker/cannot-start.ts'
import type { Inspected } from '../../../agents/docker/engine.ts'
import { EngineError } from '../../../agents/docker/engine-error.ts'
import type { Session } from '../../../agents/docker/session.ts'
import { createTurns } from '../../../agents/docker/turns.ts'
import { exitOf } from '../../../agents/runtime/exit.ts'

const never = new AbortController().signal

describe('turns of what is started unasked', () => {
  it('are so many at a time, in order, and a pause gives its turn to the next', async () => {
    const turns = createTurns(2)
    const order: string[] = []
    let inside = 0
    let most = 0
    const work = async (name: string): Promise<void> => {
      await turns.during(never, async ({ pause }) => {
        inside += 1
        most = Math.max(most, inside)
        order.push(name)
        inside -= 1
        await pause(5)
        inside += 1
        most = Math.max(most, inside)
        order.push(`${name} again`)
        inside -= 1
      })
    }
    await Promise.all(['a', 'b', 'c', 'd'].map(work))
    expect(order.slice(0, 4)).to.deep.equal(['a', 'b', 'c', 'd'])
    expect(order).to.have.length(8)
    expect(most).to.be.most(2)
  })

  it('that are waited for end with their signal, and leave no place taken', async () => {
    const turns = createTurns(1)
    const { promise: held, resolve: letGo } = Promise.withResolvers<void>()
    const first = turns.during(never, () => held)
    const cut = new AbortController()
    const second = turns.during(cut.signal, async () => 'begun')
    const third = turns.during(never, async () => 'begun')
    cut.abort()
    expect(await second).to.equal(null)
    expect(await turns.during(AbortSignal.abort(), async () => 'begun')).to.equal(null)
    letGo()
    await first
    expect(await third).to.equal('begun')
    expect(await turns.during(never, async () => 'begun')).to.equal('begun')
  })

  it('are given back by work that fails, and by a pause that is cut short', async () => {
    const turns = createTurns(1)
    const [failed] = await Promise.allSettled([turns.during(never, () => Promise.reject(new Error('no')))])
    expect(failed?.status).to.equal('rejected')
    const cut = new AbortController()
    const pausing = turns.during(cut.signal, ({ pause }) => pause(60_000))
    expect(await turns.during(never, async () => 'meanwhile')).to.equal('meanwhile')
    cut.abort()
    await pausing
    expect(await turns.during(never, async () => 'after')).to.equal('after')
  })
})

describe('a probe by a command', () => {
  const engine = (answers: { begin?: () => Promise<string>; ended?: () => Promise<number | null> }) => ({
    beginExec: answers.begin ?? (async () => 'exec-1'),
    execEnded: answers.ended ?? (async () => 0),
  })

  it('that the engine refuses is refused, and tried anew; an engine that is away, or full, is another matter', async () => {
    for (const error of [
      new EngineError('Container abc is not running', 409),
      new EngineError('exec: "x": executable file not found', 400),
      new EngineError('No such container: abc', 404),
    ]) {
      const look = execLook(engine({ begin: () => Promise.reject(error) }), 'c', ['x'], 10)
      expect(await look()).to.deep.equal({
        kind: 'refused',
        why: `the probe's command cannot be run: ${error.message}`,
      })
    }
    for (const error of [new EngineError('gone', null), new EngineError('no space left on device', 500)]) {
      const [thrown] = await Promise.allSettled([
        execLook(engine({ begin: () => Promise.reject(error) }), 'c', ['x'], 10)(),
      ])
      expect(thrown).to.deep.equal({ status: 'rejected', reason: error })
    }
  })

  it('that hangs is not begun again before it has ended', async () => {
    let begun = 0
    let exitCode: number | null = null
    const begin = async (): Promise<string> => {
      begun += 1
      return `exec-${begun}`
    }
    const look = execLook(engine({ begin, ended: async () => exitCode }), 'c', ['x'], 1)
    for (let times = 0; times < 3; times += 1) expect(await look()).to.include({ kind: 'refused' })
    expect(begun).to.equal(1)
    exitCode = 0
    expect(await look()).to.deep.equal({ kind: 'answered' })
    expect(begun, 'what came too late is not counted').to.equal(2)
  })
})

describe('why a container cannot be started', () => {
  for (const [words, reason, mayPass] of [
    ['OCI runtime create failed: exec: "x": executable file not found in $PATH', 'exited_early', false],
    ['exec user process caused: exec format error', 'image_pull_failed', false],
    [
      'driver failed programming: listen tcp4 192.0.2.1:0: bind: cannot assign requested address',
      'platform_error',
      true,
    ],
    [
      'failed to create endpoint x on network y: no available IPv4 addresses on this subnet/pool',
      'platform_error',
      true,
    ],
  ] as const)
    it(`${words.slice(-40)}: ${reason}`, () => {
      const why = cannotStart(new EngineError(words, 500))
      expect(why).to.include({ reason, mayPass })
      expect(why?.message).to.include(words)
    })

  it('is not known of what may be otherwise at the next try', () => {
    expect(cannotStart(new EngineError('could not find bridge', 500))).to.equal(null)
    expect(cannotStart(new EngineError('gone', null))).to.equal(null)
  })
})

describe('an end for want of memory', () => {
  const session = {
    anchor: { desired: { spec: { resources: { cpuMillis: 1, memoryMib: 64 } } } },
  } as unknown as Session
  const inspected = { oomKilled: true } as Inspected

  it('is believed of a program that failed, and not of one that ended well or with its machine', () => {
    expect(endingOfDeath(session, { inspected }, exitOf(137))).to.include({ reason: 'out_of_memory' })
    expect(endingOfDeath(session, { inspected }, exitOf(1))).to.include({ reason: 'out_of_memory' })
    expect(endingOfDeath(session, { inspected }, exitOf(0))).to.equal(null)
    expect(endingOfDeath(session, { inspected }, { kind: 'host_restarted' })).to.equal(null)
    expect(endingOfDeath(session, { inspected }, null)).to.equal(null)
  })
})
