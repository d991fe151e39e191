import { pipe, TE } from '../../domain/fp.ts'
import type { CommandView } from '../../domain/ports/sessions.ts'
import type { commandRoutes } from '../../src/api/command-routes.ts'
import { pageRequest } from '../../src/api/query.ts'
import type { Application } from '../../src/usecases/application.ts'
import type { Handlers } from './endpoint.ts'
import type { Reply } from './exchange.ts'
import { ok } from './replies.ts'

const command =
  (status: number) =>
  (view: CommandView): Reply => ({ status, body: view, etag: view.revision })

export const commandHandlers = ({ commands }: Application): Handlers<keyof typeof commandRoutes> => ({
  listCommands: ({ caller, query: { limit, cursor, sort, ...filter } }) =>
    pipe(commands.list(caller, filter, pageRequest(limit, cursor, sort)), TE.map(ok)),
  getCommand: ({ caller, params }) => pipe(commands.get(caller, params.id), TE.map(command(200))),
  redriveCommand: ({ caller, params, ifMatch, keeping }) =>
    pipe(commands.redrive(caller, params.id, ifMatch, keeping(command(202))), TE.map(command(202))),
  cancelCommand: ({ caller, params, ifMatch, keeping }) =>
    pipe(commands.cancel(caller, params.id, ifMatch, keeping(command(202))), TE.map(command(202))),
})
