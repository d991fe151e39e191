/** `session watch`: a line for each event, until Ctrl-C. */
import type { Command } from 'commander'
import {
  type SessionEventType,
  type SessionStatus,
  sessionEventTypes,
  sessionStatuses,
} from '../../domain/session/words.ts'
import type { WatchedEvent } from '../client/client.ts'
import type { Context } from './context.ts'
import { defined } from './defined.ts'
import { findSession } from './find-session.ts'
import { type JsonOption, nonEmpty, type Pairs, pair, words, wordsOf } from './options.ts'
import { pairs } from './session-view.ts'
import { harmless } from './text-width.ts'

type Options = JsonOption & {
  readonly type?: readonly SessionEventType[]
  readonly status?: readonly SessionStatus[]
  readonly template?: readonly string[]
  readonly user?: readonly string[]
  readonly agent?: readonly string[]
  readonly platform?: readonly string[]
  readonly label?: Pairs
  readonly after?: string
}

export const addWatch = (session: Command, context: Context): void => {
  session
    .command('watch')
    .description('what happens to sessions, as it happens, until Ctrl-C')
    .argument('[session]', 'of this session alone: id, or the whole name when only one session has it')
    .option('--type <type>', `one or several with commas: ${sessionEventTypes.join(', ')}`, wordsOf(sessionEventTypes))
    .option('--status <status>', 'of sessions in this status by then', wordsOf(sessionStatuses))
    .option('--template <name>', 'made from this template', words)
    .option('--user <id>', 'of this user', words)
    .option('--agent <id>', 'on this agent', words)
    .option('--platform <platform>', 'on this platform', words)
    .option('--label <name=value>', 'with this label; several all have to match', pair)
    .option('--after <position>', 'behind this event (its position in --json) instead of from now on', nonEmpty)
    .option('--json', 'one JSON object a line, with its position')
    .action(async (named: string | undefined, options: Options) => {
      const client = await context.client()
      const { type, status, template, user, agent, platform, label, after, json } = options
      const found = named === undefined ? undefined : [await findSession(client, named)]
      const filters = defined({
        ...{ type, status, template, user, agent, platform, session: found },
        label: label && Object.entries(label),
      })
      const { terminal } = context
      const stop = new AbortController()
      process.once('SIGINT', () => stop.abort())
      process.once('SIGTERM', () => stop.abort())
      let began = false
      const events = client.watch(filters, {
        signal: stop.signal,
        ...(after === undefined ? {} : { after }),
        onConnected: () => {
          if (began) terminal.note('connected again: nothing was left out')
          else if (terminal.interactive) terminal.note('watching; Ctrl-C ends it')
          began = true
        },
      })
      for await (const event of events) terminal.out(json ? JSON.stringify(event) : line(event))
    })
}

const TYPE_WIDTH = 18

const line = ({ at, sessionId, type, actor, data }: WatchedEvent): string =>
  harmless([at, sessionId, type.padEnd(TYPE_WIDTH), actor, pairs(data)].join('  ').trimEnd())
