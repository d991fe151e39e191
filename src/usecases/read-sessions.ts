import { forbidden, notFound } from '../../domain/errors.ts'
import { E } from '../../domain/fp.ts'
import { may, scopeOf } from '../../domain/identity/caller.ts'
import type { Clock } from '../../domain/ports/clock.ts'
import { isMatch, mismatch } from '../../domain/ports/if-match.ts'
import type { SessionQueries } from '../../domain/ports/sessions.ts'
import type { Application } from './application.ts'
import { gatheredGets } from './gathered-gets.ts'

type Reads = Pick<Application['sessions'], 'get' | 'list' | 'summary' | 'events' | 'commands' | 'touch'>

export const readSessions = (queries: SessionQueries, clock: Clock): Reads => {
  const get = gatheredGets(queries)
  return {
    get: (caller, id) => async () => {
      const view = await get(scopeOf(caller), id)
      return view === null ? E.left(notFound('session', id)) : E.right(view)
    },
    list: (caller, filter, sort, page, fields) => async () =>
      E.right(await queries.list(scopeOf(caller), filter, sort, page, fields)),
    summary: (caller, filter) => async () => E.right(await queries.summary(scopeOf(caller), filter)),
    events: (caller, id, page) => async () => {
      const events = await queries.events(scopeOf(caller), id, page)
      return events === null ? E.left(notFound('session', id)) : E.right(events)
    },
    commands: (caller, id, page) => async () => {
      const commands = await queries.commandsOf(scopeOf(caller), id, page)
      return commands === null ? E.left(notFound('session', id)) : E.right(commands)
    },
    touch: (caller, id, ifMatch) => async () => {
      if (!may(caller, 'change_sessions')) {
        const visible = await get(scopeOf(caller), id)
        return E.left(visible === null ? notFound('session', id) : forbidden('change_sessions'))
      }
      if (ifMatch !== null) {
        const view = await get(scopeOf(caller), id)
        if (view !== null && !isMatch(ifMatch, view.version)) return E.left(mismatch(view.version))
      }
      return (await queries.touch(scopeOf(caller), id, clock.now()))
        ? E.right(undefined)
        : E.left(notFound('session', id))
    },
  }
}

export const readCommands = (queries: SessionQueries): Pick<Application['commands'], 'list'> => ({
  list: (caller, filter, page) => async () =>
    may(caller, 'read_org')
      ? E.right(await queries.commands(scopeOf(caller), filter, page))
      : E.left(forbidden('read_org')),
})
