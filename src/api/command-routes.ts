import { commandPageCodec, listCommandsQuery } from './command.ts'
import { nothingSent, type Route } from './route.ts'

export const commandRoutes = {
  listCommands: {
    ...nothingSent,
    method: 'get',
    path: '/api/v1/commands',
    tag: 'Commands',
    summary: 'List commands and their delivery',
    access: 'operate',
    params: {},
    query: listCommandsQuery,
    answers: { 200: { description: 'A page of commands', codec: commandPageCodec } },
  },
} as const satisfies { readonly [operationId: string]: Route }
