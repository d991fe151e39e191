import type { Command } from 'commander'
import type { SessionPlan } from '../api/session-batch.ts'
import type { Client } from '../client/client.ts'
import type { Context } from './context.ts'
import { defined } from './defined.ts'
import { type JsonOption, jsonOption, nonEmpty, type Pairs, pair } from './options.ts'
import { type RequestOptions, requestOf, withRequestOptions } from './session-request.ts'
import { showSession } from './show-session.ts'
import { type Column, renderTable } from './table.ts'
import { settle, type WaitOptions, withWaitOptions } from './wait-command.ts'

type PlaceOptions = {
  readonly platform?: string
  readonly region?: string
  readonly agent?: string
  readonly agentLabel?: Pairs
}
type CreateOptions = WaitOptions & RequestOptions & PlaceOptions

const withPlaceOptions = (command: Command): Command =>
  command
    .option('--platform <platform>', 'only on agents of this platform', nonEmpty)
    .option('--region <region>', 'only on agents of this region', nonEmpty)
    .option('--agent <id>', 'only on this agent', nonEmpty)
    .option('--agent-label <name=value>', 'only on agents with this label; once for each', pair)

const createOf = async (client: Client, template: string, options: RequestOptions & PlaceOptions) => {
  const { platform, region, agent, agentLabel } = options
  return {
    ...(await requestOf(client, template, options)),
    ...defined({ platform, region, agentId: agent, agentLabels: agentLabel }),
  }
}

export const addCreate = (session: Command, context: Context): void => {
  const create = session
    .command('create')
    .description('create a session and start it')
    .argument('<template>', 'name of the template', nonEmpty)
  withWaitOptions(withPlaceOptions(withRequestOptions(create))).action(
    async (template: string, options: CreateOptions) => {
      const client = await context.client()
      const created = await client.sessions.create(await createOf(client, template, options))
      const settled = await settle(context, created, 'running', options)
      if (settled !== null) showSession(context.terminal, settled, options)
    },
  )
}

export const addPlan = (session: Command, context: Context): void => {
  const plan = session
    .command('plan')
    .description('see where a session would go, and why to no other agent; nothing is made')
    .argument('<template>', 'name of the template', nonEmpty)
  withPlaceOptions(withRequestOptions(plan))
    .addOption(jsonOption())
    .action(async (template: string, options: RequestOptions & PlaceOptions & JsonOption) => {
      const client = await context.client()
      const { terminal } = context
      const planned = await client.sessions.plan(await createOf(client, template, options))
      if (options.json) return terminal.json(planned)
      terminal.out(planned.agentId === null ? `it would wait: ${planned.statusReason}` : planned.statusMessage)
      if (planned.refusals.length > 0) terminal.out(renderTable(refusalColumns, planned.refusals, terminal.look))
      const more = planned.refused - planned.refusals.length
      if (more > 0) terminal.note(`and ${more} more agents`)
    })
}

const refusalColumns: readonly Column<SessionPlan['refusals'][number]>[] = [
  { title: 'AGENT', cell: ({ agentId }) => agentId },
  { title: 'REASON', cell: ({ reason }) => reason },
  { title: 'DETAIL', cell: ({ detail }) => detail, shrinks: true },
]
