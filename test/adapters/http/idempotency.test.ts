import { expect } from 'chai'
import { createIdempotency, type Keeping, type Mutation, type Outcome } from '../../../adapters/http/idempotency.ts'
import { E } from '../../../domain/fp.ts'
import type { Caller } from '../../../domain/identity/caller.ts'
import type { IdempotencyStore } from '../../../domain/ports/idempotency.ts'
import type { Route } from '../../../src/api/route.ts'
import { routes } from '../../../src/api/routes.ts'
import { aCaller } from '../../support/a-caller.ts'
import { answersInMemory } from './api-server.ts'

const SECRET = Buffer.alloc(32, 1)
const TURN_MS = 200

const aMutation = (changes: Partial<Mutation> = {}): Mutation => ({
  route: routes.stopSession,
  caller: aCaller({ keyId: 'key-1' as Caller['keyId'] }),
  key: 'a key',
  target: 'POST /api/v1/sessions',
  query: {},
  body: { template: 'hello-web' },
  audit: () => ({ audit: null }),
  ...changes,
})
const as = (changes: Partial<Caller>): Partial<Mutation> => ({ caller: aCaller({ role: 'operator', ...changes }) })

/** A use case that ends when it is told to. */
const slow = (end: (keeping: Keeping) => Outcome) => {
  let times = 0
  const { promise, resolve } = Promise.withResolvers<void>()
  const run = async (keeping: Keeping): Promise<Outcome> => {
    times += 1
    await promise
    return end(keeping)
  }
  return { run, release: resolve, times: () => times }
}

const made = (id: string, more: object = {}): Outcome => E.right({ status: 201, body: { id, ...more } })
const idOf = (outcome: Outcome): unknown => (E.isRight(outcome) ? (outcome.right.body as { id: string }).id : outcome)
const tagOf = (outcome: Outcome): unknown => (E.isLeft(outcome) ? outcome.left._tag : 'answered')

const counting = (store: IdempotencyStore) => {
  const asked = { find: 0, keep: 0 }
  return {
    asked,
    store: {
      find: (...about: Parameters<IdempotencyStore['find']>) => {
        asked.find += 1
        return store.find(...about)
      },
      keep: (...about: Parameters<IdempotencyStore['keep']>) => {
        asked.keep += 1
        return store.keep(...about)
      },
    },
  }
}

describe('several requests with one Idempotency-Key', () => {
  it('are one, and what the database is asked for one', async () => {
    const { store, asked } = counting(answersInMemory())
    const idempotency = createIdempotency(store, SECRET)
    const work = slow(() => made('1'))
    const all = Array.from({ length: 1_000 }, () => idempotency(aMutation(), work.run))
    work.release()
    const outcomes = await Promise.all(all)
    expect(work.times()).to.equal(1)
    expect(new Set(outcomes.map(idOf))).to.deep.equal(new Set(['1']))
    expect(outcomes.filter((outcome) => E.isRight(outcome) && outcome.right.replayed === true)).to.have.length(999)
    expect(asked).to.deep.equal({ find: 1, keep: 1 })
  })

  it('are refused together: what was refused changed nothing, and the next one is tried anew', async () => {
    const { store, asked } = counting(answersInMemory())
    const idempotency = createIdempotency(store, SECRET)
    const work = slow(() => E.left({ _tag: 'Contended', what: 'all of them' }))
    const all = Array.from({ length: 100 }, () => idempotency(aMutation(), work.run))
    work.release()
    expect(new Set((await Promise.all(all)).map(tagOf))).to.deep.equal(new Set(['Contended']))
    expect(work.times()).to.equal(1)
    expect(idOf(await idempotency(aMutation(), async () => made('2')))).to.equal('2')
    // What was refused is looked for once more: another replica may have done it meanwhile.
    expect(asked).to.deep.equal({ find: 3, keep: 1 })
  })

  it('one of which another replica did while this one was refused: its answer is given', async () => {
    const store = answersInMemory()
    const [here, elsewhere] = [createIdempotency(store, SECRET), createIdempotency(store, SECRET)]
    const outcome = await here(aMutation(), async () => {
      await elsewhere(aMutation(), async () => made('1'))
      return E.left({ _tag: 'Contended', what: 'it has been done' })
    })
    expect(idOf(outcome)).to.equal('1')
    expect(E.isRight(outcome) && outcome.right.replayed).to.equal(true)
  })

  it('of a batch are not answered again to whom its sessions are not shown any more', async () => {
    const idempotency = createIdempotency(answersInMemory(), SECRET)
    const answer: Outcome = E.right({
      status: 200,
      body: { items: [{ id: '1', session: { id: '1', userId: 'bob' } }] },
    })
    expect(tagOf(await idempotency(aMutation(), async () => answer))).to.equal('answered')
    const caller = { ...aMutation().caller, role: 'user', userId: 'ada' as Caller['userId'] } as const
    expect(tagOf(await idempotency(aMutation({ caller }), async () => answer))).to.equal('NotFound')
  })

  it('fail together where the database is lost', async () => {
    const idempotency = createIdempotency(answersInMemory(), SECRET)
    const work = slow(() => {
      throw new Error('Connection terminated')
    })
    const all = Array.from({ length: 100 }, () => idempotency(aMutation(), work.run).catch((error: Error) => error))
    work.release()
    for (const failed of await Promise.all(all)) expect(failed).to.be.an('error')
    expect(work.times()).to.equal(1)
  })

  it('of which one is another request: it waits, and is told so; where the first was refused it goes ahead', async () => {
    for (const [first, expected] of [
      [made('1'), 'IdempotencyMismatch'],
      [E.left({ _tag: 'Contended', what: 'it' }) as Outcome, '2'],
    ] as const) {
      const idempotency = createIdempotency(answersInMemory(), SECRET)
      const work = slow(() => first)
      const one = idempotency(aMutation(), work.run)
      const other = idempotency(aMutation({ body: { template: 'another' } }), async () => made('2'))
      work.release()
      await one
      const outcome = await other
      expect(E.isRight(outcome) ? idOf(outcome) : tagOf(outcome)).to.equal(expected)
    }
  })

  it('are told that the first is under way when it takes too long, and given its answer when they come again', async () => {
    const idempotency = createIdempotency(answersInMemory(), SECRET, TURN_MS)
    const work = slow(() => made('1'))
    const first = idempotency(aMutation(), work.run)
    expect(tagOf(await idempotency(aMutation(), work.run))).to.equal('IdempotencyInProgress')
    work.release()
    await first
    expect(idOf(await idempotency(aMutation(), work.run))).to.equal('1')
    expect(work.times()).to.equal(1)
  })

  it('of which another replica was first are given its answer', async () => {
    const store = answersInMemory()
    const [here, there] = [createIdempotency(store, SECRET), createIdempotency(store, SECRET)]
    const work = slow((keeping) => {
      keeping(() => ({ status: 201 }))?.({})
      return E.left({ _tag: 'Answered' })
    })
    const waiting = here(aMutation(), work.run)
    await there(aMutation(), async () => made('theirs'))
    work.release()
    expect(idOf(await waiting)).to.equal('theirs')
  })

  it('of which another replica was first are given its answer also where that took long', async () => {
    const store = answersInMemory()
    const [here, there] = [createIdempotency(store, SECRET, 0), createIdempotency(store, SECRET)]
    const work = slow(() => E.left({ _tag: 'Answered' }))
    const waiting = here(aMutation(), work.run)
    await there(aMutation(), async () => made('theirs'))
    work.release()
    expect(idOf(await waiting)).to.equal('theirs')
  })

  describe('that are tried before an answer is looked for', () => {
    const aCreate = (changes: Partial<Mutation> = {}): Mutation =>
      aMutation({ route: routes.createSession, ...changes })
    const answered: Outcome = E.left({ _tag: 'Answered' })

    it('ask the database nothing the first time, and are given the first answer the second time', async () => {
      const { store, asked } = counting(answersInMemory())
      const idempotency = createIdempotency(store, SECRET)
      expect(idOf(await idempotency(aCreate(), async () => made('1')))).to.equal('1')
      expect(asked.find).to.equal(0)
      expect(idOf(await idempotency(aCreate(), async () => answered))).to.equal('1')
      const other = await idempotency(aCreate({ body: { template: 'another' } }), async () => answered)
      expect(tagOf(other)).to.equal('IdempotencyMismatch')
    })

    it('are given it also where they would be refused by now', async () => {
      const idempotency = createIdempotency(answersInMemory(), SECRET)
      const refusing = async (): Promise<Outcome> => E.left({ _tag: 'Contended', what: 'it' })
      expect(tagOf(await idempotency(aCreate(), refusing))).to.equal('Contended')
      await idempotency(aCreate(), async () => made('1'))
      expect(idOf(await idempotency(aCreate(), refusing))).to.equal('1')
    })

    it('are made anew where the answer was too old', async () => {
      const idempotency = createIdempotency(answersInMemory(), SECRET)
      let tries = 0
      const run = async (): Promise<Outcome> => (++tries === 1 ? answered : made('2'))
      expect(idOf(await idempotency(aCreate(), run))).to.equal('2')
    })
  })

  it('are each their own: of another caller, org, or key', async () => {
    const idempotency = createIdempotency(answersInMemory(), SECRET)
    const others = [
      aMutation(),
      aMutation({ key: 'another' }),
      aMutation(as({ keyId: 'another' as Caller['keyId'] })),
      aMutation(as({ keyId: null })),
      aMutation(as({ keyId: null, userId: 'another' as Caller['userId'] })),
      aMutation(as({ orgId: 'another' as Caller['orgId'] })),
    ]
    const outcomes = await Promise.all(
      others.map((mutation, index) => idempotency(mutation, async () => made(String(index)))),
    )
    expect(outcomes.map(idOf)).to.deep.equal(others.map((_, index) => String(index)))
  })
})

describe('an answer that is given again', () => {
  /** By a token, as those may say another role the next time. */
  const byToken = (role: Caller['role'], changes: Partial<Mutation> = {}): Mutation =>
    aMutation({ caller: aCaller({ role, keyId: null }), ...changes })
  const again = async (first: Mutation, outcome: Outcome, then: Mutation): Promise<Outcome> => {
    const idempotency = createIdempotency(answersInMemory(), SECRET)
    await idempotency(first, async () => outcome)
    return idempotency(then, async () => {
      // The statement of the change finds the answer of the first.
      if (then.route.triedFirst === true) return E.left({ _tag: 'Answered' })
      throw new Error('done again')
    })
  }

  it('is for whoever may still do what was done', async () => {
    for (const route of Object.values(routes) as Route[]) {
      if (route.method === 'get' || route.access === 'anyone') continue
      const outcome = await again(byToken('admin', { route }), made('1'), byToken('viewer', { route }))
      expect(tagOf(outcome), route.summary).to.equal(route.access === 'caller' ? 'answered' : 'Forbidden')
    }
  })

  it('shows nobody another’s session that they cannot see any more', async () => {
    const outcome = made('1', { userId: 'somebody else' })
    expect(tagOf(await again(byToken('operator'), outcome, byToken('user')))).to.equal('NotFound')
    const own = made('1', { userId: byToken('user').caller.userId })
    expect(idOf(await again(byToken('operator'), own, byToken('user')))).to.equal('1')
  })

  it('of a deletion by force is for those who may force one', async () => {
    const changes = {
      route: routes.deleteSession,
      target: 'DELETE /api/v1/sessions/1?force=true',
      query: { force: true },
    }
    const own = made('1', { userId: byToken('user').caller.userId })
    expect(tagOf(await again(byToken('operator', changes), own, byToken('user', changes)))).to.equal('Forbidden')
  })

  it('and shows something once is sealed under the key that it came with', async () => {
    const store = answersInMemory()
    const kept: unknown[] = []
    const keep: IdempotencyStore['keep'] = async (one) => {
      kept.push(one.body)
      return store.keep(one)
    }
    const idempotency = createIdempotency({ ...store, keep }, SECRET)
    const secret: Outcome = E.right({ status: 201, body: { token: 'ssa_shown-once' }, secret: true })
    await idempotency(aMutation(), async () => secret)
    expect(kept.map((body) => Buffer.isBuffer(body) && !body.includes('shown-once'))).to.deep.equal([true])
    const replayed = await idempotency(aMutation(), async () => made('1'))
    expect(E.isRight(replayed) && replayed.right).to.deep.include({
      body: { token: 'ssa_shown-once' },
      secret: true,
      replayed: true,
    })
  })
})
