/** Many sessions at once, and a look at where one would go. */
import * as c from '../../domain/codec/codec.ts'
import type { SessionId } from '../../domain/ids.ts'
import type { Plan } from '../../domain/placement/plan.ts'
import { strategies } from '../../domain/placement/refusal.ts'
import type { SessionFilter } from '../../domain/ports/sessions.ts'
import { batchActions } from '../../domain/session/words.ts'
import { sessionId, wordOf } from './fields.ts'
import { represents } from './json.ts'
import { problemCodec } from './problem.ts'
import { jsonFilters } from './query.ts'
import { refusalCodec, sessionCodec, sessionFilterQuery } from './session.ts'

const MOST = 1_000
/** So that a list that is too long is told how long it may be, and not that it does not decode. */
const MOST_READ = 30_000

const batchFields = c.object(
  { action: c.oneOf(batchActions) },
  {
    ids: c.described(c.array(sessionId, { minItems: 1, maxItems: MOST_READ }), `at most ${MOST}; each counts once`),
    filter: jsonFilters(sessionFilterQuery),
    expectedCount: c.integer({
      minimum: 0,
      maximum: MOST_READ,
      description: 'how many they are; when there are others nothing is changed. Has to be said with a filter',
    }),
  },
)

export type BatchBody = {
  readonly action: (typeof batchActions)[number]
  readonly which: { readonly ids: readonly SessionId[] } | { readonly filter: SessionFilter }
  readonly expectedCount?: number
}

type BatchFields = c.TypeOf<typeof batchFields>

const whatIsWrong = ({ ids, filter, expectedCount }: BatchFields): c.Complaint | null => {
  if (ids === undefined && filter === undefined) return { field: ['ids'], message: 'must be given, or filter' }
  if (ids !== undefined && filter !== undefined) return { field: ['filter'], message: 'must not be given with ids' }
  return filter !== undefined && expectedCount === undefined
    ? { field: ['expectedCount'], message: 'must be given with a filter: how many sessions it is to be about' }
    : null
}

/** As it is sent; `filter` as in the list's query string. */
export const batchCodec: c.Codec<BatchFields> = c.refined(batchFields, whatIsWrong, {
  oneOf: [{ required: ['ids'] }, { required: ['filter', 'expectedCount'] }],
})

export const batchRequestOf = ({ action, ids, filter, expectedCount }: BatchFields): BatchBody => ({
  action,
  which: ids === undefined ? { filter: filter ?? {} } : { ids },
  ...(expectedCount === undefined ? {} : { expectedCount }),
})

/** What is wrong with one of them; the answer as a whole has the request's id. */
const { requestId: _, ...problemFields } = problemCodec.required
const itemProblemCodec = c.openObject(problemFields, problemCodec.optional)

export const batchResultCodec = c.openObject({
  items: c.array(
    c.openObject(
      {
        id: c.described(c.string(), { format: 'uuid' }),
        status: c.described(c.integer(), 'as it would have been answered alone: 202, 404, 409'),
      },
      {
        session: c.described(sessionCodec, 'as it is now: 202'),
        problem: c.described(itemProblemCodec, 'why it is as it was: 404, 409'),
      },
    ),
  ),
})
export type BatchAnswer = c.TypeOf<typeof batchResultCodec>

export const planCodec = represents<Plan>()(
  c.openObject({
    agentId: c.described(c.nullable(c.string()), 'where it would go; null: it would wait'),
    platform: c.nullable(c.string()),
    region: c.nullable(c.string()),
    strategy: c.oneOf(strategies),
    status: c.described(c.oneOf(['scheduling', 'pending']), 'as the session would have it'),
    statusReason: wordOf(['queued_for_agent', 'no_agent_online', 'no_capacity', 'agent_cordoned'], 'why'),
    statusMessage: c.string(),
    refusals: c.described(
      c.array(refusalCodec),
      'why each other agent does not get it: at first those that could take it as well; at most 500 of them',
    ),
    refused: c.described(c.integer(), 'how many they are'),
  }),
)
export type SessionPlan = c.TypeOf<typeof planCodec>
