/** `agent list`, `agent enrol` … ask the server about agents; `agent process` and its like are one. */
import { type Command, InvalidArgumentError, Option } from 'commander'
import { AGENT_ID, AGENT_ID_IN_WORDS } from '../../domain/ids.ts'
import type { Agent } from '../api/agent.ts'
import { addAdopt } from './adopt-orphan.ts'
import { handOver, keptToken, type TokenOptions } from './agent-token.ts'
import { agentBlock, agentColumns, removedBlock } from './agent-view.ts'
import type { Context } from './context.ts'
import { defined } from './defined.ts'
import { addDrain } from './drain-agent.ts'
import { type EnrolOptions, enrolAgent } from './enrol-agent.ts'
import {
  type JsonOption,
  jsonOption,
  type ListOptions,
  limitOf,
  nonEmpty,
  pair,
  withListOptions,
  words,
  wordsOf,
} from './options.ts'
import { addOrphanCommands } from './orphan-commands.ts'
import { platforms } from './platforms.ts'
import { checkWritable } from './secret-file.ts'
import { service } from './server-commands.ts'
import { showList } from './show-list.ts'

type AgentListOptions = ListOptions & {
  readonly status?: readonly Agent['status'][]
  readonly platform?: readonly string[]
  readonly region?: readonly string[]
}

const AGENT = 'id of the agent'

export const addAgentCommands = (program: Command, context: Context): void => {
  const { terminal } = context
  const agent = program.command('agent').description('agents: what makes sessions run; and running one')

  withListOptions(
    agent
      .command('list')
      .description('list agents, what they have and what of it is taken')
      .option('--status <status>', 'one or several with commas: online, degraded, offline', wordsOf(agentStatuses))
      .option('--platform <platform>', 'of this platform', words)
      .option('--region <region>', 'of this region', words),
    null,
  ).action(async (options: AgentListOptions) => {
    const { status, platform, region } = options
    const filters = defined({ status, platform, region })
    const listed = await (await context.client()).agents.list(filters, limitOf(options))
    showList(terminal, 'agents', listed, agentColumns(Date.now()), options)
  })

  agent
    .command('get')
    .description('show an agent')
    .argument('<id>', AGENT, agentIdOf)
    .addOption(jsonOption())
    .action(async (id: string, { json }: JsonOption) => {
      const found = await (await context.client()).agents.get(id)
      if (json) terminal.json(found)
      else terminal.out(agentBlock(found, Date.now(), terminal.look.paint))
    })

  agent
    .command('enrol')
    .description('make an agent known; its token is shown this once')
    .argument('<id>', 'what to call it: letters, digits, - _ .', agentIdOf)
    .requiredOption(
      '--platform <platform>',
      `${Object.keys(platforms).join(', ')}, or one of which you have an agent of your own`,
      nonEmpty,
    )
    .addOption(new Option('--org <id>', 'for this org (default: your own)').argParser(nonEmpty).conflicts('shared'))
    .option('--shared', 'for all orgs; installation keys only')
    .option('--region <region>', 'where it is', nonEmpty)
    .option('--label <name=value>', 'a label; once for each', pair)
    .option('--token-file <path>', 'write the token there, readable by you alone, and do not show it', nonEmpty)
    .addOption(jsonOption())
    .action(async (id: string, options: EnrolOptions) => {
      await enrolAgent(context, id, options)
    })

  agent
    .command('rotate-token')
    .description('give an agent a new token; the old one ends at once, and the connection that used it')
    .argument('<id>', AGENT, agentIdOf)
    .option('--token-file <path>', 'write the token there, readable by you alone, and do not show it', nonEmpty)
    .addOption(jsonOption())
    .action(async (id: string, options: TokenOptions) => {
      if (options.tokenFile !== undefined) {
        await keptToken(options.tokenFile)
        await checkWritable(options.tokenFile)
      }
      const rotated = await (await context.client()).agents.rotateToken(id)
      await handOver(context, rotated, options, (await context.connection()).url)
    })

  addCordon(agent, context, 'cordon', 'let an agent take no new sessions; those it has go on')
  addCordon(agent, context, 'uncordon', 'let an agent take new sessions again')
  addDrain(agent, context, { description: AGENT, parse: agentIdOf })
  addOrphanCommands(agent, context, { description: AGENT, parse: agentIdOf })
  addAdopt(agent, context, { description: AGENT, parse: agentIdOf })

  agent
    .command('delete')
    .description('remove an agent')
    .argument('<id>', AGENT, agentIdOf)
    .option('--force', 'also while it has sessions; shows what is lost')
    .addOption(jsonOption())
    .action(async (id: string, { force, json }: JsonOption & { readonly force?: true }) => {
      const removed = await (await context.client()).agents.remove(id, force === true)
      if (json) terminal.json(removed ?? { agentId: id, count: 0, sessions: [] })
      else terminal.out(removedBlock(id, removed ?? null))
    })

  for (const [platform, where] of Object.entries(platforms))
    service(agent.command(platform).description(`run an agent whose sessions are ${where}`), context, async () =>
      (await import('../agent.ts')).runAgent(platform),
    )
}

const agentStatuses = ['online', 'degraded', 'offline'] as const satisfies readonly Agent['status'][]

const agentIdOf = (text: string): string => {
  if (!new RegExp(AGENT_ID, 'u').test(text)) throw new InvalidArgumentError(`It must be ${AGENT_ID_IN_WORDS}.`)
  return text
}

const addCordon = (agent: Command, context: Context, action: 'cordon' | 'uncordon', description: string): void => {
  agent
    .command(action)
    .description(description)
    .argument('<id>', AGENT, agentIdOf)
    .addOption(jsonOption())
    .action(async (id: string, { json }: JsonOption) => {
      const changed = await (await context.client()).agents[action](id)
      if (json) context.terminal.json(changed)
      else context.terminal.out(`agent ${id} is ${action}ed`)
    })
}
