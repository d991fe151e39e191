import { pipe, TE } from '../../domain/fp.ts'
import type { commandRoutes } from '../../src/api/command-routes.ts'
import { pageRequest } from '../../src/api/query.ts'
import type { Application } from '../../src/usecases/application.ts'
import type { Handlers } from './endpoint.ts'
import { accepted, ok } from './replies.ts'

export const commandHandlers = ({ commands }: Application): Handlers<keyof typeof commandRoutes> => ({
  listCommands: ({ caller, query: { limit, cursor, ...filter } }) =>
    pipe(commands.list(caller, filter, pageRequest(limit, cursor)), TE.map(ok)),
  getCommand: ({ caller, params }) => pipe(commands.get(caller, params.id), TE.map(ok)),
  redriveCommand: ({ caller, params, keeping }) =>
    pipe(commands.redrive(caller, params.id, keeping(accepted)), TE.map(accepted)),
  cancelCommand: ({ caller, params, keeping }) =>
    pipe(commands.cancel(caller, params.id, keeping(accepted)), TE.map(accepted)),
})
