import { expect } from 'chai'
import type { OrgId, SessionId, UserId } from '../../../domain/ids.ts'
import type { EventSubject, FeedEvent } from '../../../domain/ports/feed.ts'
import { mayRead, type WatchFilter, wantsOf } from '../../../domain/session/watched.ts'

const id = '01890a5d-ac96-774b-bcce-b302099a8057' as SessionId

const subject: EventSubject = {
  userId: 'anna' as UserId,
  name: 'Übung eins',
  status: 'running',
  template: 'hello-web',
  platform: 'process',
  agentId: 'edge-1',
  labels: { team: 'a', 'has space': '' },
  createdAt: new Date('2026-01-31T12:00:00Z'),
}

const anEvent = (about: EventSubject | null = subject): FeedEvent => ({
  position: { feed: 'f', xid: 1, id: 1 },
  orgId: 'acme' as OrgId,
  sessionId: id,
  event: { id: 1, sessionId: id, type: 'running', generation: 1, at: new Date(), actor: 'agent:edge-1', data: {} },
  subject: about,
})

const matches = (filter: WatchFilter, event = anEvent()): boolean => wantsOf(filter)?.(event) ?? true

describe('what a watcher is told', () => {
  it('is everything without a filter, also of sessions that are long gone', () => {
    expect(wantsOf({})).to.equal(null)
    expect(matches({}, anEvent(null))).to.equal(true)
  })

  const cases: readonly (readonly [filter: WatchFilter, isWanted: boolean])[] = [
    [{ user: ['ben', 'anna'] } as never, true],
    [{ user: ['ben'] } as never, false],
    [{ status: ['running'] }, true],
    [{ status: ['stopped', 'failed'] }, false],
    [{ template: ['hello-web'] }, true],
    [{ template: ['desk'] }, false],
    [{ platform: ['process'] }, true],
    [{ platform: ['docker'] }, false],
    [{ agent: ['edge-1'] }, true],
    [{ agent: ['edge-2'] }, false],
    [{ q: 'übung' }, true],
    [{ q: 'bung' }, false],
    [{ createdAfter: new Date('2026-01-31T11:59:59Z') }, true],
    [{ createdAfter: subject.createdAt }, false],
    [{ createdBefore: new Date('2026-01-31T12:00:01Z') }, true],
    [{ createdBefore: subject.createdAt }, false],
    [{ session: [id] }, true],
    [{ session: ['01890a5d-ac96-774b-bcce-b302099a8058' as SessionId] }, false],
    [{ type: ['running', 'failed'] }, true],
    [{ type: ['failed'] }, false],
    [{ type: ['running'], user: ['ben'] } as never, false],
    [{ type: ['running'], status: ['running'], template: ['hello-web'] }, true],
  ]
  for (const [filter, isWanted] of cases)
    it(`${isWanted ? 'is' : 'is not'} what ${JSON.stringify(filter)} asks for`, () => {
      expect(matches(filter)).to.equal(isWanted)
    })

  it('is what all of its labels are on, and of labels nothing that every object has', () => {
    const label = (...pairs: [string, string][]): WatchFilter => ({ label: pairs }) as never
    expect(matches(label(['team', 'a']))).to.equal(true)
    expect(matches(label(['team', 'a'], ['team', 'b']))).to.equal(false)
    expect(matches(label(['has space', '']))).to.equal(true)
    expect(matches(label(['constructor', 'x']))).to.equal(false)
    expect(matches(label(['__proto__', 'x']))).to.equal(false)
  })

  it('is nothing of a session that left the database, where it is asked about sessions', () => {
    expect(matches({ user: ['anna'] } as never, anEvent(null))).to.equal(false)
    expect(matches({ session: [id], type: ['running'] }, anEvent(null))).to.equal(true)
  })

  it('is of its own org, and of a user its own', () => {
    const acme = 'acme' as OrgId
    expect(mayRead({ orgId: acme, ownerId: null }, anEvent())).to.equal(true)
    expect(mayRead({ orgId: acme, ownerId: 'anna' as UserId }, anEvent())).to.equal(true)
    expect(mayRead({ orgId: acme, ownerId: 'ben' as UserId }, anEvent())).to.equal(false)
    expect(mayRead({ orgId: acme, ownerId: 'anna' as UserId }, anEvent(null))).to.equal(false)
    expect(mayRead({ orgId: 'globex' as OrgId, ownerId: null }, anEvent())).to.equal(false)
  })
})
