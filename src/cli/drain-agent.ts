/** `agent drain` and `agent drain-progress`. */
import { setTimeout as pause } from 'node:timers/promises'
import { type Command, Option } from 'commander'
import type { AgentDrain } from '../api/agent.ts'
import { ExitError } from '../program/exit-error.ts'
import type { Context } from './context.ts'
import { type JsonOption, jsonOption, type ListOptions, limitOf, seconds, withListOptions } from './options.ts'
import { showList } from './show-list.ts'
import type { Column } from './table.ts'

const LOOKS_EVERY_MS = 500
const DEFAULT_TIMEOUT_SECONDS = 600

type DrainOptions = JsonOption & { readonly wait?: true; readonly timeout: number }

export const addDrain = (
  agent: Command,
  context: Context,
  id: { readonly description: string; readonly parse: (text: string) => string },
): void => {
  const { terminal } = context

  agent
    .command('drain')
    .description('cordon an agent and move what can be moved to others')
    .argument('<id>', id.description, id.parse)
    .addOption(new Option('--wait', 'until all that can move has moved'))
    .addOption(
      new Option('--timeout <seconds>', 'how long --wait waits').argParser(seconds).default(DEFAULT_TIMEOUT_SECONDS),
    )
    .addOption(jsonOption())
    .action(async (agentId: string, { wait, timeout, json }: DrainOptions) => {
      const client = await context.client()
      const drained = await client.agents.drain(agentId)
      if (wait !== true) {
        if (json) terminal.json(drained)
        else terminal.out(`agent ${agentId} is being drained: streamspace agent drain-progress ${agentId}`)
        return
      }
      const until = performance.now() + timeout * 1_000
      let progress = await client.agents.drainProgress(agentId)
      while (progress.movable + progress.moving > 0 && performance.now() < until) {
        if (terminal.interactive) terminal.progress(figures(progress))
        await pause(LOOKS_EVERY_MS)
        progress = await client.agents.drainProgress(agentId)
      }
      if (terminal.interactive) terminal.progress(null)
      if (json) terminal.json(progress)
      else terminal.out(`agent ${agentId}: ${figures(progress)}`)
      if (progress.remaining > 0)
        throw new ExitError(1, `something stays: streamspace agent drain-progress ${agentId} says what, and why`)
    })

  withListOptions(
    agent
      .command('drain-progress')
      .description('list the sessions of an agent, and what becomes of each when it is drained')
      .argument('<id>', id.description, id.parse),
    50,
  ).action(async (agentId: string, options: ListOptions) => {
    const client = await context.client()
    if (!options.json) terminal.note(figures(await client.agents.drainProgress(agentId)))
    showList(terminal, 'sessions', await client.agents.drained(agentId, limitOf(options)), columns, options)
  })
}

const figures = ({ draining, remaining, moving, movable }: AgentDrain): string =>
  `${draining ? '' : 'not being drained; '}${remaining} remaining, ${moving} moving, ${movable} to be moved`

const columns: readonly Column<AgentDrain['items'][number]>[] = [
  { title: 'ID', cell: ({ id }) => id },
  { title: 'NAME', cell: ({ name }) => name, shrinks: true },
  { title: 'STATUS', cell: ({ status }) => status },
  { title: 'STATE', cell: ({ state }) => state },
  { title: 'REASON', cell: ({ reason, message }) => `${reason}: ${message}`, shrinks: true },
]
