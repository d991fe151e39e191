import { commandCodec, commandPageCodec, listCommandsQuery } from './command.ts'
import { commandId } from './fields.ts'
import { changing, type Route, reading } from './route.ts'

const ofCommand = { ...changing, tag: 'Commands', access: 'operate', params: { id: commandId } } as const

export const commandRoutes = {
  listCommands: {
    ...reading,
    path: '/api/v1/commands',
    tag: 'Commands',
    summary: 'List commands and their delivery',
    access: 'read_org',
    params: {},
    query: listCommandsQuery,
    answers: { 200: { description: 'A page of commands', codec: commandPageCodec } },
  },
  getCommand: {
    ...ofCommand,
    ...reading,
    path: '/api/v1/commands/{id}',
    summary: 'Get a command',
    access: 'read_org',
    answers: { 200: { description: 'The command', codec: commandCodec } },
  },
  redriveCommand: {
    ...ofCommand,
    method: 'post',
    path: '/api/v1/commands/{id}/redrive',
    summary: 'Send a dead or expired command again',
    description:
      'Only while it is the newest of its session. The session waits again for what is asked of it, at the same generation.',
    answers: { 202: { description: 'Accepted: the command, pending again', codec: commandCodec, headers: ['ETag'] } },
    problems: ['command_not_redrivable', 'command_outdated', 'no_capacity'],
  },
  cancelCommand: {
    ...ofCommand,
    method: 'post',
    path: '/api/v1/commands/{id}/cancel',
    summary: 'Cancel a pending command',
    description:
      'It is sent no more. The session fails with `delivery_failed` (one that is being deleted stays `deleting`). An agent that has the command already may still carry it out; the session then shows what is.',
    answers: { 202: { description: 'The command, cancelled', codec: commandCodec, headers: ['ETag'] } },
    problems: ['command_not_cancellable'],
  },
} as const satisfies { readonly [operationId: string]: Route }
