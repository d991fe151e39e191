import * as c from '../../domain/codec/codec.ts'
import { byCreation } from '../../domain/ports/page.ts'
import { type CommandView, commandStatuses } from '../../domain/ports/sessions.ts'
import { commandTypes } from '../../domain/session/words.ts'
import { revision, sessionId, time, wordOf } from './fields.ts'
import { represents } from './json.ts'
import { pageOf } from './page.ts'
import { commaList, paging, query, sorting, text } from './query.ts'

/** A command to an agent and how far its delivery is. */
export const commandCodec = represents<CommandView>()(
  c.openObject({
    id: c.described(c.string(), { format: 'uuid' }),
    sessionId: c.described(c.string(), { format: 'uuid' }),
    agentId: c.string(),
    type: wordOf(commandTypes, 'what the agent is to do'),
    generation: c.integer(),
    status: c.oneOf(commandStatuses),
    attempts: c.integer(),
    nextAttemptAt: c.nullable(time),
    expiresAt: c.nullable(time),
    lastError: c.nullable(c.string()),
    createdAt: time,
    sentAt: c.nullable(time),
    ackedAt: c.nullable(time),
    finishedAt: c.nullable(time),
    revision,
  }),
)
export type Command = c.TypeOf<typeof commandCodec>

export const commandPageCodec = pageOf(commandCodec)

export const listCommandsQuery = query({
  status: commaList(c.oneOf(commandStatuses)),
  agent: commaList(text(255), 'agent ids'),
  session: commaList(sessionId, 'session ids'),
  ...sorting(byCreation),
  ...paging,
})
