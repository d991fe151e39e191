/** Sessions: representation, requests and filters. */
import * as c from '../../domain/codec/codec.ts'
import { type Refusal, refusalReasons } from '../../domain/placement/refusal.ts'
import { type SessionSummary as SessionSummaryView, sessionSorts } from '../../domain/ports/sessions.ts'
import type { SessionField, SessionView } from '../../domain/session/session-view.ts'
import { desiredStates, sessionEventTypes, sessionStatuses, statusReasons } from '../../domain/session/words.ts'
import { agentLabelsCodec, envCodec, partialResourcesCodec } from '../../domain/template/template-codec.ts'
import { labels, MAX_INTEGER, orgId, sessionId, sessionName, time, timeoutSeconds, userId, wordOf } from './fields.ts'
import { represents } from './json.ts'
import { pageOf } from './page.ts'
import {
  commaList,
  fieldList,
  flag,
  labelFilters,
  paging,
  query,
  searchedName,
  sorting,
  text,
  timestamp,
} from './query.ts'

const textMap = c.record(c.string())
const nullableText = c.nullable(c.string())
const nullableTime = c.nullable(time)

/** Any JSON value. */
const anything: c.Codec<unknown> = c.codec('any', {}, (input) => ({ _tag: 'Right', right: input }))

const endpoint = c.openObject({
  url: c.string(),
  host: c.string(),
  port: c.integer(),
  protocol: c.string(),
  ports: c.array(c.openObject({ name: c.string(), url: c.string(), port: c.integer(), protocol: c.string() })),
})

/** Why an agent does not take a session. */
export const refusalCodec = represents<Refusal>()(
  c.openObject({
    agentId: c.string(),
    reason: wordOf(refusalReasons, 'why this agent does not take it'),
    detail: c.described(c.string(), 'the same for people, with figures'),
  }),
)

export const sessionCodec = represents<SessionView>()(
  c.openObject({
    id: c.described(c.string(), { format: 'uuid' }),
    name: c.string(),
    orgId: c.string(),
    userId: c.string(),
    template: c.openObject({ name: c.string(), version: c.integer() }),
    platform: nullableText,
    region: nullableText,
    labels: textMap,
    parameters: c.described(c.record(anything), 'secrets are null'),
    env: textMap,
    persistentHome: c.boolean,
    agentId: nullableText,
    agentReachable: c.boolean,
    desiredState: c.oneOf(desiredStates),
    status: c.oneOf(sessionStatuses),
    statusReason: c.nullable(wordOf(statusReasons, 'why the session is as it is')),
    statusMessage: nullableText,
    refusals: c.described(
      c.array(refusalCodec),
      'of a pending session: why each agent cannot take it; the first of them',
    ),
    waitingSince: nullableTime,
    deadline: nullableTime,
    generation: c.integer(),
    observedGeneration: c.integer(),
    endpoint: c.nullable(endpoint),
    namespace: nullableText,
    podName: nullableText,
    serviceName: nullableText,
    incarnation: c.integer(),
    resources: c.openObject({ cpuMillis: c.integer(), memoryMib: c.integer() }),
    idleTimeoutSeconds: c.nullable(c.integer()),
    maxDurationSeconds: c.nullable(c.integer()),
    lastActivityAt: nullableTime,
    createdAt: time,
    updatedAt: time,
    startedAt: nullableTime,
    deletedAt: nullableTime,
    restarts: c.integer(),
    exitCode: c.nullable(c.integer()),
    exitSignal: nullableText,
    lastOutput: c.described(nullableText, 'the end of what a failed session wrote, at most 4 KiB'),
    node: nullableText,
    image: nullableText,
    imageDigest: nullableText,
    containerId: nullableText,
    version: c.described(c.integer(), 'raised by intents and changes; what If-Match guards'),
  }),
)
export type Session = c.TypeOf<typeof sessionCodec>

/** In the order in which they are shown. */
export const sessionFields = Object.keys(sessionCodec.required) as readonly SessionField[]

export const slimSessionSchema = {
  ...c.openObject({}, sessionCodec.required).schema,
  minProperties: 1,
  description: 'a session of a list that was asked for `fields`: those alone',
}

/** With `fields` an item has those alone; who asks for them knows. */
const listedSession: c.Codec<Session> = c.codec(
  'Session',
  { anyOf: [sessionCodec.schema, slimSessionSchema] },
  (input, context) => {
    const decoded = sessionCodec.validate(input, context)
    return decoded._tag === 'Right' ? decoded : (slimSession.validate(input, context) as typeof decoded)
  },
)
const slimSession = c.openObject({}, sessionCodec.required)

export const sessionPageCodec = pageOf(listedSession)

export const sessionSummaryCodec = represents<SessionSummaryView>()(
  c.openObject({ total: c.integer(), byStatus: c.record(c.integer()) }),
)
export type SessionSummary = c.TypeOf<typeof sessionSummaryCodec>

/** What a session is made from, wherever it is to run. */
const madeFrom = { template: c.string({ minLength: 1, maxLength: 255, description: "the template's name" }) } as const
const made = {
  templateVersion: c.integer({ minimum: 1, maximum: MAX_INTEGER, description: 'default: the newest' }),
  name: sessionName,
  labels,
  resources: partialResourcesCodec,
  parameters: c.record(c.anyJson, { maxProperties: 200, description: "values for the template's parameters" }),
  env: envCodec,
  persistentHome: c.described(c.boolean, { default: true }),
  idleTimeoutSeconds: timeoutSeconds,
  maxDurationSeconds: timeoutSeconds,
} as const

/** `POST /sessions`. What the template says of `parameters` is checked against the template, not here. */
export const createSessionCodec = c.object(madeFrom, {
  ...made,
  platform: c.string({ minLength: 1, maxLength: 63 }),
  region: c.string({ minLength: 1, maxLength: 100 }),
  agentId: c.string({ minLength: 1, maxLength: 255 }),
  agentLabels: agentLabelsCodec,
})
export type CreateSessionRequest = c.TypeOf<typeof createSessionCodec>

/** `POST /agents/{id}/orphans/{sessionId}/adopt`: a create whose owner is named, and whose place is known. */
export const adoptOrphanCodec = c.object({ orgId, userId, ...madeFrom }, made)
export type AdoptOrphanRequest = c.TypeOf<typeof adoptOrphanCodec>

/** `PATCH /sessions/{id}`: what is left out stays; `labels` replaces all labels; null takes a timeout away. */
export const changeSessionCodec = c.object(
  {},
  { name: sessionName, labels, idleTimeoutSeconds: timeoutSeconds, maxDurationSeconds: timeoutSeconds },
)
export type ChangeSessionRequest = c.TypeOf<typeof changeSessionCodec>

const word = text(255)

const filters = {
  user: commaList(word, 'user ids'),
  status: commaList(c.oneOf(sessionStatuses)),
  template: commaList(word, 'names of templates'),
  platform: commaList(word),
  agent: commaList(word, 'agent ids'),
  label: labelFilters,
  q: searchedName,
  createdAfter: timestamp,
  createdBefore: timestamp,
} as const

export const sessionFilterQuery = query(filters)
export const listSessionsQuery = query({
  ...filters,
  ...sorting(sessionSorts),
  fields: fieldList(sessionFields),
  ...paging,
})
export const watchSessionsQuery = query({
  ...filters,
  session: commaList(sessionId, 'ids of sessions'),
  type: commaList(c.oneOf(sessionEventTypes), 'what happened'),
})
export const deleteSessionQuery = query({
  force: c.described(flag, 'operators: gone at once, without the agent; the agent is told when it is back'),
})
