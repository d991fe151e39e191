/** How an engine is followed, with one that is made up. */
import { randomUUID } from 'node:crypto'
import { setImmediate as turn } from 'node:timers/promises'
import { expect } from 'chai'
import { EngineError, type EngineEvent } from '../../../agents/docker/engine.ts'
import { createHealth } from '../../../agents/docker/health.ts'
import { label, newToken } from '../../../agents/docker/names.ts'
import type { Surroundings } from '../../../agents/docker/session.ts'
import { type Watch, watchEngine } from '../../../agents/docker/watch.ts'
import { eventually } from '../../support/eventually.ts'

const quiet = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }

type Events = (signal: AbortSignal) => Promise<AsyncGenerator<EngineEvent>>

const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => signal.addEventListener('abort', () => resolve()))

describe('an engine that is followed', () => {
  let watch: Watch | null = null
  afterEach(async () => {
    await watch?.stop()
    watch = null
  })

  const follow = (events: Events, everything: () => Promise<void> = async () => {}) => {
    const token = newToken()
    const degraded: (string | null)[] = []
    const looked: string[] = []
    const takenOver: (string | null)[] = []
    const around = {
      engine: {
        ping: async () => {},
        resume: () => {},
        giveUp: () => {},
        events: (...[, , signal]: [object, number, AbortSignal]) => events(signal),
      },
      health: createHealth({ degraded: (why) => void degraded.push(why) }),
      settings: { dockerHost: 'unix:///made/up', agentId: 'edge-1' },
      ownership: { token: () => token },
      log: quiet,
      trouble: () => {},
    } as unknown as Surroundings
    watch = watchEngine(around, {
      everything,
      session: async (id) => void looked.push(id),
      takenOver: (id) => void takenOver.push(id),
    })
    return { token, degraded, looked, takenOver, tried: watch.tried }
  }

  const event = (action: string, session: string, name = ''): EngineEvent => ({
    type: 'container',
    action,
    id: 'x',
    labels: { [label.session]: session, [label.generation]: '1', name },
  })

  /** Tells these, says how many were taken, and stays open. */
  const telling =
    (events: readonly EngineEvent[], taken = { count: 0 }): Events =>
    async (signal) =>
      (async function* () {
        for (const one of events) {
          yield one
          taken.count += 1
        }
        await aborted(signal)
      })()

  it('is read while everything is looked at, and what it told is looked at once afterwards', async () => {
    const { promise: seenAll, resolve } = Promise.withResolvers<void>()
    const [one, two] = [randomUUID(), randomUUID()]
    const taken = { count: 0 }
    const many = Array.from({ length: 2_000 }, (_, index) => event('die', index % 2 === 0 ? one : two))
    const { looked } = follow(telling(many, taken), () => seenAll)
    await eventually(() => expect(taken.count).to.equal(many.length))
    expect(looked).to.deep.equal([])
    resolve()
    await eventually(() => expect(looked).to.have.members([one, two]))
  })

  it('tells of a container that somebody renamed, and asks whose it is when another agent named it', async () => {
    const [mine, hidden, foreign] = [randomUUID(), randomUUID(), randomUUID()]
    const named: EngineEvent[] = []
    const { promise: ready, resolve } = Promise.withResolvers<void>()
    const { token, looked, takenOver, tried } = follow(async (signal) => {
      return (async function* () {
        await ready
        yield* named
        await aborted(signal)
      })()
    })
    await tried
    named.push(
      event('rename', mine, `streamspace-${token}-${mine}-workload-1`),
      event('rename', hidden, 'somebody-elses-idea'),
      event('rename', foreign, `streamspace-${newToken()}-${foreign}-workload-1`),
    )
    resolve()
    await eventually(() => expect([looked, takenOver]).to.deep.equal([[hidden], [foreign]]))
  })

  it('whose events are refused again and again is said to be of no use, though all else is answered', async () => {
    let asked = 0
    const { degraded, tried } = follow(async () => {
      asked += 1
      if (asked > 1) throw new EngineError('no events today', 500)
      return (async function* () {})()
    })
    await tried
    await eventually(() => expect(degraded.at(-1)).to.match(/cannot be (used|reached)/))
  })

  it('that refuses its events at the first try is not opened', async () => {
    const { promise: seenAll, resolve } = Promise.withResolvers<void>()
    const { tried } = follow(
      () => Promise.reject(new EngineError('no events at all', 400)),
      () => seenAll,
    )
    const [refused] = await Promise.allSettled([tried])
    expect(refused).to.have.nested.property('reason.message', 'no events at all')
    resolve()
  })

  it('is followed until all that is looked at was seen', async () => {
    const { promise: seenAll, resolve } = Promise.withResolvers<void>()
    let asked = false
    follow(telling([]), () => {
      asked = true
      return seenAll
    })
    await eventually(() => expect(asked).to.equal(true))
    let stopped = false
    const stop = watch?.stop().then(() => {
      stopped = true
    })
    await turn()
    expect(stopped).to.equal(false)
    resolve()
    await stop
  })
})
