import { E, pipe, TE } from '../../domain/fp.ts'
import type { WrittenPage } from '../../domain/ports/sessions.ts'
import type { SessionView } from '../../domain/session/session-view.ts'
import type { BatchAction } from '../../domain/session/words.ts'
import { pageRequest } from '../../src/api/query.ts'
import { batchRequestOf } from '../../src/api/session-batch.ts'
import type { sessionRoutes } from '../../src/api/session-routes.ts'
import type { Application, BatchResult } from '../../src/usecases/application.ts'
import type { Handler, Handlers } from './endpoint.ts'
import type { Reply } from './exchange.ts'
import { problemOfItem } from './problems.ts'
import { noContent, ok } from './replies.ts'
import type { Watches } from './watches.ts'

const session =
  (status: number) =>
  (view: SessionView): Reply => ({ status, body: view, etag: view.version })

/** Also what is adopted. */
export const created = (view: SessionView): Reply => ({
  ...session(201)(view),
  location: `/api/v1/sessions/${view.id}`,
})

/** What would have been asked for each of them alone. */
const alone = {
  stop: 'stopSession',
  hibernate: 'hibernateSession',
  delete: 'deleteSession',
} as const satisfies { readonly [A in BatchAction]: keyof typeof sessionRoutes }

const batchAnswer =
  (action: BatchAction) =>
  ({ items }: BatchResult): Reply => {
    const answers = items.map(({ id, outcome, was }) => {
      if (E.isRight(outcome)) return { id, was, status: 202, session: outcome.right }
      const problem = problemOfItem(outcome.left)
      return { id, was, status: problem.status, problem }
    })
    const parts = answers.map(({ id, status, was, session, problem }) => ({
      operationId: alone[action],
      id,
      status,
      code: problem?.code ?? null,
      before: session === undefined ? null : was,
      after: session ?? null,
    }))
    const refused = parts.filter(({ code }) => code !== null).length
    return {
      ...ok({ items: answers.map(({ was: _, ...shown }) => shown) }),
      told: { after: { action, sessions: parts.length, refused }, parts },
    }
  }

const written = ({ items, nextCursor }: WrittenPage): Reply => ({
  status: 200,
  json: `{"items":${items},"nextCursor":${JSON.stringify(nextCursor)}}`,
})

export const sessionHandlers = ({ sessions }: Application, watches: Watches): Handlers<keyof typeof sessionRoutes> => {
  const intent =
    (action: Parameters<typeof sessions.act>[2]): Handler<(typeof sessionRoutes)['startSession']> =>
    ({ caller, params, ifMatch, keeping }) =>
      pipe(sessions.act(caller, params.id, action, ifMatch, keeping(session(202))), TE.map(session(202)))
  return {
    listSessions: ({ caller, query: { limit, cursor, sort = '-createdAt', fields = null, ...filter } }) =>
      pipe(sessions.list(caller, filter, sort, pageRequest(limit, cursor), fields), TE.map(written)),
    createSession: ({ caller, body, keeping }) =>
      pipe(sessions.create(caller, body, keeping(created)), TE.map(created)),
    planSession: ({ caller, body }) => pipe(sessions.plan(caller, body), TE.map(ok)),
    batchSessions: ({ caller, body, keeping }) =>
      pipe(
        sessions.batch(caller, batchRequestOf(body), keeping(batchAnswer(body.action))),
        TE.map(batchAnswer(body.action)),
      ),
    summarizeSessions: ({ caller, query }) => pipe(sessions.summary(caller, query), TE.map(ok)),
    getSession: ({ caller, params }) => pipe(sessions.get(caller, params.id), TE.map(session(200))),
    changeSession: ({ caller, params, body, ifMatch, keeping }) =>
      pipe(sessions.update(caller, params.id, body, ifMatch, keeping(session(200))), TE.map(session(200))),
    deleteSession: ({ caller, params, query, ifMatch, keeping }) =>
      pipe(
        sessions.remove(caller, params.id, query.force ?? false, ifMatch, keeping(session(202))),
        TE.map(session(202)),
      ),
    startSession: intent('start'),
    stopSession: intent('stop'),
    hibernateSession: intent('hibernate'),
    wakeSession: intent('wake'),
    restartSession: intent('restart'),
    touchSession: ({ caller, params, ifMatch }) => pipe(sessions.touch(caller, params.id, ifMatch), TE.map(noContent)),
    listSessionEvents: ({ caller, params, query }) =>
      pipe(sessions.events(caller, params.id, pageRequest(query.limit, query.cursor, query.sort)), TE.map(ok)),
    watchSessions: ({ caller, query, lastEventId }) =>
      watches.hasRoom(caller)
        ? pipe(
            sessions.watch(caller, query, lastEventId),
            TE.map((watch): Reply => ({ status: 200, stream: (exchange) => watches.open(exchange, caller, watch) })),
          )
        : TE.left({ _tag: 'Overloaded', what: 'the server' }),
    listSessionCommands: ({ caller, params, query }) =>
      pipe(sessions.commands(caller, params.id, pageRequest(query.limit, query.cursor, query.sort)), TE.map(ok)),
  }
}
