import { expect } from 'chai'
import type { Scope } from '../../domain/identity/caller.ts'
import type { OrgId, SessionId, UserId } from '../../domain/ids.ts'
import type { WantedSession } from '../../domain/ports/sessions.ts'
import { sessionView } from '../../domain/session/session-view.ts'
import { gatheredGets } from '../../src/usecases/gathered-gets.ts'
import { aSession } from '../support/a-session.ts'

const acme: Scope = { orgId: 'acme' as OrgId, ownerId: null }
const ada: Scope = { orgId: 'acme' as OrgId, ownerId: 'ada' as UserId }
const globex: Scope = { orgId: 'globex' as OrgId, ownerId: null }
const [A, B, C] = ['a', 'b', 'c'] as SessionId[] as [SessionId, SessionId, SessionId]

type Asked = readonly [org: string, ...wanted: readonly string[]]

/** Sessions of acme that exist: A and B, B of somebody else than Ada. */
const gathered = () => {
  const asked: Asked[] = []
  const get = gatheredGets({
    get: async (orgId, wanted) => {
      asked.push([orgId, ...wanted.map(({ id, ownerId }) => `${id} for ${ownerId ?? 'all'}`)])
      const isVisible = ({ id, ownerId }: WantedSession) =>
        orgId === 'acme' && (id === A || (id === B && ownerId === null))
      return wanted.map((one) => (isVisible(one) ? sessionView(aSession({ id: one.id }), true) : null))
    },
  })
  return { get, asked }
}
const idsOf = (views: readonly ({ readonly id: string } | null)[]) => views.map((view) => view?.id ?? null)

describe('gathered gets', () => {
  it('are one query for all that is wanted at the same moment, and each gets its own answer', async () => {
    const { get, asked } = gathered()
    expect(idsOf(await Promise.all([get(acme, B), get(acme, C), get(acme, A), get(acme, B)]))).to.deep.equal([
      B,
      null,
      A,
      B,
    ])
    expect(asked).to.deep.equal([['acme', 'b for all', 'c for all', 'a for all', 'b for all']])
  })

  it('are one query for all users of an org, each with its own scope, and another for each org', async () => {
    const { get, asked } = gathered()
    const wanted = [get(acme, B), get(ada, B), get(globex, B), get(ada, A)]
    expect(idsOf(await Promise.all(wanted))).to.deep.equal([B, null, null, A])
    expect(asked).to.deep.equal([
      ['acme', 'b for all', 'b for ada', 'a for ada'],
      ['globex', 'b for all'],
    ])
  })

  it('of one org do not wait for those of another', async () => {
    const held = Promise.withResolvers<void>()
    const get = gatheredGets({
      get: async (orgId, wanted) => {
        if (orgId === 'acme') await held.promise
        return wanted.map(() => null)
      },
    })
    const waiting = get(acme, A)
    expect(await get(globex, A)).to.equal(null)
    held.resolve()
    expect(await waiting).to.equal(null)
  })

  it('fail together when the query fails, and the next are read again', async () => {
    let fails = true
    const get = gatheredGets({
      get: async (_orgId, wanted) => {
        if (fails) throw new Error('no database')
        return wanted.map(() => null)
      },
    })
    const outcomes = await Promise.allSettled([get(acme, A), get(acme, B)])
    expect(outcomes.map(({ status }) => status)).to.deep.equal(['rejected', 'rejected'])
    fails = false
    expect(await get(acme, A)).to.equal(null)
  })

  it('are read after they were asked for: what comes while a query is under way waits for the next', async () => {
    const { get, asked } = gathered()
    const first = get(acme, A)
    await new Promise((resolve) => setImmediate(resolve))
    const second = get(acme, A)
    await Promise.all([first, second])
    expect(asked).to.deep.equal([
      ['acme', 'a for all'],
      ['acme', 'a for all'],
    ])
  })
})
