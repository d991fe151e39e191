import { expect } from 'chai'
import type { Role, Scope } from '../../domain/identity/caller.ts'
import type { SessionQueries } from '../../domain/ports/sessions.ts'
import { sessionView } from '../../domain/session/session-view.ts'
import { readCommands, readSessions } from '../../src/usecases/read-sessions.ts'
import { aCaller } from '../support/a-caller.ts'
import { aSession, later, SESSION } from '../support/a-session.ts'
import { fixedClock, leftOf, rightOf } from '../support/fake-ports.ts'

const empty = { items: [], nextCursor: null }
const written = { items: '[]', nextCursor: null }
const page = { limit: 50, cursor: null }

/** One session, seen by whoever may see everything, and by nobody else. */
const reading = () => {
  const scopes: Scope[] = []
  const touched: Date[] = []
  const seen = <A>(scope: Scope, value: A): A | null => {
    scopes.push(scope)
    return scope.ownerId === null ? value : null
  }
  const queries: SessionQueries = {
    get: async (orgId, wanted) => wanted.map(({ ownerId }) => seen({ orgId, ownerId }, sessionView(aSession(), true))),
    list: async (scope) => seen(scope, written) ?? written,
    summary: async (scope) => seen(scope, null) ?? { total: 0, byStatus: {} as never },
    events: async (scope) => seen(scope, empty),
    commandsOf: async (scope) => seen(scope, empty),
    commands: async (scope) => seen(scope, empty) ?? empty,
    touch: async (scope, _id, at) => {
      touched.push(at)
      return seen(scope, true) ?? false
    },
  }
  return { sessions: readSessions(queries, fixedClock), commands: readCommands(queries), scopes, touched }
}
const as = (role: Role) => aCaller({ role })
const missing = { _tag: 'NotFound', what: 'session', id: SESSION }

describe('reading sessions', () => {
  it('is within the scope of the caller: everything of the org, or only their own', async () => {
    for (const role of ['viewer', 'user', 'operator', 'admin', 'installation'] as const) {
      const { sessions, scopes } = reading()
      await sessions.get(as(role), SESSION)()
      await sessions.list(as(role), {}, '-createdAt', page)()
      await sessions.summary(as(role), {})()
      await sessions.events(as(role), SESSION, page)()
      await sessions.commands(as(role), SESSION, page)()
      for (const scope of scopes)
        expect(scope, role).to.deep.equal({ orgId: 'acme', ownerId: role === 'user' ? 'ada' : null })
      expect(scopes).to.have.length(5)
    }
  })

  it('what is not there, or not theirs, is not found', async () => {
    const { sessions } = reading()
    expect(leftOf(await sessions.get(as('user'), SESSION)())).to.deep.equal(missing)
    expect(leftOf(await sessions.events(as('user'), SESSION, page)())).to.deep.equal(missing)
    expect(leftOf(await sessions.commands(as('user'), SESSION, page)())).to.deep.equal(missing)
    expect(leftOf(await sessions.touch(as('user'), SESSION, null)())).to.deep.equal(missing)
  })

  it('keeping one alive is for those who may change it; others are told so only if they see it', async () => {
    const { sessions, touched } = reading()
    rightOf(await sessions.touch(as('operator'), SESSION, null)())
    expect(touched).to.deep.equal([later(100)])
    expect(leftOf(await sessions.touch(as('viewer'), SESSION, null)())).to.deep.equal({
      _tag: 'Forbidden',
      permission: 'change_sessions',
    })
    expect(touched).to.have.length(1)
  })

  it('all commands are for those who see the whole org', async () => {
    const { commands } = reading()
    for (const role of ['viewer', 'operator'] as const) rightOf(await commands.list(as(role), {}, page)())
    expect(leftOf(await commands.list(as('user'), {}, page)())).to.deep.equal({
      _tag: 'Forbidden',
      permission: 'read_org',
    })
  })
})
