import * as c from '../../domain/codec/codec.ts'
import { byGeneration, historyByTime } from '../../domain/ports/page.ts'
import { commandPageCodec } from './command.ts'
import { sessionEventPageCodec } from './event.ts'
import { sessionId } from './fields.ts'
import { pagesQuery } from './page.ts'
import { noQuery, nothingSent, type Route, reading } from './route.ts'
import {
  changeSessionCodec,
  createSessionCodec,
  deleteSessionQuery,
  listSessionsQuery,
  sessionCodec,
  sessionFilterQuery,
  sessionPageCodec,
  sessionSummaryCodec,
  watchSessionsQuery,
} from './session.ts'
import { batchCodec, batchResultCodec, planCodec } from './session-batch.ts'

const ofSession = { params: { id: sessionId } } as const

const theSession = (description: string) => ({ description, codec: sessionCodec, headers: ['ETag'] }) as const

const intent = { method: 'post', tag: 'Sessions', access: 'change_sessions', ...ofSession, query: noQuery } as const
const intentAnswer = {
  body: null,
  condition: 'change',
  answers: { 202: theSession('Accepted: the session with what is asked of it now') },
  problems: ['transition_refused', 'quota_exceeded'],
} as const

export const sessionRoutes = {
  listSessions: {
    ...reading,
    path: '/api/v1/sessions',
    tag: 'Sessions',
    summary: 'List sessions',
    access: 'caller',
    params: {},
    query: listSessionsQuery,
    answers: { 200: { description: 'A page of sessions', codec: sessionPageCodec } },
  },
  createSession: {
    method: 'post',
    path: '/api/v1/sessions',
    tag: 'Sessions',
    summary: 'Create a session',
    description:
      'Where no agent can take it now it is created all the same, `pending` with its reason. Only what no agent could ever take is refused. `idleTimeoutSeconds` and `maxDurationSeconds` are stored and shown; nothing acts on them yet.',
    access: 'change_sessions',
    params: {},
    query: noQuery,
    body: createSessionCodec,
    triedFirst: true,
    takes: 'gathered',
    condition: null,
    answers: { 201: { description: 'Created', codec: sessionCodec, headers: ['Location', 'ETag'] } },
    problems: ['unknown_template', 'unknown_agent', 'no_agent', 'invalid_parameters', 'quota_exceeded'],
  },
  planSession: {
    method: 'post',
    path: '/api/v1/sessions/plan',
    tag: 'Sessions',
    summary: 'See where a session would go',
    description:
      'Takes what a create takes and is refused as that would be. Nothing is written, and no room is held: a create a moment later may go elsewhere. Quotas are looked at by the create alone.',
    access: 'change_sessions',
    params: {},
    query: noQuery,
    body: createSessionCodec,
    condition: null,
    answers: { 200: { description: 'Where it would go, and why to no other agent', codec: planCodec } },
    problems: ['unknown_template', 'unknown_agent', 'no_agent', 'invalid_parameters'],
  },
  batchSessions: {
    method: 'post',
    path: '/api/v1/sessions/batch',
    tag: 'Sessions',
    summary: 'Stop, hibernate or delete many sessions',
    description:
      'By their ids, or all that a filter finds, which is the one of the list. Answered for each of them. At most 1,000, and in one transaction: with a wrong count, or above the limit, nothing is changed. A `user` reaches only its own sessions, by a filter too.',
    access: 'change_sessions',
    params: {},
    query: noQuery,
    body: batchCodec,
    takes: 'long',
    condition: null,
    answers: { 200: { description: 'What became of each', codec: batchResultCodec } },
    problems: ['unexpected_count', 'batch_too_large'],
  },
  summarizeSessions: {
    ...reading,
    path: '/api/v1/sessions/summary',
    tag: 'Sessions',
    summary: 'Count sessions by status',
    access: 'caller',
    params: {},
    query: sessionFilterQuery,
    answers: { 200: { description: 'How many there are', codec: sessionSummaryCodec } },
  },
  getSession: {
    ...reading,
    ...ofSession,
    path: '/api/v1/sessions/{id}',
    tag: 'Sessions',
    summary: 'Get a session',
    takes: 'gathered',
    access: 'caller',
    answers: { 200: theSession('The session') },
  },
  changeSession: {
    ...ofSession,
    method: 'patch',
    path: '/api/v1/sessions/{id}',
    tag: 'Sessions',
    summary: 'Change name, labels or timeouts',
    description:
      'What is left out stays as it is; `labels` replaces all labels; null takes a timeout away. Raises the version, not the generation: the running session is not touched.',
    access: 'change_sessions',
    query: noQuery,
    body: changeSessionCodec,
    condition: 'change',
    answers: { 200: theSession('The session as it is now') },
    problems: [],
  },
  deleteSession: {
    ...ofSession,
    method: 'delete',
    path: '/api/v1/sessions/{id}',
    tag: 'Sessions',
    summary: 'Delete a session',
    description: 'Accepted in every state. It is gone (404) once its agent says that nothing is left of it.',
    access: 'change_sessions',
    accessFor: { force: 'operate' },
    query: deleteSessionQuery,
    body: null,
    condition: 'change',
    answers: { 202: theSession('Accepted: the session, `deleting` or gone already') },
    problems: [],
  },
  startSession: {
    ...intent,
    ...intentAnswer,
    path: '/api/v1/sessions/{id}/start',
    summary: 'Start a session',
    description:
      'The same intent as `wake`. Changes nothing while that is what is asked already; a failed session is started again.',
  },
  stopSession: {
    ...intent,
    ...intentAnswer,
    path: '/api/v1/sessions/{id}/stop',
    summary: 'Stop a session',
    description: 'Its home is kept when it has a persistent one. Changes nothing while that is what is asked already.',
  },
  hibernateSession: {
    ...intent,
    ...intentAnswer,
    path: '/api/v1/sessions/{id}/hibernate',
    summary: 'Hibernate a session',
    description: 'Only what runs can hibernate. Changes nothing while that is what is asked already.',
  },
  wakeSession: {
    ...intent,
    ...intentAnswer,
    path: '/api/v1/sessions/{id}/wake',
    summary: 'Wake a session',
    description: 'The same intent as `start`.',
  },
  restartSession: {
    ...intent,
    ...intentAnswer,
    path: '/api/v1/sessions/{id}/restart',
    summary: 'Restart a session',
    description: 'Always acts, on a running or failed session.',
  },
  touchSession: {
    ...intent,
    path: '/api/v1/sessions/{id}/activity',
    summary: 'Say that a session is in use',
    description: 'Keep-alive: sets `lastActivityAt`. Raises no version.',
    body: null,
    condition: 'change',
    answers: { 204: { description: 'Noted', codec: null } },
    problems: [],
  },
  listSessionEvents: {
    ...reading,
    ...ofSession,
    path: '/api/v1/sessions/{id}/events',
    tag: 'Sessions',
    summary: "A session's history, oldest first",
    access: 'caller',
    query: pagesQuery(historyByTime),
    answers: { 200: { description: 'A page of events', codec: sessionEventPageCodec } },
  },
  watchSessions: {
    ...nothingSent,
    method: 'get',
    path: '/api/v1/watch',
    tag: 'Sessions',
    summary: 'Watch what happens to sessions, as it happens',
    description:
      'Server-sent events. First `event: ready`, whose `id` is where it begins; then one unnamed event for each that happens, in one order that is the same for everybody: `id` is its position, `data` what `/sessions/{id}/events` has. Comments come while nothing happens. After a lost connection `Last-Event-ID` goes on where it was: nothing is left out, nothing comes twice. Filters are about the session as it is when its event is read.',
    access: 'caller',
    params: {},
    query: watchSessionsQuery,
    resumes: true,
    answers: {
      200: {
        description: 'Events, until one of both sides ends it',
        codec: c.described(c.string(), {
          examples: [
            'event: ready\nid: 3q2-7wAB\ndata: {}\n\nid: 3q2-7wAC\ndata: {"id":7,"sessionId":"01890a5d-ac96-774b-bcce-b302099a8057","type":"running","generation":1,"at":"2026-01-31T12:00:00.000Z","actor":"agent:edge-1","data":{}}\n\n',
          ],
        }),
        mediaType: 'text/event-stream',
      },
    },
    problems: ['position_gone'],
  },
  listSessionCommands: {
    ...reading,
    ...ofSession,
    path: '/api/v1/sessions/{id}/commands',
    tag: 'Sessions',
    summary: "The commands sent on a session's behalf, and their delivery",
    access: 'caller',
    query: pagesQuery(byGeneration),
    answers: { 200: { description: 'A page of commands', codec: commandPageCodec } },
  },
} as const satisfies { readonly [operationId: string]: Route }
