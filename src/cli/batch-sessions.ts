import { type Command, InvalidArgumentError } from 'commander'
import { type BatchAction, batchActions, type SessionStatus, sessionStatuses } from '../../domain/session/words.ts'
import type { BatchAnswer } from '../api/session-batch.ts'
import type { BatchOf, Client } from '../client/client.ts'
import { ExitError } from '../program/exit-error.ts'
import type { Context } from './context.ts'
import { defined } from './defined.ts'
import {
  type JsonOption,
  jsonOption,
  nonEmpty,
  type Pairs,
  pair,
  uuid,
  wholeNumber,
  words,
  wordsOf,
} from './options.ts'
import { type Column, renderTable } from './table.ts'

type BatchOptions = JsonOption & {
  readonly status?: readonly SessionStatus[]
  readonly template?: readonly string[]
  readonly user?: readonly string[]
  readonly agent?: readonly string[]
  readonly label?: Pairs
  readonly q?: string
  readonly all?: true
  readonly expect?: number
}

const MOST = 1_000

export const addBatch = (session: Command, context: Context): void => {
  session
    .command('batch')
    .description('stop, hibernate or delete many sessions at once')
    .argument('<action>', batchActions.join(', '), actionOf)
    .argument('[session...]', 'ids of the sessions', (text, before: readonly string[] = []) => [...before, uuid(text)])
    .option('--status <status>', 'all of this status; several with commas', wordsOf(sessionStatuses))
    .option('--template <name>', 'all made from this template', words)
    .option('--user <id>', 'all of this user', words)
    .option('--agent <id>', 'all on this agent', words)
    .option('--label <name=value>', 'all with this label; several all have to match', pair)
    .option('--q <text>', 'all with words in the name that begin with these, in any case', nonEmpty)
    .option('--all', 'all that there are')
    .option('--expect <n>', 'how many they are; with another number nothing is done', wholeNumber(0, MOST))
    .addOption(jsonOption())
    .action(async (action: BatchAction, ids: readonly string[], options: BatchOptions) => {
      const client = await context.client()
      const answer = await client.sessions.batch(action, await whichOf(client, action, ids, options))
      const refused = answer.items.filter(({ problem }) => problem !== undefined).length
      if (options.json) context.terminal.json(answer)
      else if (answer.items.length > 0) context.terminal.out(renderTable(columns, answer.items, context.terminal.look))
      else context.terminal.note('no sessions')
      if (refused > 0) throw new ExitError(1, `${refused} of ${answer.items.length} were refused`)
    })
}

/** Not said how many: as many as there are now, and none if that changes meanwhile. Who deletes has to say it. */
const whichOf = async (
  client: Client,
  action: BatchAction,
  ids: readonly string[],
  { status, template, user, agent, label, q, all, expect }: BatchOptions,
): Promise<BatchOf> => {
  const filter = defined({ status, template, user, agent, label: label && Object.entries(label), q })
  const isFiltered = Object.keys(filter).length > 0 || all === true
  if (ids.length > 0 === isFiltered)
    throw new ExitError(2, 'name sessions by their ids, or say which by filters (or --all)')
  if (ids.length > 0) return expect === undefined ? { ids } : { ids, expectedCount: expect }
  if (expect !== undefined) return { filter, expectedCount: expect }
  const { total } = await client.sessions.summary(filter)
  // What is deleted is not there any more: a filter that finds more than was meant is told first.
  if (action === 'delete' && total > 0) throw new ExitError(2, `that is ${total}: say --expect ${total} to delete them`)
  return { filter, expectedCount: total }
}

const actionOf = (text: string): BatchAction => {
  const found = batchActions.find((action) => action === text)
  if (found === undefined) throw new InvalidArgumentError(`It must be one of: ${batchActions.join(', ')}.`)
  return found
}

const columns: readonly Column<BatchAnswer['items'][number]>[] = [
  { title: 'ID', cell: ({ id }) => id },
  { title: 'NAME', cell: ({ session }) => session?.name ?? null, shrinks: true },
  { title: 'STATUS', cell: ({ session }) => session?.status ?? 'refused' },
  { title: 'REASON', cell: ({ problem }) => problem?.detail ?? null, shrinks: true },
]
