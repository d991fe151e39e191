/** The commands of the program, put together. Nothing here does anything. */
import { Command, type OutputConfiguration } from 'commander'
import { giveSignalsBack } from '../program/signals.ts'
import { version } from '../version.ts'
import { addAgentCommands } from './agent-commands.ts'
import { addAuditCommands } from './audit-commands.ts'
import { addCommandCommands } from './command-commands.ts'
import type { Context } from './context.ts'
import { addHelp } from './help.ts'
import { addJobCommands } from './job-commands.ts'
import { addKeyCommands } from './key-commands.ts'
import { addOrgCommands } from './org-commands.ts'
import { addServerCommands, isService } from './server-commands.ts'
import { addSessionCommands } from './session-commands.ts'
import { addStatusCommand } from './status-command.ts'
import { addTemplateCommands } from './template-commands.ts'
import { addWebhookCommands } from './webhook-commands.ts'

/** `output`: where help and complaints about arguments go instead of the terminal. */
export const createProgram = (context: Context, output: OutputConfiguration = {}): Command => {
  // What is set here before the first command is added holds for all of them.
  const program = new Command('streamspace')
    .description('Interactive sessions on any platform.')
    .version(version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this')
    .configureOutput(output)
    .exitOverride()
    .showHelpAfterError('(--help shows what there is)')

  program.commandsGroup('Sessions:')
  addSessionCommands(program, context)
  addTemplateCommands(program, context)
  addCommandCommands(program, context)
  program.commandsGroup('Server and agents:')
  addStatusCommand(program, context)
  addAgentCommands(program, context)
  addJobCommands(program, context)
  addServerCommands(program, context)
  program.commandsGroup('Orgs and keys:')
  addOrgCommands(program, context)
  addKeyCommands(program, context)
  addWebhookCommands(program, context)
  addAuditCommands(program, context)
  program.commandsGroup('Help:')
  program.helpCommand('help [command]', 'print the help of a command')

  addHelp(program)
  program.hook('preAction', async (_program, command) => {
    if (!isService(command)) await giveSignalsBack()
  })
  return program
}
