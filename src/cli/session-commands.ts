import type { Command } from 'commander'
import { type LabelFilter, type SessionSort, sessionSorts } from '../../domain/ports/sessions.ts'
import { type DesiredState, type SessionStatus, sessionStatuses } from '../../domain/session/words.ts'
import type { Session } from '../api/session.ts'
import type { SessionIntent } from '../client/client.ts'
import { addBatch } from './batch-sessions.ts'
import type { Context } from './context.ts'
import { addCreate, addPlan } from './create-session.ts'
import { defined } from './defined.ts'
import { findSession } from './find-session.ts'
import {
  type JsonOption,
  jsonOption,
  type ListOptions,
  labelFilter,
  limitOf,
  nonEmpty,
  oneOf,
  withListOptions,
  words,
  wordsOf,
} from './options.ts'
import { commandColumns, eventColumns, sessionColumns, sessionLine } from './session-view.ts'
import { showList } from './show-list.ts'
import { showSession } from './show-session.ts'
import { settle, type WaitOptions, withWaitOptions } from './wait-command.ts'
import { addWatch } from './watch-sessions.ts'

const SESSION = 'id, or the whole name when only one session has it'

type SessionListOptions = ListOptions & {
  readonly status?: readonly SessionStatus[]
  readonly template?: readonly string[]
  readonly user?: readonly string[]
  readonly agent?: readonly string[]
  readonly platform?: readonly string[]
  readonly label?: readonly LabelFilter[]
  readonly q?: string
  readonly createdAfter?: string
  readonly createdBefore?: string
  readonly sort?: SessionSort
}

export const addSessionCommands = (program: Command, context: Context): void => {
  const session = program.command('session').description('sessions: what people work in')

  addCreate(session, context)
  addPlan(session, context)

  withListOptions(
    session
      .command('list')
      .description('list sessions, newest first')
      .option(
        '--status <status>',
        `one or several with commas: ${sessionStatuses.join(', ')}`,
        wordsOf(sessionStatuses),
      )
      .option('--template <name>', 'made from this template', words)
      .option('--user <id>', 'of this user', words)
      .option('--agent <id>', 'on this agent', words)
      .option('--platform <platform>', 'on this platform', words)
      .option(
        '--label <condition>',
        'name=value, or "name in (value,value)" for any of them; several all have to match',
        labelFilter,
      )
      .option('--q <words>', 'with words in the name that begin so, in any case', nonEmpty)
      .option('--created-after <time>', 'such as 2026-01-31T12:00:00Z', nonEmpty)
      .option('--created-before <time>', 'such as 2026-01-31T12:00:00Z', nonEmpty)
      .option('--sort <order>', sessionSorts.join(', '), oneOf(sessionSorts)),
    50,
  ).action(async (options: SessionListOptions) => {
    const { json: _json, limit: _limit, all: _all, ...given } = options
    const filters = defined(given)
    const listed = await (await context.client()).sessions.list(filters, limitOf(options))
    showList(context.terminal, 'sessions', listed, sessionColumns(Date.now()), options)
  })

  session
    .command('get')
    .description('show a session: where it is reached, why it is as it is, its last output')
    .argument('<session>', SESSION)
    .addOption(jsonOption())
    .action(async (named: string, options: JsonOption) => {
      const client = await context.client()
      showSession(context.terminal, await client.sessions.get(await findSession(client, named)), options)
    })

  addWatch(session, context)
  addBatch(session, context)

  addIntent(session, context, 'start', 'running', 'start a session that is stopped, hibernated or failed')
  addIntent(session, context, 'stop', 'stopped', 'stop a session; its home is kept when it has a persistent one')
  addIntent(session, context, 'hibernate', 'hibernated', 'put a running session to rest')
  addIntent(session, context, 'wake', 'running', 'wake a hibernated session; the same as start')
  addIntent(session, context, 'restart', 'running', 'start a running or failed session anew')

  withWaitOptions(
    session
      .command('delete')
      .description('delete a session and its home')
      .argument('<session>', SESSION)
      .option('--force', 'operators: gone at once, without its agent; the agent is told when it is back'),
  ).action(async (named: string, options: WaitOptions & { readonly force?: true }) => {
    const client = await context.client()
    const id = await findSession(client, named)
    const asked = await client.sessions.remove(id, options.force ? { force: true } : {})
    const settled = await settle(context, asked, 'deleted', options)
    if (options.json) context.terminal.json(asked)
    else context.terminal.out(settled === null || asked.deletedAt !== null ? gone(asked) : sessionLine(asked))
  })

  withListOptions(
    session.command('events').description("a session's history, oldest first").argument('<session>', SESSION),
    null,
  ).action(async (named: string, options: ListOptions) => {
    const client = await context.client()
    const listed = await client.sessions.events(await findSession(client, named), limitOf(options))
    showList(context.terminal, 'events', listed, eventColumns(Date.now()), options)
  })

  withListOptions(
    session
      .command('commands')
      .description("the commands sent to agents on a session's behalf, and their delivery")
      .argument('<session>', SESSION),
    null,
  ).action(async (named: string, options: ListOptions) => {
    const client = await context.client()
    const listed = await client.sessions.commands(await findSession(client, named), limitOf(options))
    showList(context.terminal, 'commands', listed, commandColumns(Date.now()), options)
  })
}

const addIntent = (
  session: Command,
  context: Context,
  intent: SessionIntent,
  wanted: DesiredState,
  description: string,
): void => {
  withWaitOptions(session.command(intent).description(description).argument('<session>', SESSION)).action(
    async (named: string, options: WaitOptions) => {
      const client = await context.client()
      const asked = await client.sessions.act(await findSession(client, named), intent)
      const settled = await settle(context, asked, wanted, options)
      if (settled === null) return
      if (options.json) context.terminal.json(settled)
      else context.terminal.out(sessionLine(settled))
    },
  )
}

const gone = ({ id, name }: Session): string => `session ${id} (${name}) is deleted`
