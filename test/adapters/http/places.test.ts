import { EventEmitter } from 'node:events'
import { expect } from 'chai'
import { RequestAbortedError } from '../../../adapters/http/body.ts'
import { type Asker, createPlaces, PLACES, type PlaceSettings } from '../../../adapters/http/places.ts'
import { E } from '../../../domain/fp.ts'
import type { Caller } from '../../../domain/identity/caller.ts'
import type { OrgId } from '../../../domain/ids.ts'
import { CALLERS_CONNECTIONS, CREATION_READS, SESSION_READS } from '../../../src/server-databases.ts'
import { READERS } from '../../../src/usecases/watch-sessions.ts'
import { eventually } from '../../support/eventually.ts'
import { serve } from './api-server.ts'
import { aCaller, type FakeApplication, fakeApplication } from './fake-application.ts'

const few: PlaceSettings = {
  usual: { most: 2, mostOfOne: 1 },
  long: { most: 1, mostOfOne: 1, waitingOfOne: 2 },
  gathered: { most: 4, mostOfOne: 2 },
  requestsOfOne: 100,
  waitMs: 60_000,
}

const OVERLOADED = E.left({ _tag: 'Overloaded', what: 'your org' })

class Closing extends EventEmitter {
  destroyed = false
  close(): void {
    this.destroyed = true
    this.emit('close')
  }
}

describe('the places of a replica', () => {
  const responses: Closing[] = []
  // Nobody waits on.
  afterEach(() => {
    for (const response of responses.splice(0)) response.close()
  })

  const asker = (share: string, more: Partial<Omit<Asker, 'response'>> = {}) => {
    const response = new Closing()
    responses.push(response)
    return { operationId: 'listSessions', takes: undefined, share, ...more, response }
  }

  const placesOf = (settings: Partial<PlaceSettings> = {}) => {
    const refused: (readonly [number, string])[] = []
    const places = createPlaces({ ...few, ...settings }, (times, last) => void refused.push([times, last]))
    const begun: string[] = []
    /** Work that lasts until it is ended. */
    const working = (who: Asker, name: string = who.share) => {
      const ending = Promise.withResolvers<void>()
      const answer = places.within(who, async () => {
        begun.push(name)
        await ending.promise
        return E.right(name)
      })
      answer.catch(() => {})
      return { answer, end: ending.resolve, fail: ending.reject }
    }
    return { places, begun, working, refused }
  }

  it('with those who read for watchers leave connections for what is gathered, and to one org not two thirds', () => {
    const { usual, long } = PLACES
    const all = [usual, long, READERS, SESSION_READS, CREATION_READS]
    const sum = (of: 'most' | 'mostOfOne') => all.reduce((total, each) => total + each[of], 0)
    expect(sum('most')).to.be.below(CALLERS_CONNECTIONS)
    expect(sum('mostOfOne') / CALLERS_CONNECTIONS).to.be.below(2 / 3)
    for (const each of all) expect(each.mostOfOne).to.be.below(each.most)
  })

  it('are taken without waiting for anything where there are some', () => {
    const { working, begun } = placesOf()
    working(asker('acme'))
    expect(begun).to.deep.equal(['acme'])
  })

  it('are given in turn by org to those who wait, and again when the work has thrown', async () => {
    const { working, begun } = placesOf({ usual: { most: 1, mostOfOne: 1 } })
    const [first, ...others] = ['a0', 'a1', 'a2', 'g0'].map((name) =>
      working(asker(name.startsWith('a') ? 'acme' : 'globex'), name),
    )
    first?.fail(new Error('a bug'))
    expect(await first?.answer.catch((error: Error) => error.message)).to.equal('a bug')
    for (const each of others) each.end()
    for (const each of others) expect(E.isRight(await each.answer)).to.equal(true)
    expect(begun).to.deep.equal(['a0', 'a1', 'g0', 'a2'])
  })

  it('are refused to one that has waited for as long as it may, which then has none', async () => {
    const { working, begun, refused } = placesOf({ waitMs: 20 })
    const first = working(asker('acme'), 'first')
    expect(await working(asker('acme'), 'late').answer).to.deep.equal(OVERLOADED)
    expect(refused).to.deep.equal([[1, 'acme']])
    first.end()
    await first.answer
    working(asker('acme'), 'next')
    expect(begun).to.deep.equal(['first', 'next'])
  })

  it('are not kept for whoever goes away while it waits', async () => {
    const { working, begun } = placesOf()
    const [first, gone] = [asker('acme'), asker('acme')]
    const held = working(first, 'first')
    const waiting = working(gone, 'gone')
    const next = working(asker('acme'), 'next')
    gone.response.close()
    expect(await waiting.answer.catch((error: unknown) => error)).to.be.an.instanceOf(RequestAbortedError)
    const tooLate = asker('acme')
    tooLate.response.close()
    expect(await working(tooLate).answer.catch((error: unknown) => error)).to.be.an.instanceOf(RequestAbortedError)
    held.end()
    next.end()
    await next.answer
    expect(begun).to.deep.equal(['first', 'next'])
    expect(first.response.listenerCount('close') + gone.response.listenerCount('close')).to.equal(0)
  })

  it('of what takes long are few, and so are those who wait for them: the next is refused at once', async () => {
    const { working, begun } = placesOf()
    const long = (share: string): Asker => asker(share, { operationId: 'batchSessions', takes: 'long' })
    const held = Array.from({ length: 3 }, () => working(long('acme')))
    expect(await working(long('acme')).answer).to.deep.equal(OVERLOADED)
    // Neither are other orgs refused, nor does what is quick wait behind them.
    const other = working(long('globex'))
    working(asker('acme'), 'quick')
    expect(begun).to.deep.equal(['acme', 'quick'])
    for (const each of [...held, other]) each.end()
    for (const each of [...held, other]) expect(E.isRight(await each.answer)).to.equal(true)
    expect(begun).to.deep.equal(['acme', 'quick', 'acme', 'globex', 'acme'])
  })

  it('of what is gathered are many, of each operation its own', async () => {
    const { working, begun } = placesOf()
    const gathered = (operationId: string): Asker => asker('acme', { operationId, takes: 'gathered' })
    for (const name of ['c0', 'c1', 'c2']) working(gathered('createSession'), name)
    working(gathered('getSession'), 'read')
    expect(begun).to.deep.equal(['c0', 'c1', 'read'])
  })

  it('are not waited for by more requests of one org than it may have, whatever they ask', async () => {
    const { working } = placesOf({ requestsOfOne: 2 })
    const held = [working(asker('acme')), working(asker('acme'))]
    const more = () => working(asker('acme', { operationId: 'getSession', takes: 'gathered' }))
    expect(await more().answer).to.deep.equal(OVERLOADED)
    working(asker('globex'))
    for (const each of held) each.end()
    for (const each of held) await each.answer
    const next = more()
    next.end()
    expect(E.isRight(await next.answer)).to.equal(true)
  })

  it('are held by what is read bit by bit for each bit alone, and not while it is sent', async () => {
    const { places, working, begun } = placesOf()
    const read: string[] = []
    const bits = async function* (): AsyncGenerator<string> {
      for (const bit of ['one', 'two', 'three']) {
        read.push(bit)
        yield bit
      }
    }
    const reader = asker('acme')
    const reading = places.bitByBit(reader, bits())[Symbol.asyncIterator]()
    expect(await reading.next()).to.deep.equal({ done: false, value: 'one' })
    // Whoever reads may take its time.
    const held = working(asker('acme'))
    expect(begun).to.deep.equal(['acme'])
    const second = reading.next()
    expect(read).to.deep.equal(['one'])
    held.end()
    expect(await second).to.deep.equal({ done: false, value: 'two' })
    working(asker('acme'))
    const third = reading.next()
    reader.response.close()
    expect(await third.catch((error: unknown) => error)).to.be.an.instanceOf(RequestAbortedError)
    expect(read).to.deep.equal(['one', 'two'])
  })
})

describe('requests of several orgs at once', () => {
  const keys = { acme: `ssk_${'a'.repeat(32)}`, globex: `ssk_${'g'.repeat(32)}`, installation: `ssk_${'i'.repeat(32)}` }
  const callers: { readonly [key: string]: Caller } = {
    [keys.acme]: { ...aCaller, orgId: 'acme' as OrgId, role: 'admin' },
    [keys.globex]: { ...aCaller, orgId: 'globex' as OrgId, role: 'admin' },
    [keys.installation]: { ...aCaller, orgId: 'acme' as OrgId, role: 'installation' },
  }
  const as = (who: keyof typeof keys) => ({ authorization: `Bearer ${keys[who]}` })

  /** Lists are answered when they are let go on. */
  const slowLists = () => {
    const app = fakeApplication()
    const begun: { readonly org: string; readonly goOn: () => void; readonly fail: (why: Error) => void }[] = []
    /** By their keys: what comes next is that they have a place or wait for one. */
    const known: string[] = []
    const slow: FakeApplication = {
      ...app,
      authenticate: async (bearer) => {
        const caller = callers[bearer ?? '']
        known.push(bearer ?? '')
        return caller === undefined ? { kind: 'unauthorized' } : { kind: 'caller', caller }
      },
      sessions: {
        ...app.sessions,
        list:
          (caller, ...asked) =>
          async () => {
            const held = Promise.withResolvers<void>()
            begun.push({ org: caller.orgId, goOn: held.resolve, fail: held.reject })
            await held.promise
            return app.sessions.list(caller, ...asked)()
          },
      },
    }
    return { app: slow, begun, known }
  }
  const LIST = '/api/v1/sessions'

  it('of one are answered in their places, while the others and the installation go on', async () => {
    const { app, begun } = slowLists()
    await using api = await serve(app, { placesOf: { ...few, usual: { most: 3, mostOfOne: 1 } } })
    const flood = Array.from({ length: 20 }, () => api.call('GET', LIST, { headers: as('acme') }))
    await eventually(() => expect(begun).to.have.length(1))
    const others = (['globex', 'installation'] as const).map((who) => api.call('GET', LIST, { headers: as(who) }))
    await eventually(() => expect(begun).to.have.length(3))
    for (const { goOn } of begun.slice(1)) goOn()
    for (const other of others) expect((await other).status).to.equal(200)

    begun[0]?.fail(new Error('a bug'))
    for (let next = 1; next < 20; next += 1)
      await eventually(() => {
        const one = begun[next + 2]
        if (one === undefined) throw new Error('the next has not begun')
        one.goOn()
      })
    const statuses = await Promise.all(flood.map(async (one) => (await one).status))
    expect(statuses.toSorted()).to.deep.equal([...Array.from({ length: 19 }, () => 200), 500])
  })

  it('of one that waited for too long are a 503 with Retry-After, which says whose they are', async () => {
    const { app, begun } = slowLists()
    await using api = await serve(app, { placesOf: { ...few, waitMs: 20 } })
    const first = api.call('GET', LIST, { headers: as('acme') })
    await eventually(() => expect(begun).to.have.length(1))
    const refused = await api.call('GET', LIST, { headers: as('acme') })
    expect(refused.status).to.equal(503)
    expect(refused.headers.get('retry-after')).to.equal('1')
    expect(refused.json.code).to.equal('overloaded')
    expect(refused.json.detail).to.include('your org')
    expect(api.logged.filter(({ last, refused: count }) => last === 'acme' && count === 1)).to.have.length(1)
    begun[0]?.goOn()
    expect((await first).status).to.equal(200)
  })

  it('that wait are forgotten when their callers have gone', async () => {
    const { app, begun, known } = slowLists()
    await using api = await serve(app, { placesOf: few })
    const first = api.call('GET', LIST, { headers: as('acme') })
    await eventually(() => expect(begun).to.have.length(1))
    const going = new AbortController()
    const gone = fetch(api.url + LIST, { headers: as('acme'), signal: going.signal }).catch(() => 'gone')
    await eventually(() => expect(known).to.have.length(2))
    going.abort()
    expect(await gone).to.equal('gone')
    await eventually(() =>
      expect(api.logged.filter(({ msg }) => msg === new RequestAbortedError().message)).to.have.length(1),
    )
    const next = api.call('GET', LIST, { headers: as('acme') })
    begun[0]?.goOn()
    expect((await first).status).to.equal(200)
    await eventually(() => expect(begun).to.have.length(2))
    begun[1]?.goOn()
    expect((await next).status).to.equal(200)
    expect(begun).to.have.length(2)
  })

  it('that became streams have left their places', async () => {
    const { app, begun } = slowLists()
    await using api = await serve(app, { placesOf: few })
    const streams = new AbortController()
    for (let stream = 0; stream < 3; stream += 1) {
      const watching = await fetch(`${api.url}/api/v1/watch`, { headers: as('acme'), signal: streams.signal })
      expect(watching.status).to.equal(200)
    }
    const list = api.call('GET', LIST, { headers: as('acme') })
    await eventually(() => expect(begun).to.have.length(1))
    begun[0]?.goOn()
    expect((await list).status).to.equal(200)
    streams.abort()
  })
})
