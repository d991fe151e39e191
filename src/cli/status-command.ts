import type { Command } from 'commander'
import type { Agent } from '../api/agent.ts'
import type { SessionSummary } from '../api/session.ts'
import type { Client, Readiness } from '../client/client.ts'
import { isProblem } from '../client/errors.ts'
import { ExitError } from '../program/exit-error.ts'
import { agentColumns } from './agent-view.ts'
import { statusColour } from './colour.ts'
import type { Context } from './context.ts'
import { explain, isExplained } from './explain.ts'
import { type JsonOption, jsonOption } from './options.ts'
import { type Field, renderFields, renderTable } from './table.ts'

type Status = {
  readonly url: string
  readonly ready: boolean
  /** Why it is not ready. */
  readonly reason: string | null
  /** null: not asked, or not answered. */
  readonly sessions: SessionSummary | null
  /** null also for a role that may not see them. */
  readonly agents: readonly Agent[] | null
}

export const addStatusCommand = (program: Command, context: Context): void => {
  program
    .command('status')
    .description('whether the server is ready, how many sessions there are, how its agents are')
    .addOption(jsonOption())
    .action(async ({ json }: JsonOption) => {
      const client = await context.client()
      const { url } = await context.connection()
      const { status, trouble } = await look(client, url)
      if (json) context.terminal.json(status)
      else context.terminal.out(statusText(status, Date.now(), context.terminal))
      if (trouble === null) return
      if (!isExplained(trouble)) throw trouble
      throw new ExitError(1, explain(trouble, await context.connection()).join('\n'))
    })
}

/** As much as can be said. What kept the rest from being said is `trouble`. */
const look = async (client: Client, url: string): Promise<{ readonly status: Status; readonly trouble: unknown }> => {
  const nothing = { url, sessions: null, agents: null }
  let readiness: Readiness
  try {
    readiness = await client.readiness()
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    return { status: { ...nothing, ready: false, reason }, trouble: error }
  }
  if (!readiness.ready)
    return {
      status: { ...nothing, ready: false, reason: readiness.reason },
      trouble: new ExitError(1, `the server at ${url} is not ready: ${readiness.reason}`),
    }
  const ready = { ...nothing, ready: true, reason: null }
  try {
    const [sessions, agents] = await Promise.all([client.sessions.summary(), agentsIfAllowed(client)])
    return { status: { ...ready, sessions, agents }, trouble: null }
  } catch (error) {
    return { status: ready, trouble: error }
  }
}

const agentsIfAllowed = async (client: Client): Promise<readonly Agent[] | null> => {
  try {
    return (await client.agents.list({}, Number.POSITIVE_INFINITY)).items
  } catch (error) {
    if (isProblem(error, 'forbidden')) return null
    throw error
  }
}

const statusText = (status: Status, now: number, { look }: Context['terminal']): string => {
  const { url, ready, reason, sessions, agents } = status
  const counts: readonly Field[] =
    sessions === null
      ? []
      : [
          ['sessions', String(sessions.total)],
          ...Object.entries(sessions.byStatus)
            .filter(([, count]) => count > 0)
            .map(([name, count]): Field => [`  ${name}`, String(count), statusColour(name)]),
        ]
  const fields = renderFields(
    [
      ['server', url],
      ['ready', ready ? 'yes' : `no: ${reason}`, ready ? 'green' : 'red'],
      ...counts,
      ['agents', agents === null ? null : String(agents.length)],
    ],
    look.paint,
  )
  return agents === null || agents.length === 0
    ? fields
    : `${fields}\n\n${renderTable(agentColumns(now), agents, look)}`
}
