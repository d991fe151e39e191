import * as c from '../../domain/codec/codec.ts'
import type { SessionEventView } from '../../domain/ports/sessions.ts'
import { sessionEventTypes } from '../../domain/session/words.ts'
import { time, wordOf } from './fields.ts'
import { represents } from './json.ts'
import { pageOf } from './page.ts'

/** Something that happened to a session. */
export const sessionEventCodec = represents<SessionEventView>()(
  c.openObject({
    id: c.integer(),
    sessionId: c.described(c.string(), { format: 'uuid' }),
    type: wordOf(sessionEventTypes, 'what happened'),
    generation: c.integer(),
    at: time,
    actor: c.described(c.string(), '`user:<id>`, `agent:<id>`, or a duty of the server such as `deadline`'),
    data: c.anyObject,
  }),
)
export type SessionEvent = c.TypeOf<typeof sessionEventCodec>

export const sessionEventPageCodec = pageOf(sessionEventCodec)
