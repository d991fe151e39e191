import type { Command } from 'commander'
import type { Context } from './context.ts'
import { defined } from './defined.ts'
import { nonEmpty } from './options.ts'
import { type RequestOptions, requestOf, withRequestOptions } from './session-request.ts'
import { showSession } from './show-session.ts'
import { settle, type WaitOptions, withWaitOptions } from './wait-command.ts'

type CreateOptions = WaitOptions &
  RequestOptions & {
    readonly platform?: string
    readonly region?: string
    readonly agent?: string
  }

export const addCreate = (session: Command, context: Context): void => {
  const create = session
    .command('create')
    .description('create a session and start it')
    .argument('<template>', 'name of the template', nonEmpty)
  withWaitOptions(
    withRequestOptions(create)
      .option('--platform <platform>', 'only on agents of this platform', nonEmpty)
      .option('--region <region>', 'only on agents of this region', nonEmpty)
      .option('--agent <id>', 'only on this agent', nonEmpty),
  ).action(async (template: string, options: CreateOptions) => {
    const client = await context.client()
    const { platform, region, agent } = options
    const created = await client.sessions.create({
      ...(await requestOf(client, template, options)),
      ...defined({ platform, region, agentId: agent }),
    })
    const settled = await settle(context, created, 'running', options)
    if (settled !== null) showSession(context.terminal, settled, options)
  })
}
