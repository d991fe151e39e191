import type { Command } from 'commander'
import { type CommandStatus, commandStatuses } from '../../domain/ports/sessions.ts'
import type { Context } from './context.ts'
import { defined } from './defined.ts'
import {
  type JsonOption,
  jsonOption,
  type ListOptions,
  limitOf,
  uuid,
  withListOptions,
  words,
  wordsOf,
} from './options.ts'
import { commandColumns } from './session-view.ts'
import { showList } from './show-list.ts'

type CommandListOptions = ListOptions & {
  readonly status?: readonly CommandStatus[]
  readonly agent?: readonly string[]
  readonly session?: readonly string[]
}

export const addCommandCommands = (program: Command, context: Context): void => {
  const command = program.command('command').description('commands to agents, and their delivery')

  withListOptions(
    command
      .command('list')
      .description('list commands, newest first')
      .option(
        '--status <status>',
        `one or several with commas: ${commandStatuses.join(', ')}`,
        wordsOf(commandStatuses),
      )
      .option('--agent <id>', 'to this agent', words)
      .option('--session <id>', 'for this session', words),
    50,
  ).action(async (options: CommandListOptions) => {
    const { status, agent, session } = options
    const filters = defined({ status, agent, session })
    const listed = await (await context.client()).commands.list(filters, limitOf(options))
    showList(context.terminal, 'commands', listed, commandColumns(Date.now()), options)
  })

  addOperation(command, context, 'redrive', 'send a dead or expired command again')
  addOperation(command, context, 'cancel', 'cancel a pending command; its session waits no longer')
}

const addOperation = (
  command: Command,
  context: Context,
  operation: 'redrive' | 'cancel',
  description: string,
): void => {
  command
    .command(operation)
    .description(description)
    .argument('<id>', 'id of the command', uuid)
    .addOption(jsonOption())
    .action(async (id: string, { json }: JsonOption) => {
      const changed = await (await context.client()).commands[operation](id)
      if (json) context.terminal.json(changed)
      else context.terminal.out(`command ${id} (${changed.type} of session ${changed.sessionId}) is ${changed.status}`)
    })
}
