import type { Command } from 'commander'
import { clientFor } from './connection.ts'
import type { Context } from './context.ts'
import { type JsonOption, jsonOption, nonEmpty, uuid } from './options.ts'
import { type RequestOptions, requestOf, withRequestOptions } from './session-request.ts'
import { showSession } from './show-session.ts'

type AdoptOptions = JsonOption &
  RequestOptions & { readonly org: string; readonly user: string; readonly template: string }

export const addAdopt = (
  agent: Command,
  context: Context,
  id: { readonly description: string; readonly parse: (text: string) => string },
): void => {
  const adopt = agent
    .command('adopt')
    .description('make a session again of an orphan that the database has forgotten')
    .argument('<id>', id.description, id.parse)
    .argument('<session>', 'id of the orphan', uuid)
    .requiredOption('--org <id>', 'whose it is', nonEmpty)
    .requiredOption('--user <id>', 'and in that org', nonEmpty)
    .requiredOption('--template <name>', 'what it was made from', nonEmpty)
  withRequestOptions(adopt)
    .addOption(jsonOption())
    .action(async (agentId: string, sessionId: string, options: AdoptOptions) => {
      const { org, user, template } = options
      // A template of that org is not one that the caller's own org sees.
      const inThatOrg = await clientFor(await context.connection(), org)
      const request = await requestOf(inThatOrg, template, options)
      const { orphans } = await context.client()
      const adopted = await orphans.adopt(agentId, sessionId, { orgId: org, userId: user, ...request })
      showSession(context.terminal, adopted, options)
    })
}
