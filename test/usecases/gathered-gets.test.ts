import { expect } from 'chai'
import type { Scope } from '../../domain/identity/caller.ts'
import type { OrgId, SessionId, UserId } from '../../domain/ids.ts'
import { sessionView } from '../../domain/session/session-view.ts'
import { gatheredGets } from '../../src/usecases/gathered-gets.ts'
import { aSession } from '../support/a-session.ts'

const acme: Scope = { orgId: 'acme' as OrgId, ownerId: null }
const ada: Scope = { orgId: 'acme' as OrgId, ownerId: 'ada' as UserId }
const globex: Scope = { orgId: 'globex' as OrgId, ownerId: null }
const [A, B, C] = ['a', 'b', 'c'] as SessionId[] as [SessionId, SessionId, SessionId]

/** Sessions of acme that exist: A and B, B of somebody else than Ada. */
const gathered = () => {
  const asked: { readonly scope: Scope; readonly ids: readonly SessionId[] }[] = []
  const get = gatheredGets({
    get: async (scope, ids) => {
      asked.push({ scope, ids })
      const visible = scope.orgId !== 'acme' ? [] : scope.ownerId === null ? [A, B] : [A]
      return ids.map((id) => (visible.includes(id) ? sessionView(aSession({ id }), true) : null))
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
    expect(asked).to.deep.equal([{ scope: acme, ids: [B, C, A, B] }])
  })

  it('never mix scopes: what one caller may see is not asked with what another may', async () => {
    const { get, asked } = gathered()
    const wanted = [get(acme, B), get(ada, B), get(globex, B), get(ada, A)]
    expect(idsOf(await Promise.all(wanted))).to.deep.equal([B, null, null, A])
    expect(asked).to.deep.equal([
      { scope: acme, ids: [B] },
      { scope: ada, ids: [B, A] },
      { scope: globex, ids: [B] },
    ])
  })

  it('fail together when the query fails, and the next are read again', async () => {
    let fails = true
    const get = gatheredGets({
      get: async (_scope, ids) => {
        if (fails) throw new Error('no database')
        return ids.map(() => null)
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
    expect(asked.map(({ ids }) => ids)).to.deep.equal([[A], [A]])
  })
})
